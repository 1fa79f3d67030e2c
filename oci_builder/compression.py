"""Gzip as ocibuild writes it and everybody else does (RFC 1952): members, one after the other, read and packed.

zlib reads, since it alone says where a member ends; libdeflate packs whole blocks, several times quicker than a stream.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import deflate

Buffer = bytes | bytearray | memoryview

_WINDOW = 16 + zlib.MAX_WBITS
"""What tells zlib to expect gzip's header and trailer, and to check the trailer."""

PIECE = 16 << 10
"""Bytes to feed at a time where members may be many: at the end of each, zlib copies what is left of them."""

BLOCK = 4 << 20
"""Bytes of a stream that become one gzip member: fixed, so that the same stream is packed into the same bytes."""


class NotGzip(Exception):
    """Bytes that are no gzip member; the message is zlib's. Translated by whoever knows what was read."""


class Gunzip:
    """Inflates gzip members in a row as they are fed, and knows where one ends; CRC and length of each are checked."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_WINDOW)
        self._inside = False

    @property
    def between(self) -> bool:
        """Whether no member is begun and not ended: here another may begin, or all may end."""
        return not self._inside

    def feed(self, packed: Buffer, most: int = 0) -> tuple[bytes, int]:
        """What the first bytes of ``packed`` inflate to, ``most`` bytes at the most (0: all), and how many those were.

        Call again with the rest. Never reads past a member's end. Raises NotGzip.
        """
        if self._inflater.eof:
            self._inflater = zlib.decompressobj(_WINDOW)
        try:
            data = self._inflater.decompress(packed, most)
        except zlib.error as error:
            raise NotGzip(str(error)) from error
        self._inside = not self._inflater.eof
        # At a member's end the tail may repeat what is unused.
        left = self._inflater.unconsumed_tail if self._inside else self._inflater.unused_data
        return data, len(packed) - len(left)


def gunzip_head(packed: Buffer, most: int) -> tuple[bytes, bool]:
    """The first bytes, ``most`` at the most, of a member that may be cut off; and whether it and ``packed`` end there.

    Raises NotGzip.
    """
    inflater = zlib.decompressobj(_WINDOW)
    try:
        data = inflater.decompress(packed, most)
    except zlib.error as error:
        raise NotGzip(str(error)) from error
    return data, inflater.eof and not inflater.unused_data


class Sink(Protocol):
    """What packed bytes are written to."""

    def write(self, data: Buffer, /) -> object:
        """Take all of ``data``."""


class BlockPacker:
    """Packs what is written, a gzip member for each BLOCK: the same bytes however it is fed."""

    def __init__(self, sink: Sink, level: int) -> None:
        self._sink, self._level = sink, level
        self._pending = bytearray()

    def write(self, data: bytes) -> int:
        """Take ``data``; a full block is packed at once."""
        self._pending += data
        while len(self._pending) >= BLOCK:
            self._pack(BLOCK)
        return len(data)

    def close(self) -> None:
        """Pack what is left; the sink stays open."""
        if self._pending:
            self._pack(len(self._pending))

    def _pack(self, size: int) -> None:
        self._sink.write(deflate.gzip_compress(self._pending[:size], self._level))
        del self._pending[:size]
