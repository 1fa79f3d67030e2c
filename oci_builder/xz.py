"""Files of xz streams, unpacked as they are read and within a limit of memory: they say how much they want."""

from __future__ import annotations

import lzma
from typing import Protocol

_CHUNK = 1 << 18
_PIECE = 4 << 10
"""Bytes fed at a time: a stream may have 32, and what lies behind it is copied."""


class _Packed(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Unxz:
    """The content of a file of any number of xz streams. ``memory`` is what unpacking may take, in bytes."""

    def __init__(self, packed: _Packed, *, memory: int) -> None:
        self._source, self._memory = packed, memory
        self._stream: lzma.LZMADecompressor | None = None
        # What was read and not fed yet, and the same with the piece before it, which the stream may give back in part.
        self._packed = self._fed = memoryview(b"")
        self._plain = bytearray()

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises LZMAError, EOFError."""
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
                raise EOFError("the xz stream is cut off")
            return False
        self._fed, self._packed = self._packed, self._packed[_PIECE:]
        data = bytes(self._fed[:_PIECE])
        if self._stream is None:
            # Zeros fill up the last block of a stream (xz file format, 2.2).
            data = data.lstrip(b"\0")
        if data:
            self._take(self._stream or lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=self._memory), data)
        return True

    def _take(self, stream: lzma.LZMADecompressor, data: bytes) -> None:
        self._plain += stream.decompress(data, _CHUNK)
        self._stream = None if stream.eof else stream
        if stream.eof:
            # A view, and no copy: of a file of tiny streams each would copy all that is behind it.
            self._packed = self._fed[len(self._fed) - len(self._packed) - len(stream.unused_data) :]
