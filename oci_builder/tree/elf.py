"""What a shared object or program says of itself to the loader (gABI; symbol versions: LSB, chapter 10.7).

Read from the program headers and the dynamic section alone, as the loader does: sections may be stripped. The few
structures needed are unpacked here, because every file of an image is asked (docs/decisions/elf.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from oci_builder.errors import DamagedElf

MAGIC = b"\x7fELF"
_MACHINES = {62: "x86_64", 183: "aarch64"}
_OTHERS = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 243: "riscv", 258: "loongarch"}
_KINDS = {1: "ET_REL", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_WEAK = 2
_LONGEST = 4096
"""Bytes of one name, tags of one dynamic section, or symbol versions of one file: more means damage."""

_MOST_SEGMENTS = 512
"""Program headers; each address is looked up in all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """The dynamic section in values. Empty text and tuples stand for what a file does not say.

    ``machine`` is ``uname -m``'s word ("x86_64"), also for those no image is built for; ``kind`` is ``ET_DYN`` for
    shared objects and position-independent programs, ``ET_EXEC``, ``ET_REL``. ``handed_on`` tells that ``runpath`` is
    a DT_RPATH, which also counts for the libraries that the file loads. ``wanted`` are the symbol versions that must
    be there, each with the library it is looked for in; ``versions`` those that the file offers.
    """

    machine: str
    bits: int
    kind: str
    interpreter: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    handed_on: bool = False
    wanted: tuple[tuple[str, str], ...] = ()
    versions: tuple[str, ...] = ()


def parse(data: bytes | bytearray | memoryview, *, what: str) -> Elf | None:
    """What the file says, or None if it is no ELF file. ``what`` names it in errors. Raises DamagedElf."""
    if bytes(data[:4]) != MAGIC:
        return None
    try:
        with memoryview(data) as view:
            return _Reader(view).elf()
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise DamagedElf(what, str(error) or "it ends too early") from error


@dataclass(slots=True)
class _Dynamic:
    """The dynamic section: numbers by tag, and the names it lists, still as offsets."""

    values: dict[int, int] = field(default_factory=dict)
    needed: list[int] = field(default_factory=list)


class _Reader:
    """One file: its program headers, and what they lead to."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._wide = view[4] == 2
        self._order = ">" if view[5] == 2 else "<"
        self._kind, self._machine = self._numbers("HH", 16)
        self._segments = list(self._headers())

    def elf(self) -> Elf:
        """The whole of it in values."""
        dynamic = self._dynamic()
        values = dynamic.values
        handed_on = _RUNPATH not in values and _RPATH in values
        # DT_RPATH counts only where there is no DT_RUNPATH (ld.so(8)).
        path = self._named(values, _RPATH if handed_on else _RUNPATH)
        machine = _MACHINES.get(self._machine) or _OTHERS.get(self._machine, f"machine {self._machine}")
        return Elf(
            machine=machine,
            bits=64 if self._wide else 32,
            kind=_KINDS.get(self._kind, f"type {self._kind}"),
            interpreter=next((self._text(at) for kind, at, _, size in self._segments if kind == _INTERP and size), ""),
            soname=self._named(values, _SONAME),
            needed=tuple(self._name(values, at) for at in dynamic.needed),
            runpath=tuple(part for part in path.split(":") if part),
            handed_on=handed_on,
            wanted=tuple(self._wanted(values)),
            versions=tuple(self._versions(values)),
        )

    def _headers(self) -> Iterator[tuple[int, int, int, int]]:
        """Kind, offset, address and size in the file of every segment."""
        offset, size, count = (*self._numbers("Q", 32), *self._numbers("HH", 54)) if self._wide else self._narrow()
        if count > _MOST_SEGMENTS:
            raise ValueError(f"it has {count} program headers, more than {_MOST_SEGMENTS}")
        for at in range(offset, offset + size * count, size or 1):
            if self._wide:
                kind, _, start, address, _, length = self._numbers("IIQQQQ", at)
            else:
                kind, start, address, _, length = self._numbers("IIIII", at)
            yield kind, start, address, length

    def _narrow(self) -> tuple[int, int, int]:
        (offset,) = self._numbers("I", 28)
        size, count = self._numbers("HH", 42)
        return offset, size, count

    def _dynamic(self) -> _Dynamic:
        found = _Dynamic()
        where = next(((start, length) for kind, start, _, length in self._segments if kind == _DYNAMIC), (0, 0))
        form, step = ("qQ", 16) if self._wide else ("iI", 8)
        for at in range(where[0], where[0] + min(where[1], _LONGEST * step), step):
            tag, value = self._numbers(form, at)
            if tag == 0:
                break
            if tag == _NEEDED:
                found.needed.append(value)
            else:
                found.values.setdefault(tag & 0xFFFFFFFF, value)
        return found

    def _wanted(self, values: dict[int, int]) -> Iterator[tuple[str, str]]:
        at, left = self._offset(values[_VERNEED]) if _VERNEED in values else 0, _LONGEST
        for _ in range(min(values.get(_VERNEEDNUM, 0), _LONGEST) if at else 0):
            _, count, file, first, following = self._numbers("HHIII", at)
            library, inner, left = self._name(values, file), at + first, left - count
            if left < 0:
                raise ValueError(f"it wants more than {_LONGEST} versions of symbols")
            for _ in range(count):
                _, flags, _, name, step = self._numbers("IHHII", inner)
                if not flags & _WEAK:
                    yield library, self._name(values, name)
                inner += step
            at += following

    def _versions(self, values: dict[int, int]) -> Iterator[str]:
        at = self._offset(values[_VERDEF]) if _VERDEF in values else 0
        for _ in range(min(values.get(_VERDEFNUM, 0), _LONGEST) if at else 0):
            _, _, _, _, _, first, following = self._numbers("HHHHIII", at)
            (name,) = self._numbers("I", at + first)
            yield self._name(values, name)
            at += following

    def _named(self, values: dict[int, int], tag: int) -> str:
        return self._name(values, values[tag]) if tag in values else ""

    def _name(self, values: dict[int, int], offset: int) -> str:
        return self._text(self._offset(values.get(_STRTAB, 0)) + offset)

    def _offset(self, address: int) -> int:
        """Where in the file the loader would find what it maps to ``address``."""
        for kind, start, first, length in self._segments:
            if kind == _LOAD and first <= address < first + length:
                return start + address - first
        raise ValueError(f"its dynamic section points to {address:#x}, which is not in the file")

    def _text(self, at: int) -> str:
        raw = bytes(self._view[at : at + _LONGEST])
        end = raw.find(b"\0")
        if end < 0:
            raise ValueError("a name in it has no end")
        return raw[:end].decode("utf-8", "replace")

    def _numbers(self, form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{self._order}{form}", self._view, at)
