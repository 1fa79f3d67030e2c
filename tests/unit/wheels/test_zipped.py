"""Zip files that say two things, or too much: what no other program unpacks as ocibuild would is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.errors import DigestMismatch, OcibuildError, UnsafePath, WheelError
from oci_builder.layer import Layer, write_layer
from oci_builder.store import Store
from oci_builder.tree import content
from oci_builder.tree.content import LARGE
from oci_builder.tree.entry import directory
from oci_builder.tree.tree import Tree, parents
from oci_builder.wheels import zipped
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import install
from tests.support.readers import read_back
from tests.support.targets import TARGET
from tests.support.zips import STORED, Part, deflated, write_wheel, write_zip

DATA = b"print('demo')\n" * 40
GOOD = Part(name=b"demo.py", data=DATA)
STREAM = deflated(DATA)
ENDING = struct.pack("<II", zlib.crc32(DATA), len(DATA))
HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def layer_of(wheel: Path, store: Store) -> Layer:
    entries = install(open_wheel(wheel, wheel.name), TARGET, requested=True).entries
    above = {parent for entry in entries for parent in parents(entry.path)}
    tree = Tree([*entries, *(directory(path, origin="t") for path in above)])
    layer = write_layer(tree, store, created_by="t", holds=())
    read_back(layer, store)
    return layer


def content_of(layer: Layer, store: Store, name: str = "demo.py") -> bytes:
    (found,) = [data for path, data in read_back(layer, store).items() if path.endswith(f"/{name}")]
    return found


def refused(tmp_path: Path, store: Store, part: Part, kind: type[OcibuildError] = OcibuildError) -> str:
    wheel = write_wheel(tmp_path, part)
    with pytest.raises(kind) as caught:
        layer_of(wheel, store)
    assert not list((store.root / "v1" / "blobs" / "sha256").iterdir()), "nothing is kept of what was refused"
    return str(caught.value)


@pytest.mark.parametrize("method", [8, STORED])
def test_a_zip_that_is_written_by_hand_and_right_is_taken(tmp_path: Path, store: Store, method: int) -> None:
    wheel = write_wheel(tmp_path, replace(GOOD, method=method), before=b"#!/bin/sh\n", comment=b"signed, perhaps")
    assert content_of(layer_of(wheel, store), store) == DATA


def test_a_stream_that_ends_rightly_before_a_wrong_checksum_is_refused(tmp_path: Path, store: Store) -> None:
    refused(tmp_path, store, replace(GOOD, stream=STREAM + ENDING, said_crc=0), DigestMismatch)


@pytest.mark.parametrize(
    "behind",
    [
        b"x",
        bytes(8),
        ENDING,
        ENDING + b"x",
        ENDING + HEADER + STREAM,
        ENDING + HEADER + deflated(b""),
        ENDING + HEADER + deflated(b"") + bytes(8),
        ENDING * 2,
        STREAM,
    ],
)
def test_bytes_behind_the_end_of_a_stream_are_refused(tmp_path: Path, store: Store, behind: bytes) -> None:
    # libdeflate takes a second trailer for the first, and says nothing of what follows.
    refused(tmp_path, store, replace(GOOD, stream=STREAM + behind), DigestMismatch)


@pytest.mark.parametrize("stream", [STREAM[:-1], STREAM[:5], b"", b"\xff" * 20, STREAM[1:]])
def test_a_stream_that_does_not_end_is_refused(tmp_path: Path, store: Store, stream: bytes) -> None:
    refused(tmp_path, store, replace(GOOD, stream=stream), DigestMismatch)


@pytest.mark.parametrize("method", [8, STORED])
@pytest.mark.parametrize("field", ["said_crc", "said_size", "said_packed"])
def test_a_wrong_checksum_or_size_is_refused(tmp_path: Path, store: Store, field: str, method: int) -> None:
    right = {"said_crc": zlib.crc32(DATA), "said_size": len(DATA), "said_packed": len(DATA)}
    for value in (right[field] + 1, right[field] - 1, 0):
        changed: dict[str, Any] = {field: value}
        refused(tmp_path, store, replace(GOOD, method=method, **changed))


@pytest.mark.parametrize("method", [8, STORED])
@pytest.mark.parametrize("size", [0, 1, len(DATA)])
def test_a_module_that_was_emptied_in_the_zip_is_refused(tmp_path: Path, store: Store, size: int, method: int) -> None:
    # RECORD's size may be left out: then its digest alone is what was promised.
    empty = replace(GOOD, method=method, stream=deflated(b"") if method else b"", said_crc=0, said_size=size)
    with pytest.raises(OcibuildError):
        layer_of(write_wheel(tmp_path, empty, sizes=False), store)


@pytest.mark.parametrize("behind", [b"x", bytes(8), bytes(16), HEADER + deflated(b"")])
def test_nothing_may_stand_behind_an_empty_file_either(tmp_path: Path, store: Store, behind: bytes) -> None:
    refused(tmp_path, store, Part(name=b"empty.py", stream=deflated(b"") + behind), DigestMismatch)


@pytest.mark.parametrize("stream", [b"\x03\0", b"\x01\0\0\xff\xff", b"\0\0\0\xff\xff\x03\0"])
def test_an_empty_file_may_be_packed_in_any_way(tmp_path: Path, store: Store, stream: bytes) -> None:
    wheel = write_wheel(tmp_path, Part(name=b"empty.py", stream=stream))
    assert content_of(layer_of(wheel, store), store, "empty.py") == b""


@pytest.mark.parametrize("behind", [b"", b"x", ENDING, bytes(8)])
def test_large_members_are_held_to_the_same(tmp_path: Path, store: Store, behind: bytes) -> None:
    data = bytes(range(256)) * (LARGE // 256 + 1)
    part = Part(name=b"big.bin", data=data, stream=deflated(data) + behind)
    if behind:
        refused(tmp_path, store, part, DigestMismatch)
    else:
        assert content_of(layer_of(write_wheel(tmp_path, part), store), store, "big.bin") == data
        wrong: list[dict[str, Any]] = [{"said_size": len(data) - 1}, {"said_size": len(data) + 1}, {"said_crc": 5}]
        for changed in wrong:
            with pytest.raises(OcibuildError):
                layer_of(write_wheel(tmp_path, replace(part, **changed)), Store(tmp_path / "other"))


def test_a_long_stream_of_nothing_is_read_in_pieces(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "LARGE", 50_000)
    stream = b"\0\0\0\xff\xff" * 100_000 + deflated(b"y = 2\n")
    wheel = write_wheel(tmp_path, Part(name=b"demo.py", data=b"y = 2\n", stream=stream))
    assert content_of(layer_of(wheel, store), store) == b"y = 2\n"


@pytest.mark.parametrize(
    "changed",
    [
        {"local_name": b"Demo.py"},
        {"local_name": b"demo.py\0"},
        {"local_method": STORED},
        {"local_flags": 1},
        {"local_sizes": (1, 2, 3)},
        {"local_sizes": (0, 0, 0)},
        {"local_sizes": (zlib.crc32(DATA), len(STREAM), len(DATA) + 1)},
        {"local_sizes": (zlib.crc32(DATA), len(STREAM), len(DATA) + 1), "flags": 8},
        {"flags": 1},
        {"flags": 1, "local_flags": 0},
        {"method": 12},
        {"extra": struct.pack("<HHBI", 0x7075, 12, 1, 0) + b"evil.py"},
    ],
)
def test_a_member_of_which_two_things_are_said_is_refused(
    tmp_path: Path, store: Store, changed: dict[str, Any]
) -> None:
    refused(tmp_path, store, replace(GOOD, stream=STREAM, **changed), WheelError)


def test_sizes_behind_the_content_and_in_zip64_are_taken(tmp_path: Path, store: Store) -> None:
    crc, packed, size = GOOD.said
    follow = replace(
        GOOD, flags=8, local_sizes=(0, 0, 0), behind=struct.pack("<4s3I", b"PK\x07\x08", crc, packed, size)
    )
    assert content_of(layer_of(write_wheel(tmp_path / "a", follow), store), store) == DATA
    huge = replace(
        GOOD,
        stream=STREAM,
        said_size=0xFFFFFFFF,
        said_packed=0xFFFFFFFF,
        extra=struct.pack("<HHQQ", 1, 16, size, packed),
    )
    assert content_of(layer_of(write_wheel(tmp_path / "b", huge), store), store) == DATA


@pytest.mark.parametrize("name", [b"", b"\0", b"demo.py\0.txt", b"\0/", b"a\0b/"])
def test_a_member_without_a_name_or_with_the_end_of_one_in_it_is_refused(
    tmp_path: Path, store: Store, name: bytes
) -> None:
    assert "has the name" in refused(tmp_path, store, replace(GOOD, name=name), WheelError)


@pytest.mark.parametrize(
    "name", [b"a" * 256, b"d/" * 2500 + b"x", "ä".encode() * 128, b"a/" + b"b" * 300 + b"/c", b"x" * 65000]
)
def test_a_path_that_linux_does_not_take_is_refused(tmp_path: Path, store: Store, name: bytes) -> None:
    assert "and Linux takes" in refused(tmp_path, store, replace(GOOD, name=name, flags=0x800), UnsafePath)


def test_a_path_as_long_as_linux_takes_is_taken(tmp_path: Path, store: Store) -> None:
    name = b"/".join([b"d" * 255] * 15)
    assert content_of(layer_of(write_wheel(tmp_path, replace(GOOD, name=name)), store), store, "d" * 255) == DATA


def test_a_member_that_reaches_into_the_directory_is_refused(tmp_path: Path, store: Store) -> None:
    wheel = write_zip(tmp_path / "demo-1.0-py3-none-any.whl", [replace(GOOD, said_packed=len(STREAM) + 60)])
    with pytest.raises(WheelError, match="reaches into the directory"):
        open_wheel(wheel, wheel.name)


def test_more_files_or_folders_than_anybody_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped, "MAX_MEMBERS", 50)
    many = [Part(name=b"f%d.py" % number) for number in range(47)]
    assert len(open_wheel(write_wheel(tmp_path / "a", *many), "demo-1.0-py3-none-any.whl").members) == 50
    more = [*many, Part(name=b"g.py")]
    with pytest.raises(WheelError, match="more than 50 files"):
        open_wheel(write_wheel(tmp_path / "b", *more), "demo-1.0-py3-none-any.whl")
    deep = [Part(name=b"d%d/" % number + b"x/" * 10 + b"f") for number in range(20)]
    with pytest.raises(WheelError, match="in too many folders, 50 or more"):
        open_wheel(write_wheel(tmp_path / "c", *deep), "demo-1.0-py3-none-any.whl")


def test_a_record_longer_than_its_files_make_it_is_not_read(tmp_path: Path) -> None:
    record = Part(name=b"demo-1.0.dist-info/RECORD", data=b"demo.py,,\n" * 100_000)
    wheel = write_zip(tmp_path / "demo-1.0-py3-none-any.whl", [GOOD, record])
    with pytest.raises(WheelError, match="RECORD has 1000000 bytes, for 2 files"):
        open_wheel(wheel, wheel.name)


@pytest.mark.parametrize(
    ("name", "most"), [(b"demo-1.0.dist-info/entry_points.txt", 1 << 20), (b"demo-1.0.data/scripts/run", 32 << 20)]
)
def test_what_is_read_whole_has_a_limit(tmp_path: Path, store: Store, name: bytes, most: int) -> None:
    part = Part(name=name, data=b"#!python\n".ljust(most + 1, b"#"))
    assert f"{most}" in refused(tmp_path, store, part, WheelError)


def test_a_large_program_among_the_scripts_is_not_read_to_see_that_it_is_none_of_python(
    tmp_path: Path, store: Store
) -> None:
    data = b"\x7fELF" + bytes(40 << 20)
    wheel = write_wheel(tmp_path, Part(name=b"demo-1.0.data/scripts/run", data=data))
    assert content_of(layer_of(wheel, store), store, "run") == data


def test_files_that_cannot_be_listed_are_those_of_dist_info_alone(tmp_path: Path) -> None:
    parts = [Part(name=b"demo-1.0.dist-info/RECORD", data=b"demo.py,,\n")]
    for name in ("RECORD", "RECORD.jws", "RECORD.p7s", "demo-1.0.dist-info/x/RECORD.jws", "demo-1.0.dist-info.RECORD"):
        wheel = write_zip(tmp_path / "demo-1.0-py3-none-any.whl", [Part(name=name.encode(), data=b"x"), *parts])
        with pytest.raises(WheelError, match="has no digest in RECORD"):
            open_wheel(wheel, wheel.name)


def test_folders_are_known_by_their_whole_names(tmp_path: Path, store: Store) -> None:
    names = ("my__pycache__/a.py", "demo-1.0.database/b.py", "demo-1.0.data.py", "x/__pycache__.py")
    layer = layer_of(write_wheel(tmp_path, *(Part(name=name.encode(), data=DATA) for name in names)), store)
    found = {entry.path for entry in layer.entries}
    assert all(any(path.endswith(f"site-packages/{name}") for path in found) for name in names)
    hidden = write_wheel(
        tmp_path / "x", GOOD, *(Part(name=name) for name in (b"__pycache__/c.pyc", b"d/__pycache__/e"))
    )
    assert not any("__pycache__" in entry.path for entry in layer_of(hidden, store).entries)


BOMB = """
import re, sys
from pathlib import Path
from oci_builder.errors import WheelError
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import install
from tests.support.targets import TARGET
try:
    install(open_wheel(Path(sys.argv[1]), "demo-1.0-py3-none-any.whl"), TARGET, requested=True)
    print("taken")
except WheelError:
    print("refused", re.search("VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_directory_of_very_many_files_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    lines = Part(name=b"f").central(0) * 400_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, len(lines), 0, 0)
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    wheel.write_bytes(lines + end)
    command = [sys.executable, "-c", BOMB, str(wheel)]
    said = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120).stdout.split()
    assert said[0] == "refused" and int(said[1]) < 256 << 10
