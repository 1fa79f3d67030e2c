"""ELF files with nothing but what the loader reads of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MACHINES = {"x86_64": 62, "aarch64": 183, "i386": 3}
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29
_HASH, _SYMTAB, _STRSZ = 4, 6, 10
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True, kw_only=True)
class ElfSpec:
    """A shared object, or with an ``interpreter`` a program. ``wanted`` maps a library to the versions asked of it."""

    machine: str = "x86_64"
    needed: Sequence[str] = ()
    soname: str = ""
    runpath: str = ""
    rpath: str = ""
    interpreter: str = ""
    wanted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    weak: Sequence[str] = ()
    versions: Sequence[str] = ()
    offers: Sequence[str] = ()
    asks: Sequence[str] = ()
    """Symbols that it defines, and that it needs."""


def make_elf(spec: ElfSpec | None = None) -> bytes:
    """The bytes of a 64-bit little-endian ELF file; addresses are offsets."""
    spec = spec or ElfSpec()
    strings = bytearray(b"\0")

    def name(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text.encode()) - 1

    tags = [(_NEEDED, name(library)) for library in spec.needed]
    pairs = ((_SONAME, spec.soname), (_RPATH, spec.rpath), (_RUNPATH, spec.runpath))
    tags += [(tag, name(text)) for tag, text in pairs if text]
    verneed = _verneed(spec, name)
    verdef = _verdef(spec, name)
    symbols = _symbols(spec, name)
    count = len(symbols) // 24
    hashes = struct.pack("<III", 1, count, 0) + bytes(4 * count)
    interpreter = spec.interpreter.encode() + b"\0" if spec.interpreter else b""
    at = 64 + 56 * 3
    places = {}
    body = b""
    parts = [("strings", bytes(strings)), ("need", verneed), ("def", verdef), ("interpreter", interpreter)]
    parts += [("symbols", symbols), ("hashes", hashes)] if count else []
    for part, data in parts:
        places[part] = at + len(body)
        body += data + bytes(-len(data) % 8)
    tags.append((_STRTAB, places["strings"]))
    if count:
        tags += [(_STRSZ, len(strings)), (_SYMTAB, places["symbols"]), (_HASH, places["hashes"])]
    tags += [(_VERNEED, places["need"]), (_VERNEEDNUM, len(spec.wanted))] if spec.wanted else []
    tags += [(_VERDEF, places["def"]), (_VERDEFNUM, len(spec.versions))] if spec.versions else []
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in [*tags, (0, 0)])
    start = at + len(body)
    total = start + len(dynamic)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, MACHINES[spec.machine], 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, total, total, 0x1000)
    head += struct.pack("<IIQQQQQQ", 2, 6, start, start, start, len(dynamic), len(dynamic), 8)
    size = len(interpreter)
    head += struct.pack("<IIQQQQQQ", 3 if size else 0, 4, *[places["interpreter"]] * 3, size, size, 1)
    return head + body + dynamic


def _symbols(spec: ElfSpec, name: object) -> bytes:
    """The symbol table; the first symbol is nobody's."""
    assert callable(name)
    if not (spec.offers or spec.asks):
        return b""
    named = [(text, 1) for text in spec.offers] + [(text, 0) for text in spec.asks]
    return bytes(24) + b"".join(struct.pack("<IBBHQQ", name(text), 0x12, 0, section, 0, 0) for text, section in named)


def _verneed(spec: ElfSpec, name: object) -> bytes:
    assert callable(name)
    data = b""
    items = list(spec.wanted.items())
    for number, (library, versions) in enumerate(items):
        size = 16 + 16 * len(versions)
        data += struct.pack("<HHIII", 1, len(versions), name(library), 16, size if number < len(items) - 1 else 0)
        for index, version in enumerate(versions):
            step = 16 if index < len(versions) - 1 else 0
            data += struct.pack("<IHHII", 0, 2 if version in spec.weak else 0, 2, name(version), step)
    return data


def _verdef(spec: ElfSpec, name: object) -> bytes:
    assert callable(name)
    data = b""
    for number, version in enumerate(spec.versions):
        step = 28 if number < len(spec.versions) - 1 else 0
        data += struct.pack("<HHHHIII", 1, 0, number + 1, 1, 0, 20, step) + struct.pack("<II", name(version), 0)
    return data
