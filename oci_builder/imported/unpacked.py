"""Compressed bytes read as plain ones, both hashed, in flat memory."""

from __future__ import annotations

import enum
import hashlib
import zlib
from typing import TYPE_CHECKING

from oci_builder.digest import CHUNK, Digest
from oci_builder.tree.limits import ByteReader, Damaged

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)))
"""A frame of data, and those that readers skip (RFC 8878, 3.1): zstd:chunked layers may begin with one."""

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 16 << 10
"""Bytes fed at a time: zlib copies what is left of them at each member's end, and a layer has tens of thousands."""

_ZSTD_PIECE = 512
"""Bytes fed at a time: zstandard gives all they stand for at once, and 4 bytes may stand for 128 KiB."""

_ZSTD_WINDOW = 128 << 20
"""Bytes a frame may look back: what ``zstd --long`` writes and every decoder takes."""

HEAD = 4
"""Bytes that tell a compression."""


class Packing(enum.Enum):
    """How bytes are compressed."""

    NONE = "not at all"
    GZIP = "gzip"
    ZSTD = "zstd"


def packing_of(head: bytes) -> Packing:
    """How that is compressed which begins with ``head``."""
    if head[:2] == GZIP_MAGIC:
        return Packing.GZIP
    return Packing.ZSTD if head[:HEAD] in _ZSTD_MAGICS else Packing.NONE


def unpacked(source: ByteReader, packing: Packing, *, what: str) -> ByteReader:
    """``source`` as plain bytes; reading raises Damaged, naming ``what``."""
    if packing is Packing.GZIP:
        return Inflated(source, what=what)
    return Unzstd(source, what=what) if packing is Packing.ZSTD else source


class Hashed:
    """Passes reads on, counting and hashing what came."""

    def __init__(self, source: ByteReader) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        """Read and hash what is left."""
        while self.read(CHUNK):
            pass

    def digest(self) -> Digest:
        """The digest of what was read so far."""
        return Digest(self._hash.hexdigest())


class _Unpacked:
    """What comes out of compressed bytes, ``_more`` of it at a time."""

    def __init__(self, source: ByteReader, *, what: str) -> None:
        self._source, self._what = source, what
        self._packed = memoryview(b"")
        self._plain = bytearray()

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises Damaged, also for bytes after the last member or frame."""
        while len(self._plain) < size and self._more():
            pass
        data = bytes(self._plain[:size])
        del self._plain[:size]
        return data

    def _more(self) -> bool:
        """Add to what is plain; False at the end."""
        raise NotImplementedError


class Inflated(_Unpacked):
    """The content of a gzip file of any number of members (RFC 1952); each one's CRC and length are checked."""

    def __init__(self, source: ByteReader, *, what: str) -> None:
        super().__init__(source, what=what)
        self._inflater = zlib.decompressobj(_GZIP)
        self._begun = False

    def _more(self) -> bool:
        if self._inflater.eof:
            self._inflater, self._begun = zlib.decompressobj(_GZIP), False
        self._packed = self._packed or memoryview(self._source.read(CHUNK))
        if not self._packed:
            if self._begun:
                raise Damaged(f"{self._what}: the gzip stream is cut off")
            return False
        piece = self._packed[:_PIECE]
        try:
            self._plain += self._inflater.decompress(piece, CHUNK)
        except zlib.error as error:
            raise Damaged(f"{self._what}: not valid gzip: {error}") from error
        self._begun = True
        # At a member's end the tail may repeat what is unused.
        left = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        self._packed = self._packed[len(piece) - len(left) :]
        return True


class Unzstd(_Unpacked):
    """The content of a zstd file of any number of frames (RFC 8878); checksums are checked where a frame has one."""

    def __init__(self, source: ByteReader, *, what: str) -> None:
        super().__init__(source, what=what)
        self._frame: ZstdDecompressionObj | None = None

    def _more(self) -> bool:
        # Loaded only where there is a layer that needs it.
        from zstandard import ZstdDecompressor, ZstdError

        self._packed = self._packed or memoryview(self._source.read(CHUNK))
        if not self._packed:
            if self._frame is not None:
                raise Damaged(f"{self._what}: the zstd stream is cut off")
            return False
        frame = self._frame or ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        piece = self._packed[:_ZSTD_PIECE]
        try:
            self._plain += frame.decompress(piece)
        except ZstdError as error:
            raise Damaged(f"{self._what}: not valid zstd: {error}") from error
        self._packed = self._packed[len(piece) - len(frame.unused_data) :]
        self._frame = None if frame.eof else frame
        return True


class Section:
    """``size`` bytes of a seekable file from ``offset``; several may share the file if read one at a time."""

    def __init__(self, file: ByteReader, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data
