from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from oci_builder.digest import CHUNK
from oci_builder.errors import DigestMismatch
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Checked, Content, DeflateSlice, FileSlice, Inline, Member

DATA = b"0123456789" * 500_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def read(content: Content) -> bytes:
    with MappedFiles() as sources:
        return sources.read(content, what="x 1: f")


def test_content_in_memory_is_itself() -> None:
    assert read(Inline(b"abc")) == b"abc"
    assert read(DeflateSlice(Path("/nowhere"), 0, 0, 3, 0, raw=b"abc")) == b"abc"


def test_a_slice_of_a_file_is_read_in_pieces(source: Path) -> None:
    assert read(FileSlice(source, 3, 5)) == DATA[3:8]
    with MappedFiles() as sources:
        sizes = [len(piece) for piece in sources.chunks(FileSlice(source, 0, len(DATA)), what="f")]
    assert (sum(sizes), max(sizes)) == (len(DATA), CHUNK)


def test_nothing_is_read_of_a_file_for_an_empty_content(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert read(FileSlice(tmp_path / "empty", 0, 0)) == b""
    assert read(Member(tmp_path / "empty", 0, 0)) == b""


def test_a_slice_past_the_end_is_a_damaged_file(source: Path) -> None:
    with pytest.raises(DigestMismatch, match="or more"):
        read(FileSlice(source, len(DATA) - 2, 3))


def test_a_promised_digest_is_checked_at_the_end(source: Path) -> None:
    part = FileSlice(source, 0, 10)
    assert read(Checked(part, ("sha512", hashlib.sha512(DATA[:10]).digest()))) == DATA[:10]
    assert read(Checked(part, None)) == DATA[:10]
    with pytest.raises(DigestMismatch, match="x 1: f: expected sha256:") as caught:
        read(Checked(part, ("sha256", bytes(32))))
    assert caught.value.hint is not None and "RECORD" in caught.value.hint


def test_a_member_that_ends_too_early_is_damaged(source: Path) -> None:
    with pytest.raises(DigestMismatch, match="x 1: f"):
        read(Member(source, 0, 5))
    with pytest.raises(DigestMismatch, match="x 1: f"):
        read(Member(source, len(DATA), 5))
