"""bzip2 and xz are read in flat memory, however little stands for much, and said to be damaged when they are."""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from oci_builder.digest import CHUNK
from oci_builder.imported.unpacked import HEAD, Packing, packing_of, unpacked
from oci_builder.tree.limits import Damaged

PACK: dict[str, Callable[[bytes], bytes]] = {"bzip2": bz2.compress, "xz": lzma.compress}


def plain(data: bytes) -> bytes:
    source = unpacked(io.BytesIO(data), packing_of(data[:HEAD]), what="x")
    return b"".join(iter(lambda: source.read(CHUNK), b""))


@pytest.mark.parametrize("name", PACK)
def test_streams_follow_each_other_and_some_are_empty(name: str) -> None:
    pack = PACK[name]
    assert plain(pack(b"one") + pack(b"") * 2000 + pack(b"two" * 100_000)) == b"one" + b"two" * 100_000


@pytest.mark.parametrize("name", PACK)
def test_what_is_cut_off_or_changed_is_damaged(name: str) -> None:
    data = PACK[name](bytes(range(256)) * 1000)
    for wrong in (data[:-1], data[: len(data) // 2], data[:30] + b"?" + data[31:], data + b"noise"):
        with pytest.raises(Damaged, match=f"x: .*{name}"):
            plain(wrong)


def test_zeros_behind_xz_are_padding() -> None:
    assert plain(lzma.compress(b"a") + bytes(8) + lzma.compress(b"b") + bytes(4)) == b"ab"


@pytest.mark.parametrize("name", PACK)
def test_a_little_that_stands_for_much_takes_little_memory(name: str) -> None:
    data = PACK[name](bytes(64 << 20))
    source = unpacked(io.BytesIO(data), packing_of(data[:HEAD]), what="x")
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in iter(lambda: source.read(CHUNK), b"")) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_xz_that_asks_for_much_memory_is_refused() -> None:
    data = bytearray(lzma.compress(b"small", check=lzma.CHECK_NONE))
    # The block header: the size of LZMA2's dictionary (4 GB), and the header's checksum anew.
    at = data.index(b"\x21\x01") + 2
    data[at] = 40
    size = (data[12] + 1) * 4
    data[12 + size - 4 : 12 + size] = zlib.crc32(data[12 : 12 + size - 4]).to_bytes(4, "little")
    with pytest.raises(Damaged, match="not valid xz: Memory usage limit"):
        plain(bytes(data))


def test_a_disk_that_fails_is_not_taken_for_a_damaged_stream() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "input/output error")

    with pytest.raises(OSError, match="input/output error"):
        unpacked(Failing(), Packing.BZIP2, what="it").read(1)
