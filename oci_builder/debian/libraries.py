"""Shared libraries of a tree: the loader's cache, and whether everything that is needed is there."""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from oci_builder.debian.ldconf import configured_folders
from oci_builder.errors import MissingLibrary
from oci_builder.tree import elf
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.elf import Elf
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree

_FLAGS = {"x86_64": 0x303, "aarch64": 0xA03}
"""What ldconfig writes of a 64-bit library of glibc (FLAG_X8664_LIB64, FLAG_AARCH64_LIB64, with FLAG_ELF_LIBC6)."""

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = 48
_ITEM = struct.Struct("<iIIIQ")
_LITTLE_ENDIAN = 2


def folders(machine: str) -> list[str]:
    """Where the loader of Debian looks, in ldconfig's order."""
    triplet = f"{machine}-linux-gnu"
    return [
        "usr/local/lib",
        f"usr/local/lib/{triplet}",
        f"lib/{triplet}",
        f"usr/lib/{triplet}",
        "lib",
        "usr/lib",
    ]


@dataclass(frozen=True, slots=True)
class Libraries:
    """The ELF files of a tree, each read once."""

    tree: Tree
    machine: str
    files: Mapping[EntryPath, Elf]
    searched: Sequence[str]

    @classmethod
    def of(cls, tree: Tree, machine: str, sources: MappedFiles) -> Libraries:
        """Read the headers of every file of ``tree`` that may be one. Raises DamagedElf."""
        return cls(tree, machine, _files(tree, sources), _searched(tree, machine, sources))

    def overlaid(self, upper: Tree, sources: MappedFiles) -> Libraries:
        """The same with ``upper`` over it; what was read is not read again. Raises DamagedElf."""
        together = self.tree.overlaid(upper)
        searched = _searched(together, self.machine, sources)
        return Libraries(together, self.machine, {**self.files, **_files(upper, sources)}, searched)

    def cache(self) -> bytes:
        """``/etc/ld.so.cache`` as ldconfig would write it: ``ctypes.util.find_library`` reads nothing else."""
        return _written(sorted(self._cached(), key=functools.cmp_to_key(_compare)))

    def missing(self, among: Container[str] | None = None) -> Iterator[tuple[str, EntryPath]]:
        """The libraries that are not where the loader looks, each with a file that needs it; ``among`` these files."""
        known = {name for folder in self._folders() for name in self._names(folder)}
        for path, parsed in self.files.items():
            for library in parsed.needed if among is None or path in among else ():
                if library not in known and not self._beside(library, path, parsed.runpath):
                    yield library, path

    def check(self, among: Container[str] | None = None) -> None:
        """Every library that a file needs, one ``among`` these, is where the loader looks. Raises MissingLibrary."""
        for library, path in self.missing(among):
            hint = "add its package to layer.toml, or drop the file that needs it"
            raise MissingLibrary(library, f"/{path}", hint=hint)

    def _folders(self) -> list[EntryPath]:
        # "lib" and "usr/lib" are one folder since usrmerge: the first name stands for both.
        return list(dict.fromkeys(self.tree.resolve(folder) for folder in self.searched))

    def _names(self, folder: str) -> Iterator[str]:
        start = f"{folder}/"
        for path in self.tree.paths:
            if path.startswith(start) and "/" not in path[len(start) :]:
                yield path[len(start) :]

    def _beside(self, library: str, path: str, runpath: Sequence[str]) -> bool:
        origin = path.rpartition("/")[0]
        for folder in runpath:
            place = folder.replace("${ORIGIN}", f"/{origin}").replace("$ORIGIN", f"/{origin}")
            if self.tree.resolve(f"{place}/{library}") in self.tree:
                return True
        return False

    def _cached(self) -> Iterator[tuple[str, str, int]]:
        seen: set[EntryPath] = set()
        for folder in self.searched:
            real = self.tree.resolve(folder)
            if real not in seen:
                seen.add(real)
                names = {name for file in self._names(real) if (name := self._cached_name(real, file))}
                for name in sorted(names):
                    yield name, f"/{folder}/{name}", _FLAGS[self.machine]

    def _cached_name(self, folder: str, file: str) -> str:
        if not re.match(r"(lib|ld-).*\.so", file):
            return ""
        path = EntryPath(f"{folder}/{file}")
        entry, parsed = self.tree.get(path), self.files.get(self.tree.resolve(path))
        if entry is None or parsed is None or parsed.kind != "ET_DYN" or parsed.machine != self.machine:
            return ""
        name = parsed.soname or file
        if entry.kind is Kind.SYMLINK and file.endswith(".so"):
            # A link for the linker keeps its own name.
            name = file
        return name if f"{folder}/{name}" in self.tree else ""


def _searched(tree: Tree, machine: str, sources: MappedFiles) -> tuple[str, ...]:
    # The loader's own folders come last, where nobody names them before.
    return tuple(dict.fromkeys([*configured_folders(tree, sources), *folders(machine)]))


def _files(tree: Tree, sources: MappedFiles) -> dict[EntryPath, Elf]:
    return {entry.path: parsed for entry in tree if (parsed := _elf(entry, sources)) is not None}


def _elf(entry: Entry, sources: MappedFiles) -> Elf | None:
    if entry.kind is not Kind.FILE or entry.content is None or entry.size < len(elf.MAGIC):
        return None
    what = f"{entry.origin}: {entry.path}"
    chunks = sources.chunks(entry.content, what=what)
    first = next(chunks, b"")
    if bytes(first[:4]) != elf.MAGIC:
        return None
    whole = first if len(first) == entry.size else b"".join([first, *chunks])
    return elf.parse(whole, what=what)


def _written(libraries: Sequence[tuple[str, str, int]]) -> bytes:
    """The new format (glibc 2.32 and later read it), without extensions."""
    base = _HEADER + _ITEM.size * len(libraries)
    strings, items = bytearray(), bytearray()
    for name, path, flags in libraries:
        at = base + len(strings)
        strings += path.encode(errors="surrogateescape") + b"\0"
        # The name is the end of the path: one string serves both.
        items += _ITEM.pack(flags, at + len(path) - len(name), at, 0, 0)
    head = struct.pack("<20sIIB3xI12x", _MAGIC, len(libraries), len(strings), _LITTLE_ENDIAN, 0)
    return head + bytes(items) + bytes(strings)


def _compare(first: tuple[str, str, int], second: tuple[str, str, int]) -> int:
    """ldconfig's order, newest first: the loader finds names by halving, so another order finds nothing."""
    for one, other in zip(_chunks(first[0]), _chunks(second[0]), strict=False):
        if one != other:
            return _compare_chunks(one, other)
    return len(list(_chunks(second[0]))) - len(list(_chunks(first[0])))


def _chunks(name: str) -> list[tuple[int, str] | str]:
    """Letters, and numbers as what compares like them, however many digits they have."""
    found = ((part, part.lstrip("0")) for part in re.findall(r"[0-9]+|[^0-9]", name))
    return [(len(plain), plain) if part[0] in "0123456789" else part for part, plain in found]


def _compare_chunks(one: tuple[int, str] | str, other: tuple[int, str] | str) -> int:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return (other > one) - (other < one)
    if isinstance(one, tuple) or isinstance(other, tuple):
        return -1 if isinstance(one, tuple) else 1
    return ord(other) - ord(one)
