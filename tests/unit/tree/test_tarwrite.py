from __future__ import annotations

import io
import tarfile

import pytest
from msgspec.structs import replace

from oci_builder.tree.entry import Entry, Kind, directory, entry_path, file, symlink
from oci_builder.tree.tarwrite import BLOCK, END, header, padding


def read_back(entry: Entry) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(header(entry) + END)) as archive:
        return archive.getmembers()[0]


@pytest.mark.parametrize("name", ["a", "a" * 100, "a" * 101, "d/" * 120 + "f", "größe", "a\nb", "☃" * 60])
def test_any_name_reads_back(name: str) -> None:
    assert read_back(replace(file("x", b"", origin="t"), path=name)).name == name
    assert read_back(symlink("l", name, origin="t")).linkname == name


@pytest.mark.parametrize("number", [0, 1000, 2**21 - 1, 2**21, 2**32 - 2])
def test_any_owner_reads_back(number: int) -> None:
    info = read_back(directory("d", uid=number, gid=number, origin="t"))
    assert (info.uid, info.gid) == (number, number)


def test_a_file_past_8_gib_reads_back() -> None:
    assert b"size=8589934592\n" in header(replace(file("f", b"", origin="t"), size=8 << 30))


def test_a_plain_header_is_one_block_without_names_or_fractions() -> None:
    block = header(file("f", b"", origin="t"))
    info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    assert (len(block), info.uname, info.gname, info.mtime) == (BLOCK, "", "", 315_532_800)


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_content_is_padded_to_whole_blocks(size: int, zeros: int) -> None:
    assert padding(size) == bytes(zeros)


@pytest.mark.parametrize("value", ["yes", "a\0b", "größe", "\udcff\udc80"])
def test_an_extended_attribute_reads_back_as_the_bytes_it_is(value: str) -> None:
    made = replace(file("x", b"", origin="t"), attributes=(("user.note", value),))
    raw = io.BytesIO(header(made) + END)
    with tarfile.open(fileobj=raw, encoding="utf-8", errors="surrogateescape") as archive:
        assert archive.getmembers()[0].pax_headers["SCHILY.xattr.user.note"] == value


def test_what_a_layer_deletes_is_an_empty_file_of_its_own_name() -> None:
    made = Entry(path=entry_path("a/b"), kind=Kind.WHITEOUT, mode=0o644, origin="t")
    assert read_back(made).name == "a/.wh.b"
    assert read_back(replace(made, kind=Kind.OPAQUE)).name == "a/b/.wh..wh..opq"
