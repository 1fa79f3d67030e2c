"""The bytes of an entry, read where they lie and checked as they pass."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import deflate

from oci_builder.compression import Buffer, Gunzip, NotGzip, gunzip_head
from oci_builder.confined import Found
from oci_builder.digest import CHUNK
from oci_builder.errors import DigestMismatch
from oci_builder.files import open_regular
from oci_builder.tree.entry import Checked, Content, DeflateSlice, FileSlice, Inline, Member, Packed, Spliced, Whole

_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""A gzip header (RFC 1952) that says nothing of the machine: no name, no time, unknown system."""

_TRAILER = struct.Struct("<II")
"""What ends a gzip member: CRC-32 and size."""

_PAGE = 4096

LARGE = 32 << 20
"""Bytes of content above which it is streamed: whole, it would set the peak of memory."""


class MappedFiles:
    """The files that contents lie in, mapped while they are needed."""

    def __init__(self) -> None:
        self._maps: dict[Path, memoryview] = {}
        self._open: list[mmap.mmap] = []
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._maps.clear()
        for mapped in self._open:
            # An error on its way up still holds slices; then the map goes with the last of them.
            with contextlib.suppress(BufferError):
                mapped.close()

    def slice(self, file: Path, offset: int, length: int) -> memoryview:
        """``length`` bytes of ``file`` from ``offset``, not copied. Raises OSError; DigestMismatch if it is shorter."""
        if not length:
            return memoryview(b"")
        view = self._maps.get(file)
        if view is None:
            view = self._maps[file] = memoryview(self._map(file))
        if offset + length > len(view):
            raise DigestMismatch(str(file), expected=f"{offset + length} bytes or more", actual=f"{len(view)}")
        self._seen += length
        if self._seen > LARGE:
            self.let_go()
        return view[offset : offset + length]

    def pieces(self, view: memoryview) -> Iterator[memoryview]:
        """A slice in pieces of CHUNK bytes; what has been passed does not stay in memory."""
        for start in range(0, len(view), CHUNK):
            if start % LARGE == 0:
                self.let_go()
            yield view[start : start + CHUNK]

    def let_go(self) -> None:
        """Have no mapped page count as ours until it is wanted; whoever still looks at one gets it again."""
        for mapped in self._open:
            mapped.madvise(mmap.MADV_DONTNEED)
        self._seen = 0

    def mapped(self, file: Path) -> mmap.mmap:
        """All of ``file``, for a reader that seeks. Raises OSError; ValueError for an empty file."""
        mapped = self._map(file)
        self._maps[file] = memoryview(mapped)
        return mapped

    def _map(self, file: Path) -> mmap.mmap:
        with open_regular(file) as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._open.append(mapped)
        return mapped

    def chunks(self, content: Content, *, what: str) -> Iterator[Buffer]:
        """The content's bytes, in pieces; at the end its length, CRC and promised digest have been checked.

        Raises DigestMismatch, naming ``what``.
        """
        match content:
            case FileSlice(file, offset, size):
                yield from self.pieces(self.slice(file, offset, size))
            case Checked(part, expected, crc):
                pieces = self.pieces(self.slice(part.file, part.offset, part.size))
                yield from _promised(_summed(pieces, crc, what), expected, what)
            case DeflateSlice(raw=None) if not is_held(content):
                yield from self.inflated(content, what=what, passed=lambda piece: None)
            case Whole(found, size):
                yield from _read(found, size)
            case Member(blob, offset, size):
                yield from self._members(blob, offset, size, what)
            case Spliced():
                yield from self.copied(content, what=what, passed=lambda piece: None)
            case _:
                yield self.whole(content, what=what)

    def whole(self, content: Content, *, what: str) -> Buffer:
        """All of a content that is no larger than LARGE, checked as by ``chunks``. Raises DigestMismatch."""
        match content:
            case Inline(data):
                return data
            case DeflateSlice(raw=bytes() as raw) | Packed(raw=bytes() as raw):
                return raw
            case Packed(member, size):
                return deflate.gzip_decompress(member, size)
            case DeflateSlice() if is_held(content):
                return self.spliced(content, what=what)[1]
            case FileSlice(file, offset, size):
                return self.slice(file, offset, size)
            case Checked(part, expected, crc) if part.size <= LARGE:
                stored = self.slice(part.file, part.offset, part.size)
                if crc is not None and deflate.crc32(stored) != crc:
                    raise _damaged(what)
                return _checked(stored, expected, what)
            case _:
                return b"".join(self.chunks(content, what=what))

    def read(self, content: Content, *, what: str) -> bytes:
        """All of a content that is known to be small. Raises DigestMismatch."""
        return bytes(self.whole(content, what=what))

    def spliced(self, content: DeflateSlice, *, what: str) -> tuple[bytes, Buffer]:
        """A stream that ``is_held`` as the gzip member of a layer, and what inflating that very member gave, checked.

        Raises DigestMismatch.
        """
        member = b"".join(self._member(content))
        if content.raw is not None:
            return member, content.raw
        return member, _checked(_inflated(member, content, what), content.expected, what)

    def inflated(
        self, content: DeflateSlice, *, what: str, passed: Callable[[bytes | memoryview], None]
    ) -> Iterator[Buffer]:
        """The same for any stream, in pieces; ``passed`` is given the member, as far as it has been read.

        Believe neither before the end.
        """

        def fed() -> Iterator[bytes | memoryview]:
            for piece in self._member(content):
                passed(piece)
                yield piece

        return _promised(_inflated_in_pieces(fed(), content, what), content.expected, what)

    def _member(self, content: DeflateSlice) -> Iterator[bytes | memoryview]:
        """A gzip member made of a deflate stream, which stays as it is, and of what its zip entry says of it."""
        yield _HEADER
        yield from self.pieces(self.slice(content.file, content.offset, content.length))
        yield _TRAILER.pack(content.crc, content.size & 0xFFFFFFFF)

    def copied(self, content: Spliced, *, what: str, passed: Callable[[bytes | memoryview], None]) -> Iterator[bytes]:
        """A content that has members of its own, in pieces; ``passed`` is given the members, as far as they are read.

        Believe neither before the end. Raises DigestMismatch.
        """
        seen, at = hashlib.sha256(), content.member
        for piece in self._members(at.blob, at.offset, at.size, what, passed):
            seen.update(piece)
            yield piece
        if seen.hexdigest() != content.sha256:
            raise _damaged_blob(at.blob, what)

    def _members(
        self, blob: Path, offset: int, size: int, what: str, passed: Callable[[memoryview], None] | None = None
    ) -> Iterator[bytes]:
        # Files of a layer in the store, whose index says where their members begin.
        found, packed, gunzip = 0, memoryview(b""), Gunzip()
        piece = min(CHUNK, size + _PAGE)
        with open_regular(blob) as stream:
            stream.seek(offset)
            # To the end of the last member: its CRC comes behind its content.
            while (found < size or not gunzip.between) and (packed := packed or memoryview(stream.read(piece))):
                try:
                    data, used = gunzip.feed(packed, 4 * CHUNK)
                except NotGzip as error:
                    raise _damaged_blob(blob, what) from error
                if passed is not None:
                    passed(packed[:used])
                packed = packed[used:]
                found += len(data)
                yield data
        if found != size or not gunzip.between:
            raise _damaged_blob(blob, what)


