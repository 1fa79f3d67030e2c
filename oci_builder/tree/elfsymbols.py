"""The names that a shared object offers to others and asks of them (gABI, "Symbol Table"), versions left out."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from oci_builder.errors import DamagedElf
from oci_builder.tree.elf import MAGIC

_LOAD, _DYNAMIC = 1, 2
_HASH, _STRTAB, _SYMTAB, _STRSZ, _GNU_HASH = 4, 5, 6, 10, 0x6FFFFEF5
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10
_MOST = 4_000_000
"""Symbols of one file; the largest libraries have half a million."""

_LONGEST, _TOGETHER = 4096, 256 << 20
"""Bytes of one name, and of all names of a file: many may lie in one text."""

_SEGMENTS, _TAGS = 512, 4096


@dataclass(frozen=True, slots=True)
class ElfSymbols:
    """``offered`` are names that are defined, ``wanted`` those that have to be found elsewhere, weak ones left out."""

    offered: frozenset[bytes] = frozenset()
    wanted: frozenset[bytes] = frozenset()


def parse_symbols(data: bytes | bytearray | memoryview, *, what: str) -> ElfSymbols:
    """The dynamic symbols of a 64-bit little-endian file; none of any other. Raises DamagedElf."""
    if bytes(data[:6]) != MAGIC + b"\2\1":
        return ElfSymbols()
    try:
        with memoryview(data) as view:
            return _Table(view).read()
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise DamagedElf(what, str(error) or "it ends too early") from error


class _Table:
    def __init__(self, view: memoryview) -> None:
        self._view = view
        (start,) = struct.unpack_from("<Q", view, 32)
        size, count = struct.unpack_from("<HH", view, 54)
        if count > _SEGMENTS or (count and size < 56):
            raise ValueError(f"it has {count} program headers of {size} bytes")
        self._segments = [struct.unpack_from("<IIQQQQ", view, start + size * number) for number in range(count)]

    def read(self) -> ElfSymbols:
        tags = self._tags()
        if _SYMTAB not in tags or _STRTAB not in tags:
            return ElfSymbols()
        count = min(self._count(tags), _MOST)
        table, strings = self._offset(tags[_SYMTAB]), self._offset(tags[_STRTAB])
        names = bytes(self._view[strings : strings + tags.get(_STRSZ, 0)])
        offered, wanted, left = set[bytes](), set[bytes](), _TOGETHER
        body = self._view[table : table + 24 * count]
        for name, info, _, section, _, _ in struct.iter_unpack("<IBBHQQ", body[: len(body) // 24 * 24]):
            binding = info >> 4
            if not name or binding not in (_GLOBAL, _WEAK, _UNIQUE):
                continue
            end = names.find(b"\0", name, name + _LONGEST)
            if end < 0:
                raise ValueError("a symbol's name has no end")
            left -= end - name
            if left < 0:
                raise ValueError("its symbols' names are too long together")
            text = names[name:end]
            if section:
                offered.add(text)
            elif binding != _WEAK:
                wanted.add(text)
        return ElfSymbols(frozenset(offered), frozenset(wanted))

    def _tags(self) -> dict[int, int]:
        for kind, _, start, _, _, size in self._segments:
            if kind == _DYNAMIC:
                found: dict[int, int] = {}
                for number in range(min(size // 16, _TAGS)):
                    tag, value = struct.unpack_from("<QQ", self._view, start + 16 * number)
                    if tag == 0:
                        break
                    found.setdefault(tag, value)
                return found
        return {}

    def _count(self, tags: dict[int, int]) -> int:
        """How many symbols there are: the dynamic section does not say it, but its hash tables do."""
        if _HASH in tags:
            (count,) = struct.unpack_from("<I", self._view, self._offset(tags[_HASH]) + 4)
            return int(count)
        if _GNU_HASH not in tags:
            return 0
        at = self._offset(tags[_GNU_HASH])
        buckets, first, words, _ = struct.unpack_from("<IIII", self._view, at)
        start = at + 16 + 8 * words
        if buckets > _MOST:
            raise ValueError(f"its hash table has {buckets} buckets")
        last = max(struct.unpack_from(f"<{buckets}I", self._view, start), default=0)
        if last < first:
            return int(first)
        chain = start + 4 * buckets
        # The last symbol of a chain has its lowest bit set.
        while not struct.unpack_from("<I", self._view, chain + 4 * (last - first))[0] & 1:
            last += 1
        return int(last) + 1

    def _offset(self, address: int) -> int:
        for kind, _, start, first, _, length in self._segments:
            if kind == _LOAD and first <= address < first + length:
                return int(start + address - first)
        raise ValueError(f"its dynamic section points to {address:#x}, which is not in the file")
