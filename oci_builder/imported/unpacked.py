"""Compressed bytes read as plain ones, both hashed, in flat memory."""

from __future__ import annotations

import bz2
import enum
import hashlib
import lzma
import os
from typing import BinaryIO

from oci_builder.compression import PIECE, Gunzip, NotGzip
from oci_builder.digest import CHUNK, Digest
from oci_builder.tree import sparse
from oci_builder.tree.limits import ByteReader, Damaged
from oci_builder.tree.tarstream import TarMember
from oci_builder.xz import Streams, Unxz
from oci_builder.zstd import Frames, NotZstd

GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)))
"""A frame of data, and those that readers skip (RFC 8878, 3.1): zstd:chunked layers may begin with one."""

_BZIP2_MAGIC, _XZ_MAGIC = b"BZh", b"\xfd7zXZ\0"

_ZSTD_WINDOW = 128 << 20
"""Bytes a frame may look back: what ``zstd --long`` writes and every decoder takes."""

_XZ_MEMORY = 128 << 20
"""Bytes that unpacking xz may take: its highest level asks for half of them."""

HEAD = 6
"""Bytes that tell a compression."""


class Packing(enum.Enum):
    """How bytes are compressed."""

    NONE = "not at all"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


def packing_of(head: bytes) -> Packing:
    """How that is compressed which begins with ``head``."""
    if head[:2] == GZIP_MAGIC:
        return Packing.GZIP
    if head[:3] == _BZIP2_MAGIC:
        return Packing.BZIP2
    if head[:6] == _XZ_MAGIC:
        return Packing.XZ
    return Packing.ZSTD if head[:4] in _ZSTD_MAGICS else Packing.NONE


def unpacked(source: ByteReader, packing: Packing, *, what: str) -> ByteReader:
    """``source`` as plain bytes; reading raises Damaged, naming ``what``."""
    if packing is Packing.NONE:
        return source
    if packing is Packing.GZIP:
        return Inflated(source, what=what)
    if packing is Packing.ZSTD:
        return Unzstd(source, what=what)
    if packing is Packing.BZIP2:
        return _Unstreamed(Streams(source, bz2.BZ2Decompressor), "bzip2", what=what)
    return _Unstreamed(Unxz(source, memory=_XZ_MEMORY), "xz", what=what)


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
        self._gunzip = Gunzip()

    def _more(self) -> bool:
        self._packed = self._packed or memoryview(self._source.read(CHUNK))
        if not self._packed:
            if not self._gunzip.between:
                raise Damaged(f"{self._what}: the gzip stream is cut off")
            return False
        try:
            data, used = self._gunzip.feed(self._packed[:PIECE], CHUNK)
        except NotGzip as error:
            raise Damaged(f"{self._what}: not valid gzip: {error}") from error
        self._plain += data
        self._packed = self._packed[used:]
        return True


class Unzstd:
    """The content of a zstd file of any number of frames (RFC 8878); checksums are checked where a frame has one."""

    def __init__(self, source: ByteReader, *, what: str) -> None:
        self._frames, self._what = Frames(source, window=_ZSTD_WINDOW), what

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises Damaged."""
        try:
            return self._frames.read(size)
        except EOFError as error:
            raise Damaged(f"{self._what}: {error}") from error
        except NotZstd as error:
            raise Damaged(f"{self._what}: not valid zstd: {error}") from error


class _Unstreamed:
    """The content of a bzip2 or xz file of any number of streams; their checksums are checked."""

    def __init__(self, plain: Streams, name: str, *, what: str) -> None:
        self._plain, self._name, self._what = plain, name, what

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises Damaged."""
        try:
            return self._plain.read(size)
        except EOFError as error:
            raise Damaged(f"{self._what}: the {self._name} stream is cut off") from error
        except (OSError, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the file's own; that of bz2 for what is none of its streams has no number
            raise Damaged(f"{self._what}: not valid {self._name}: {error}") from error


class Section:
    """``size`` bytes of an open file from ``offset``. Several may be read at once, by several threads too.

    The file's own place does not count, and does not move; the file has to stay open.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._number, self._at, self._left = file.fileno(), offset, size

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""
        data = os.pread(self._number, min(size, self._left), self._at)
        self.pass_over(len(data))
        return data

    def pass_over(self, count: int, /) -> int:
        """Go on ``count`` bytes further, or to the end; gives the bytes that were passed over."""
        passed = min(count, self._left)
        self._at += passed
        self._left -= passed
        return passed


class Filled:
    """A file of a tar that has holes there, read as it is without; ``stored`` is what the tar has of it."""

    def __init__(self, stored: ByteReader, member: TarMember) -> None:
        assert member.pieces is not None
        self._pieces = sparse.filled(member.pieces, member.size, iter(lambda: stored.read(CHUNK), b""))
        self._pending = b""

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises Damaged."""
        parts = [self._pending[:size]]
        missing, self._pending = size - len(parts[0]), self._pending[size:]
        while missing and (piece := next(self._pieces, b"")):
            parts.append(piece[:missing])
            self._pending = piece[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
