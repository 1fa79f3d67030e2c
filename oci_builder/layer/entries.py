"""The entries of a layer, held small: a hundred bytes each, where values of Python's would take a thousand."""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import overload

import msgspec


class IndexEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One path of a finished layer, and where in the blob its content's first gzip member begins (bytes)."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: str
    sha256: str
    origin: str
    offset: int


MANY = 20_000
"""Entries that are held small where there are more; fewer are quicker to look at as values."""

_LEVEL = 1
_PIECE = 1 << 20
_KINDS = ("file", "directory", "symlink", "hardlink", "whiteout", "opaque")
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry as it is held: names are bytes, for they may be no UTF-8; kind and origin are numbers."""

    path: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: bytes
    sha256: bytes
    origin: int
    offset: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


class Entries(Sequence[IndexEntry]):
    """Entries in one block of memory; each is made a value when it is looked at. Only ``add`` changes them."""

    __slots__ = ("_ends", "_numbers", "_origins", "_rows")

    def __init__(self, entries: Iterable[IndexEntry] = ()) -> None:
        self._rows, self._ends = bytearray(), array("Q", [0])
        self._origins: list[str] = []
        self._numbers: dict[str, int] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: IndexEntry) -> int:
        """Append an entry and return its number."""
        origin = self._numbers.setdefault(entry.origin, len(self._origins))
        if origin == len(self._origins):
            self._origins.append(entry.origin)
        row = _Row(
            path=_bytes(entry.path),
            kind=_NUMBERS[entry.kind],
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime,
            size=entry.size,
            target=_bytes(entry.target),
            sha256=bytes.fromhex(entry.sha256),
            origin=origin,
            offset=entry.offset,
        )
        self._rows += _encode(row)
        self._ends.append(len(self._rows))
        return len(self._ends) - 2

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, number: int) -> IndexEntry: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[IndexEntry]: ...

    def __getitem__(self, number: int | slice) -> IndexEntry | Sequence[IndexEntry]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        at = number % len(self)
        row = _decode(memoryview(self._rows)[self._ends[at] : self._ends[at + 1]])
        return IndexEntry(
            _text(row.path),
            _KINDS[row.kind],
            row.mode,
            row.uid,
            row.gid,
            row.mtime,
            row.size,
            _text(row.target) if row.target else "",
            row.sha256.hex(),
            self._origins[row.origin],
            row.offset,
        )

    def __iter__(self) -> Iterator[IndexEntry]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Entries) and other._origins == self._origins:
            return self._rows == other._rows and self._ends == other._ends
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash((len(self), bytes(self._rows)))

    def dump(self) -> bytes:
        """The entries as bytes for a record, packed: names repeat each other."""
        lengths = array("H", (end - start for start, end in pairwise(self._ends)))
        if sys.byteorder == "big":
            lengths.byteswap()
        packer = zlib.compressobj(_LEVEL)
        rows = b"".join((*(packer.compress(piece) for piece in _pieces(self._rows)), packer.flush()))
        return _encode(_Dump(self._origins, zlib.compress(lengths, _LEVEL), rows))

    @classmethod
    def load(cls, data: bytes) -> Entries:
        """The entries that ``dump`` gave as bytes. Raises ValueError for others."""
        made = cls()
        try:
            dump = msgspec.msgpack.decode(data, type=_Dump)
            unpacker, lengths = zlib.decompressobj(), array("H", zlib.decompress(dump.lengths))
            for piece in _pieces(dump.rows):
                made._rows += unpacker.decompress(piece)
        except (msgspec.MsgspecError, zlib.error) as error:
            raise ValueError(f"no entries: {error}") from error
        if sys.byteorder == "big":
            lengths.byteswap()
        made._origins = dump.origins
        made._numbers = {origin: number for number, origin in enumerate(dump.origins)}
        made._ends.extend(accumulate(lengths))
        if made._ends[-1] != len(made._rows) or not unpacker.eof:
            raise ValueError("rows and their lengths do not fit")
        return made


def held(entries: Iterable[IndexEntry], *, count: int) -> Sequence[IndexEntry]:
    """``entries``, of which there are about ``count``: as values, or small where they are many."""
    return Entries(entries) if count > MANY else tuple(entries)


class _Dump(msgspec.Struct, frozen=True, array_like=True):
    origins: list[str]
    lengths: bytes
    rows: bytes


def _pieces(data: bytes | bytearray) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
