"""Whatever changes in a wheel's zip, it is refused, or the layer has exactly the files that RECORD promises."""

from __future__ import annotations

import base64
import csv
import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.errors import DigestMismatch, UnsafePath, WheelError
from oci_builder.layer import write_layer
from oci_builder.store import Store
from oci_builder.tree.placing import place
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import install
from tests.support.readers import read_back
from tests.support.targets import SITE, TARGET, base_tree
from tests.support.zips import Part, deflated, wheel_parts, write_zip

NAME = "demo-1.0-py3-none-any.whl"
RECORD = "demo-1.0.dist-info/RECORD"
TEXT = b"print('demo')\n" * 30
ENDING = struct.pack("<II", zlib.crc32(TEXT), len(TEXT))
PARTS = wheel_parts(
    Part(name=b"demo/__init__.py", data=TEXT),
    Part(name=b"demo/empty.py"),
    Part(name=b"demo/stored.bin", data=bytes(range(256)), method=0),
)


@cache
def wheel() -> bytes:
    """The wheel as it should be."""
    with TemporaryDirectory() as folder:
        return write_zip(Path(folder, NAME), PARTS).read_bytes()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def promised(record: bytes) -> dict[str, bytes]:
    """The digests in a RECORD, but for what it cannot have one of."""
    rows = [row for row in csv.reader(record.decode().splitlines()) if row and row[1]]
    return {row[0]: base64.urlsafe_b64decode(f"{row[1].partition('=')[2]}==") for row in rows}


def holds(path: Path, folder: Path) -> bool:
    """Whether a wheel was taken; then its layer, as gzip and tarfile see it, is what its RECORD says."""
    store = Store(folder / "store")
    try:
        archive = open_wheel(path, NAME)
        record = archive.read(RECORD)
        layer = write_layer(
            place(install(archive, TARGET, requested=True).entries, base_tree()), store, created_by="t", holds=()
        )
    except (WheelError, DigestMismatch, UnsafePath):
        return False
    found = read_back(layer, store)
    # pip's own notes are made by whoever installs.
    notes = {f"{SITE}/demo-1.0.dist-info/{name}" for name in ("INSTALLER", "REQUESTED")}
    seen = {name.removeprefix(f"{SITE}/"): hashlib.sha256(found[name]).digest() for name in found.keys() - notes}
    assert seen == promised(record)
    return True


def test_the_wheel_is_taken_as_it_is(folder: Path) -> None:
    (folder / NAME).write_bytes(wheel())
    assert holds(folder / NAME, folder)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(wheel()) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_says_nothing_of_the_files(folder: Path, place: int, flip: int) -> None:
    data = bytearray(wheel())
    data[place] ^= flip
    (folder / NAME).write_bytes(data)
    holds(folder / NAME, folder)


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, len(wheel())), length=st.integers(1, 40), put=st.binary(max_size=20))
def test_a_piece_cut_out_or_put_in_is_refused_or_says_nothing_of_the_files(
    folder: Path, start: int, length: int, put: bytes
) -> None:
    data = wheel()
    for changed in (data[:start] + data[start + length :], data[:start] + put + data[start:], data[:start]):
        (folder / NAME).write_bytes(changed)
        holds(folder / NAME, folder)


def _other(field: str) -> st.SearchStrategy[Any]:
    sizes = st.sampled_from([0, 1, 7, len(TEXT), 0xFFFFFFFE, 0xFFFFFFFF])
    streams = [
        b"",
        b"\0",
        deflated(b""),
        deflated(TEXT),
        deflated(TEXT) + b"x",
        deflated(TEXT) + ENDING,
        deflated(TEXT)[:-1],
        TEXT,
    ]
    return {
        "name": st.sampled_from([b"", b"\0", b"../x", b"/x", b"demo/", b"demo/__init__.py", b"x\0y", b"\xff", b"a/b"]),
        "data": st.binary(max_size=5),
        "method": st.sampled_from([0, 8, 9, 12, 65535]),
        "stream": st.sampled_from(streams),
        "said_crc": sizes,
        "said_size": sizes,
        "said_packed": sizes,
        "flags": st.sampled_from([1, 8, 0x20, 0x40, 0x800, 0x2000, 0xFFFF]),
        "extra": st.binary(max_size=12),
        "local_name": st.sampled_from([b"", b"\0", b"x", b"demo/empty.py"]),
        "local_method": st.sampled_from([0, 8, 12]),
        "local_flags": st.sampled_from([0, 1, 8, 0xFFFF]),
        "local_sizes": st.tuples(sizes, sizes, sizes),
        "behind": st.binary(max_size=9),
    }[field]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), number=st.integers(0, len(PARTS) - 1))
def test_any_field_of_a_member_that_says_something_else_is_noticed(
    folder: Path, data: st.DataObject, number: int
) -> None:
    names = data.draw(st.lists(st.sampled_from([field.name for field in fields(Part)]), min_size=1, max_size=3))
    changed: dict[str, Any] = {name: data.draw(_other(name)) for name in names}
    parts = [*PARTS]
    parts[number] = replace(parts[number], **changed)
    holds(write_zip(folder / NAME, parts), folder)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(len(PARTS))), twice=st.integers(0, len(PARTS)))
def test_the_order_of_members_is_free_and_of_two_with_one_name_the_last_is_meant(
    folder: Path, order: list[int], twice: int
) -> None:
    parts = [PARTS[number] for number in order]
    assert holds(write_zip(folder / NAME, parts), folder)
    if twice < len(PARTS):
        again = PARTS[twice]
        assert holds(write_zip(folder / NAME, [*parts, again]), folder)
        assert not holds(write_zip(folder / NAME, [*parts, replace(again, data=again.data + b"#")]), folder)
        assert holds(write_zip(folder / NAME, [replace(again, data=again.data + b"#"), *parts]), folder)
