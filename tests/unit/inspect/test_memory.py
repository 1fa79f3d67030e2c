"""Layers that were read before are hashed, and tell what unpacking them again would tell."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, FileProblem, UnsupportedImage
from oci_builder.imported.unpacked import unpacked
from oci_builder.inspect.contents import FileRecord, ImageContents
from oci_builder.inspect.memory import LayerMemory
from oci_builder.inspect.reading import read_image
from oci_builder.store import Store
from oci_builder.tree.limits import MAX_ENTRIES, MAX_NAMES, MAX_UNPACKED, Spent
from tests.support.archives import folder, make_tar, member
from tests.support.installed import SITE, distribution, docker_save, image_file, layer

LOWER = make_tar(
    folder("a"),
    member("a/f", data=b"one", mode=0o4755, uid=70_000),
    member("a/hard", tarfile.LNKTYPE, target="a/f"),
    member("l", tarfile.SYMTYPE, target="a/f"),
    member("pipe", tarfile.FIFOTYPE),
    folder("a/d"),
    member("a/d/g", data=b"two"),
)
UPPER = make_tar(folder("a"), member("a/.wh.f"), member("a/d/.wh..wh..opq"), member("a/d/h", data=b"three"))


def with_packages(path: Path) -> Path:
    return image_file(path, LOWER, UPPER, layer(distribution("demo")), make_tar(member(f"{SITE}/.wh.demo.py")))


def without_digests(path: Path) -> Path:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"diff_ids": [str(Digest.of(each)) for each in (LOWER, UPPER)]},
    }
    return docker_save(path, [LOWER, UPPER], json.dumps(config).encode())


def twice_the_same(path: Path) -> Path:
    return image_file(path, LOWER, LOWER, UPPER, LOWER)


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was unpacked since, a layer at a time."""
    seen: list[str] = []

    def counted(*args: object, what: str) -> object:
        seen.append(what)
        return unpacked(*args, what=what)  # type: ignore[arg-type]

    monkeypatch.setattr("oci_builder.inspect.reading.unpacked", counted)
    return seen


@pytest.mark.parametrize("make", [with_packages, without_digests, twice_the_same])
def test_a_second_look_tells_the_same_and_unpacks_nothing(
    make: Callable[[Path], Path], store: Store, tmp_path: Path, packed: list[str]
) -> None:
    place = make(tmp_path / "x.tar")
    plain = read_image(place)
    first = read_image(place, memory=LayerMemory(store))
    packed.clear()
    second = read_image(place, memory=LayerMemory(store))
    assert packed == []
    assert plain == first == second
    assert _all(plain) == _all(second)


def _all(image: ImageContents) -> list[FileRecord]:
    return [record for each in image.layers for record in each.files]


def test_layers_that_another_image_had_are_known_at_whatever_place(
    store: Store, tmp_path: Path, packed: list[str]
) -> None:
    read_image(image_file(tmp_path / "one.tar", LOWER, UPPER), memory=LayerMemory(store))
    packed.clear()
    place = image_file(tmp_path / "two.tar", UPPER, make_tar(member("new")), LOWER)
    found = read_image(place, memory=LayerMemory(store))
    assert packed == ["layer 2"]
    assert found == read_image(place)
    assert {record.layer for record in found.layers[2].files} == {3}


def test_bytes_that_are_others_by_now_are_found_out(store: Store, tmp_path: Path) -> None:
    place = with_packages(tmp_path / "x.tar")
    read_image(place, memory=LayerMemory(store))
    data = bytearray(place.read_bytes())
    # The time in the head of a layer's gzip: it unpacks to the very same.
    data[data.index(b"\x1f\x8b\x08") + 4] ^= 1
    place.write_bytes(data)
    with pytest.raises(DigestMismatch):
        read_image(place, memory=LayerMemory(store))


def test_a_plain_layer_that_is_not_the_promised_one_is_refused_though_it_is_known(store: Store, tmp_path: Path) -> None:
    read_image(without_digests(tmp_path / "good.tar"), memory=LayerMemory(store))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [str(Digest.of(b"another"))]}}
    place = docker_save(tmp_path / "bad.tar", [LOWER], json.dumps(config).encode())
    with pytest.raises(DigestMismatch):
        read_image(place, memory=LayerMemory(store))


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (Spent(entries=MAX_ENTRIES), "more than 320000 entries"),
        (Spent(names=MAX_NAMES), "bytes of paths"),
        (Spent(plain=MAX_UNPACKED + 1), "unpacks to more than"),
        (Spent(records=10 * MAX_ENTRIES + 1), "too many headers"),
    ],
)
def test_what_is_known_counts_against_the_limits_as_what_is_read(
    spent: Spent, said: str, store: Store, tmp_path: Path
) -> None:
    place = image_file(tmp_path / "x.tar", LOWER, UPPER)
    memory = LayerMemory(store)
    digest = read_image(place, memory=memory).layers[0].digest
    assert digest is not None
    seen = memory.find(digest)
    assert seen is not None
    memory.keep(digest, replace(seen, spent=spent))
    with pytest.raises(UnsupportedImage, match=said):
        read_image(place, memory=memory)


def test_what_reading_took_is_remembered_with_it(store: Store, tmp_path: Path) -> None:
    memory = LayerMemory(store)
    digest = read_image(image_file(tmp_path / "x.tar", LOWER), memory=memory).layers[0].digest
    assert digest is not None
    seen = memory.find(digest)
    assert seen is not None
    assert seen.spent == Spent(plain=len(LOWER), entries=7, names=31, headers=7, records=0)


@pytest.mark.parametrize("damage", [b"", b"\0" * 8, b"\0" * 7 + b"\xff", b"\0" * 7 + b"\1\xc1"])
def test_a_record_that_is_none_is_read_anew(damage: bytes, store: Store, tmp_path: Path) -> None:
    place = image_file(tmp_path / "x.tar", LOWER)
    (blob,) = read_image(place, memory=LayerMemory(store)).layers
    assert blob.digest is not None
    (kind,) = [path.parent.name for path, _ in store.kept()]
    store.put_record(kind, blob.digest.hex, damage)
    assert read_image(place, memory=LayerMemory(store)) == read_image(place)
    assert LayerMemory(store).find(blob.digest) is not None


def test_who_watches_files_sees_them_though_they_are_known(store: Store, tmp_path: Path) -> None:
    class Eyes:
        def wants(self, path: str) -> bool:
            return path == "a/f"

        def seen(self, path: str, data: bytes) -> None:
            found[path] = data

    found: dict[str, bytes] = {}
    place = image_file(tmp_path / "x.tar", LOWER)
    read_image(place, memory=LayerMemory(store))
    read_image(place, memory=LayerMemory(store), watch=Eyes())
    assert found == {"a/f": b"one"}


def test_a_cache_that_takes_nothing_is_no_failure(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = image_file(tmp_path / "x.tar", LOWER)
    monkeypatch.setattr(store, "put_record", _full)
    assert read_image(place, memory=LayerMemory(store)) == read_image(place)


def _full(*_: object) -> None:
    raise FileProblem("cache", "no space left on device")