def _read(found: Found, size: int) -> Iterator[bytes]:
    """The bytes of a file that is let go afterwards: a folder may hold more of them than can be mapped."""
    with found.open() as stream:
        while size and (data := stream.read(min(size, CHUNK))):
            size -= len(data)
            yield data
        found.check(stream)


def is_held(content: DeflateSlice) -> bool:
    """Whether a stream and its content are small enough to be in memory together."""
    # A stream of twice its content is no encoder's; who makes one gets it read in pieces.
    return content.size <= LARGE and content.length <= 2 * LARGE


def _inflated(member: bytes, content: DeflateSlice, what: str) -> Buffer:
    """The content of an assembled gzip member, of which nothing is left over."""
    if not content.size:
        return _inflated_exactly(member, content, what)
    try:
        data = deflate.gzip_decompress(member, content.size)
    except (deflate.DeflateError, ValueError) as error:
        raise _damaged(what) from error
    # libdeflate is content with the first 8 bytes behind the stream, and says nothing of more. They are the trailer's,
    # if that is right; and if more came between, the same 8 bytes stand in two places.
    if len(data) != content.size or deflate.crc32(data) != content.crc:
        raise _damaged(what)
    if member.rfind(member[-_TRAILER.size :], len(_HEADER), len(member) - 1) >= 0:
        return _inflated_exactly(member, content, what)
    return data


