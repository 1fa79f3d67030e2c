"""Frames of zstd in a row (RFC 8878), unpacked as they are read. The only importer of zstandard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

_CHUNK = 1 << 18
_PIECE = 512
"""Bytes fed at a time: zstandard gives all they stand for at once, and 4 bytes may stand for 128 KiB."""


class _Packed(Protocol):
    def read(self, size: int, /) -> bytes: ...


class NotZstd(Exception):
    """Bytes that are no frame of zstd, or one that asks for more memory than is given; the message says why."""


class Frames:
    """The content of any number of frames; checksums are checked where a frame has one.

    ``window`` is how many bytes one may look back, which is the memory that it takes.
    """

    def __init__(self, packed: _Packed, *, window: int) -> None:
        self._source, self._window = packed, window
        self._frame: ZstdDecompressionObj | None = None
        self._packed = memoryview(b"")
        self._plain = bytearray()

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises EOFError for a frame that is cut off, NotZstd."""
        while len(self._plain) < size and self._more():
            pass
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def _more(self) -> bool:
        # Loaded only where there is something that needs it.
        from zstandard import ZstdDecompressor, ZstdError

        self._packed = self._packed or memoryview(self._source.read(_CHUNK))
        if not self._packed:
            if self._frame is not None:
                raise EOFError("the zstd stream is cut off")
            return False
        frame = self._frame or ZstdDecompressor(max_window_size=self._window).decompressobj()
        piece = self._packed[:_PIECE]
        try:
            self._plain += frame.decompress(piece)
        except ZstdError as error:
            raise NotZstd(str(error)) from error
        self._packed = self._packed[len(piece) - len(frame.unused_data) :]
        self._frame = None if frame.eof else frame
        return True
