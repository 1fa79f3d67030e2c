"""Files of xz streams, unpacked as they are read and within a limit of memory: they say how much they want."""

from __future__ import annotations

import lzma
from typing import Protocol

_CHUNK = 1 << 18


class _Packed(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Unxz:
    """The content of a file of any number of xz streams. ``memory`` is what unpacking may take, in bytes."""

    def __init__(self, packed: _Packed, *, memory: int) -> None:
        self._packed, self._memory = packed, memory
        self._decoder: lzma.LZMADecompressor | None = None
        self._left, self._plain = b"", bytearray()

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises LZMAError, EOFError."""
        while len(self._plain) < size and self._more():
            pass
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def _more(self) -> bool:
        if self._decoder is None or self._decoder.eof:
            # Zeros fill up the last block of a stream (xz file format, 2.2).
            self._left = (self._left or self._packed.read(_CHUNK)).lstrip(b"\0")
            if not self._left:
                return False
            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=self._memory)
        elif self._decoder.needs_input and not self._left:
            self._left = self._packed.read(_CHUNK)
            if not self._left:
                raise EOFError("the xz stream is cut off")
        self._plain += self._decoder.decompress(self._left, _CHUNK)
        self._left = self._decoder.unused_data if self._decoder.eof else b""
        return True