def _inflated_exactly(member: bytes, content: DeflateSlice, what: str) -> bytes:
    """The same, slowly, by a decoder that says where it ended."""
    try:
        data, ends = gunzip_head(member, content.size + 1)
    except NotGzip as error:
        raise _damaged(what) from error
    if not ends or len(data) != content.size:
        raise _damaged(what)
    return data


def _summed(pieces: Iterator[memoryview], crc: int | None, what: str) -> Iterator[memoryview]:
    seen = 0
    for piece in pieces:
        seen = deflate.crc32(piece, seen) if crc is not None else 0
        yield piece
    if crc is not None and seen != crc:
        raise _damaged(what)


def _promised(
    pieces: Iterator[bytes] | Iterator[memoryview], expected: tuple[str, bytes] | None, what: str
) -> Iterator[bytes | memoryview]:
    if expected is None:
        yield from pieces
        return
    seen = _hashing(expected[0])
    for piece in pieces:
        seen.update(piece)
        yield piece
    _check(seen, expected, what)


def _checked(data: Buffer, expected: tuple[str, bytes] | None, what: str) -> Buffer:
    if expected is not None:
        _check(_hashing(expected[0], data), expected, what)
    return data


def _hashing(algorithm: str, data: Buffer = b"") -> hashlib._Hash:
    # By name only for the rare ones: looking the name up costs more than hashing a small file.
    return hashlib.sha256(data) if algorithm == "sha256" else hashlib.new(algorithm, data)


def _check(seen: hashlib._Hash, expected: tuple[str, bytes], what: str) -> None:
    algorithm, digest = expected
    if seen.digest() != digest:
        raise DigestMismatch(
            what,
            expected=f"{algorithm}:{digest.hex()}",
            actual=f"{algorithm}:{seen.hexdigest()}",
            hint="its RECORD says otherwise: the wheel was changed after it was built; get it again, or name it under "
            "[python] unverified in image.toml, if it is right as it is",
        )


def _inflated_in_pieces(member: Iterator[bytes | memoryview], content: DeflateSlice, what: str) -> Iterator[bytes]:
    gunzip, size, pending = Gunzip(), 0, memoryview(next(member))
    while pending and size <= content.size:
        try:
            # It checks the trailer too, when it comes to it.
            data, used = gunzip.feed(pending, 4 * CHUNK)
        except NotGzip as error:
            raise _damaged(what) from error
        pending = pending[used:] or memoryview(next(member, b""))
        size += len(data)
        yield data
        if gunzip.between:
            break
    if not gunzip.between or pending or size != content.size:
        raise _damaged(what)


def _damaged_blob(blob: Path, what: str) -> DigestMismatch:
    return DigestMismatch(
        what,
        expected="the content its layer was made with",
        actual=f"a damaged member of {blob}",
        hint="remove that file and build again",
    )


def _damaged(what: str) -> DigestMismatch:
    return DigestMismatch(
        what,
        expected="the content its zip entry names",
        actual="a damaged stream",
        hint="the wheel is damaged; get it again",
    )
