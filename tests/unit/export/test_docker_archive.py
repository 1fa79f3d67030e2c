from __future__ import annotations

import gzip
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, FileProblem, InvalidValue, UnsupportedImage
from oci_builder.export.docker_archive import plan, size_of, write_file
from oci_builder.image import Image
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from tests.support.images import random_image

NAMES = [Reference.parse("mypy:1"), Reference.parse("localhost:5000/team/mypy:2")]


class Recorder(Quiet):
    """Remembers the progress it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int | None]] = []

    def advance(self, what: str, done: int, total: int | None) -> None:
        self.told.append((what, done, total))


@pytest.fixture
def image(store: Store) -> Image:
    return random_image(store, layers=3)


def written(image: Image, path: Path, store: Store) -> tarfile.TarFile:
    write_file(image, path, references=NAMES, store=store, reporter=Quiet())
    return tarfile.open(path)


def document(archive: tarfile.TarFile, name: str) -> object:
    stream = archive.extractfile(name)
    assert stream is not None
    return json.load(stream)


def test_the_file_is_a_layout_and_a_docker_archive_of_one_image(image: Image, store: Store, tmp_path: Path) -> None:
    with written(image, tmp_path / "x.tar", store) as archive:
        assert document(archive, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
        layers = [f"blobs/sha256/{layer.descriptor.digest.hex}" for layer in image.layers]
        config = f"blobs/sha256/{image.id.hex}"
        tags = ["docker.io/library/mypy:1", "localhost:5000/team/mypy:2"]
        assert document(archive, "manifest.json") == [{"Config": config, "Layers": layers, "RepoTags": tags}]
        index = document(archive, "index.json")
    assert isinstance(index, dict)
    assert [found["digest"] for found in index["manifests"]] == [str(image.digest)] * 2
    assert [found["annotations"] for found in index["manifests"]] == [
        {"io.containerd.image.name": tags[0], "org.opencontainers.image.ref.name": "1"},
        {"io.containerd.image.name": tags[1], "org.opencontainers.image.ref.name": "2"},
    ]


def test_every_header_is_plain_ustar_and_says_nothing_of_the_machine(
    image: Image, store: Store, tmp_path: Path
) -> None:
    with written(image, tmp_path / "x.tar", store) as archive:
        members = archive.getmembers()
    for found in members:
        expected = ("blobs" in found.name and found.isdir() and 0o755) or 0o644
        assert (found.mode, found.mtime, found.uid, found.gid, found.uname, found.gname, found.pax_headers) == (
            expected,
            0,
            0,
            0,
            "",
            "",
            {},
        )
    assert [found.name for found in members][:5] == [
        "oci-layout",
        "index.json",
        "manifest.json",
        "blobs",
        "blobs/sha256",
    ]


def test_a_blob_used_twice_is_there_once(image: Image, store: Store, tmp_path: Path) -> None:
    twice = image.append(image.layers[1])
    with written(twice, tmp_path / "x.tar", store) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names)) == 5 + 2 + 3
    report = verify_file(tmp_path / "x.tar")
    assert report.findings + report.remarks == ()


def test_the_size_is_known_before_and_told_on_the_way(image: Image, store: Store, tmp_path: Path) -> None:
    reporter = Recorder()
    size = write_file(image, tmp_path / "x.tar", references=NAMES, store=store, reporter=reporter)
    assert size == (tmp_path / "x.tar").stat().st_size == size_of(plan(image, NAMES))
    assert reporter.told[-1] == ("x.tar", size, size)
    assert [done for _, done, _ in reporter.told] == sorted(done for _, done, _ in reporter.told)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz"])
def test_compressed_outside_it_is_the_same_archive(image: Image, store: Store, tmp_path: Path, name: str) -> None:
    write_file(image, tmp_path / "x.tar", references=NAMES, store=store, reporter=Quiet())
    size = write_file(image, tmp_path / name, references=NAMES, store=store, reporter=Quiet())
    assert gzip.decompress((tmp_path / name).read_bytes()) == (tmp_path / "x.tar").read_bytes()
    assert size == (tmp_path / name).stat().st_size


@pytest.mark.parametrize("name", ["x.tar", "x.tgz"])
def test_the_same_image_is_the_same_file(image: Image, store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "again").mkdir()
    for path in (tmp_path / name, tmp_path / "again" / name):
        write_file(image, path, references=NAMES, store=store, reporter=Quiet())
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_name_given_twice_counts_once(image: Image) -> None:
    assert plan(image, [*NAMES, NAMES[0]]) == plan(image, NAMES)


def test_a_digest_beside_a_tag_is_left_out_and_alone_it_is_refused(image: Image) -> None:
    pinned = replace(NAMES[0], digest=Digest.of(b""))
    assert plan(image, [pinned, NAMES[1]]) == plan(image, NAMES)
    with pytest.raises(InvalidValue, match="needs a tag"):
        plan(image, [replace(pinned, tag="")])


@pytest.mark.parametrize("name", ["x", "x.zip", "x.gz", "x.tar.zst", "tar"])
def test_another_ending_is_refused(image: Image, store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidValue, match=r"must end in \.tar, \.tar\.gz or \.tgz"):
        write_file(image, tmp_path / name, references=NAMES, store=store, reporter=Quiet())
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("damage", [b"", b"x"])
def test_a_layer_damaged_in_the_store_leaves_no_file(image: Image, store: Store, tmp_path: Path, damage: bytes) -> None:
    layer = image.layers[1].descriptor
    store.path(layer.digest).write_bytes(damage * layer.size)
    (tmp_path / "x.tar").write_bytes(b"old")
    with pytest.raises(CorruptBlob, match=str(layer.digest)):
        write_file(image, tmp_path / "x.tar", references=NAMES, store=store, reporter=Quiet())
    assert (tmp_path / "x.tar").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["store", "x.tar"]


def test_a_place_without_a_folder_is_named(image: Image, store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"none/x\.tar: no such file"):
        write_file(image, tmp_path / "none" / "x.tar", references=NAMES, store=store, reporter=Quiet())


def test_a_layer_too_long_for_a_tar_header_is_refused(image: Image) -> None:
    first = image.layers[0]
    huge = replace(first, descriptor=replace(first.descriptor, size=8 << 30))
    with pytest.raises(UnsupportedImage, match="8589934592 bytes"):
        plan(replace(image, layers=(huge,)), NAMES)
