"""Files of xz streams, and others that are streams in a row, unpacked as they are read and within a limit of memory."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from typing import Protocol

_CHUNK = 1 << 18
_PIECE = 4 << 10
"""Bytes fed at a time: a stream may have 14 (bzip2) or 32 (xz), and what lies behind it in a piece is copied."""


class _Packed(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Stream(Protocol):
    """What the decompressors of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without more going in."""

    @property
    def unused_data(self) -> bytes:
        """What lies behind the stream."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most so many bytes of what comes out."""


class Streams:
    """The content of a file of any number of streams, each unpacked by what ``opened`` gives for it.

    Where it is ``padded``, zeros may lie between and behind them.
    """

    def __init__(self, packed: _Packed, opened: Callable[[], _Stream], *, padded: bool = False) -> None:
        self._source, self._opened, self._padded = packed, opened, padded
        self._stream: _Stream | None = None
        # What was read and not fed yet, and the same with the piece before it, which the stream may give back in part.
        self._packed = self._fed = memoryview(b"")
        self._plain = bytearray()

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises EOFError, and what the decompressor raises."""
        while len(self._plain) < size and self._more():
            pass
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def _more(self) -> bool:
        if self._stream is not None and not self._stream.needs_input:
            self._take(self._stream, b"")
            return True
        self._packed = self._packed or memoryview(self._source.read(_CHUNK))
        if not self._packed:
            if self._stream is not None:
                raise EOFError("the stream is cut off")
            return False
        self._fed, self._packed = self._packed, self._packed[_PIECE:]
        data = bytes(self._fed[:_PIECE])
        if self._padded and self._stream is None:
            data = data.lstrip(b"\0")
        if data:
            self._take(self._stream or self._opened(), data)
        return True

    def _take(self, stream: _Stream, data: bytes) -> None:
        self._plain += stream.decompress(data, _CHUNK)
        self._stream = None if stream.eof else stream
        if stream.eof:
            # A view, and no copy: of a file of tiny streams each would copy all that is behind it.
            self._packed = self._fed[len(self._fed) - len(self._packed) - len(stream.unused_data) :]


class Unxz(Streams):
    """The content of an xz file. ``memory`` is what unpacking may take, in bytes: a stream says how much it wants."""

    def __init__(self, packed: _Packed, *, memory: int) -> None:
        # Padding: zeros fill up the last block of a stream (xz file format, 2.2).
        super().__init__(packed, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory), padded=True)
