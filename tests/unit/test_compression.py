"""Gzip members in a row: read as gzip reads them, packed as gzip can read them."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from oci_builder.compression import BLOCK, PIECE, BlockPacker, Gunzip, NotGzip, gunzip_head

PLAIN = random.Random(7).randbytes(3 * PIECE) + bytes(1 << 20) + b"end"


def fed(packed: bytes, *, most: int = 0) -> tuple[bytes, list[int], Gunzip]:
    """What all of ``packed`` gives, where its members end, and what read it."""
    gunzip, plain, ends, offset = Gunzip(), [], [], 0
    while offset < len(packed):
        data, used = gunzip.feed(packed[offset : offset + PIECE], most)
        offset += used
        assert not most or len(data) <= most
        plain.append(data)
        if gunzip.between:
            ends.append(offset)
    return b"".join(plain), ends, gunzip


@pytest.mark.parametrize("most", [0, 100, 1 << 20])
def test_members_in_a_row_are_read_as_gzip_reads_them(most: int) -> None:
    members = [gzip.compress(part, mtime=0) for part in (b"one", b"", PLAIN, b"", b"x" * 70_000, b"two")]
    plain, ends, gunzip = fed(b"".join(members), most=most)
    assert plain == gzip.decompress(b"".join(members))
    assert ends == [sum(map(len, members[: number + 1])) for number in range(len(members))]
    assert gunzip.between


def test_a_member_that_is_cut_off_is_not_at_its_end() -> None:
    packed = gzip.compress(PLAIN)
    for length in (1, 9, 12, len(packed) // 2, len(packed) - 1):
        assert not fed(packed[:length])[2].between
    assert Gunzip().between


@pytest.mark.parametrize("place", [0, 30, -8, -1])
def test_a_member_with_another_byte_is_refused(place: int) -> None:
    packed = bytearray(gzip.compress(b"first") + gzip.compress(random.Random(3).randbytes(5000), mtime=0))
    begin = len(gzip.compress(b"first"))
    packed[place if place < 0 else begin + place] ^= 0xFF
    with pytest.raises(NotGzip):
        fed(bytes(packed))


def test_what_follows_the_last_member_is_refused_unless_it_is_a_member() -> None:
    with pytest.raises(NotGzip):
        fed(gzip.compress(b"all") + b"and more")


def test_a_small_member_that_stands_for_much_gives_no_more_than_is_asked_for() -> None:
    packed = gzip.compress(bytes(64 << 20), mtime=0)
    assert len(Gunzip().feed(packed, 1000)[0]) == 1000
    assert gunzip_head(packed, 1000) == (bytes(1000), False)


def test_the_head_of_a_member_tells_whether_that_was_all() -> None:
    packed = gzip.compress(b"text", mtime=0)
    assert gunzip_head(packed, 5) == (b"text", True)
    assert gunzip_head(packed[:-1], 5) == (b"text", False)
    assert gunzip_head(packed + b"\0", 5) == (b"text", False)
    with pytest.raises(NotGzip):
        gunzip_head(b"text", 5)


def test_blocks_are_the_same_bytes_however_they_are_fed() -> None:
    plain = random.Random(1).randbytes(2 * BLOCK + 77)
    packed = []
    for size in (1 << 16, 1_000_003, BLOCK, len(plain)):
        sink = io.BytesIO()
        packer = BlockPacker(sink, 1)
        for begin in range(0, len(plain), size):
            assert packer.write(plain[begin : begin + size]) == len(plain[begin : begin + size])
        packer.close()
        packed.append(sink.getvalue())
    assert len(set(packed)) == 1
    assert gzip.decompress(packed[0]) == plain
    assert len(fed(packed[0])[1]) == 3
