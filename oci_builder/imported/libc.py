"""Which C library an image has, and which version of it: read from the library itself, which nobody starts."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from oci_builder.errors import DamagedElf
from oci_builder.tree import elf
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Checked, Entry, EntryPath, FileSlice, Kind
from oci_builder.tree.tree import Tree

MAX_LIBRARY = 256 << 20
"""Bytes of a library or program that is looked into."""

MAX_TEXT = 16 << 20
"""Bytes of a text that is looked into: the databases of packages have 10 million at most."""

_MAX_LIBC = 32 << 20
"""Bytes of a C library; they have two million, unstripped twenty."""

_GLIBC = re.compile(rb"GNU C Library [^\n\0]{0,200}?version ([0-9]{1,4})\.([0-9]{1,4})")
_MUSL = re.compile(rb"\0([0-9]{1,4})\.([0-9]{1,4})\.[0-9]{1,4}(?:[-_.a-z0-9]{0,20})\0")
_VERSION = re.compile(r"GLIBC_([0-9]{1,4})\.([0-9]{1,4})\Z")
_APK_MUSL = re.compile(rb"([0-9]{1,4})\.([0-9]{1,4})\.")
_APK_DATABASE = "lib/apk/db/installed"


@dataclass(frozen=True, slots=True)
class Libc:
    """A C library: its kind, and the two numbers of its version that wheel tags go by."""

    kind: Literal["glibc", "musl"]
    version: tuple[int, int]


def find_libc(tree: Tree, sources: MappedFiles, *, machine: str, loader: str) -> Libc | None:
    """The C library of ``tree``; ``loader`` is what starts its Python (PT_INTERP), empty where that is not known.

    Of two libraries the loader's is it. None where there is none whose version can be told.
    """
    kinds = ("musl", "glibc") if "musl" in loader else ("glibc", "musl")
    for kind in kinds:
        found = _glibc(tree, sources, machine) if kind == "glibc" else _musl(tree, sources, machine)
        if found is not None:
            return found
    return None


def read_file(tree: Tree, sources: MappedFiles, path: str, *, limit: int = MAX_LIBRARY) -> bytes | None:
    """The content of a file of ``tree``, links followed; None where there is none, or a larger one."""
    entry = file_at(tree, path)
    if entry is None or entry.content is None or entry.size > limit:
        return None
    return sources.read(entry.content, what=f"/{entry.path} of the base")


def file_at(tree: Tree, path: str) -> Entry | None:
    """The file that ``path`` leads to, links followed."""
    entry = tree.get(tree.resolve(path.strip("/")))
    return entry if entry is not None and entry.kind is Kind.FILE else None


def _places(machine: str) -> Iterator[str]:
    yield from (f"lib/{machine}-linux-gnu", f"usr/lib/{machine}-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib")


def _glibc(tree: Tree, sources: MappedFiles, machine: str) -> Libc | None:
    for folder in _places(machine):
        data = read_file(tree, sources, f"{folder}/libc.so.6", limit=_MAX_LIBC)
        if data is None:
            continue
        said = _GLIBC.search(data)
        version = (int(said[1]), int(said[2])) if said else _newest(data, f"{folder}/libc.so.6")
        if version is not None:
            return Libc("glibc", version)
    return None


def _newest(data: bytes, what: str) -> tuple[int, int] | None:
    """The newest symbol version that glibc offers: as good as its own word."""
    try:
        parsed = elf.parse(data, what=what)
    except DamagedElf:
        return None
    found = [_VERSION.match(name) for name in parsed.versions] if parsed else []
    return max(((int(match[1]), int(match[2])) for match in found if match), default=None)


def _musl(tree: Tree, sources: MappedFiles, machine: str) -> Libc | None:
    for path in (f"lib/ld-musl-{machine}.so.1", f"usr/lib/ld-musl-{machine}.so.1"):
        data = read_file(tree, sources, path, limit=_MAX_LIBC)
        if data is None:
            continue
        packages = read_file(tree, sources, _APK_DATABASE, limit=MAX_TEXT) or b""
        said = _MUSL.search(data) or _APK_MUSL.match(version_in(packages, [b"musl"], name=b"P:", version=b"V:"))
        if said is not None:
            return Libc("musl", (int(said[1]), int(said[2])))
    return None


def loader_of(tree: Tree, sources: MappedFiles, path: EntryPath) -> str:
    """The dynamic loader a program asks for; empty for a static one, a script, or what cannot be read."""
    data = mapped_file(tree, sources, path)
    try:
        parsed = elf.parse(data if data is not None else b"", what=path)
    except DamagedElf:
        return ""
    return parsed.interpreter if parsed else ""


def mapped_file(tree: Tree, sources: MappedFiles, path: str) -> bytes | memoryview | None:
    """As ``read_file``, for a large one of which little is looked at: it is not brought into memory whole."""
    entry = file_at(tree, path)
    if entry is None or entry.content is None or entry.size > MAX_LIBRARY:
        return None
    what = f"/{entry.path} of the base"
    content = entry.content.slice if isinstance(entry.content, Checked) else entry.content
    if not isinstance(content, FileSlice):
        return sources.read(content, what=what)
    for _ in sources.chunks(entry.content, what=what):
        pass  # what it promised is proved, and let go
    return sources.slice(content.file, content.offset, content.size)


def version_in(database: bytes, packages: Collection[bytes], *, name: bytes, version: bytes) -> bytes:
    """The version that a database of packages has for the first of ``packages``, or nothing.

    ``name`` and ``version`` begin the lines that say them; a blank line ends a package.
    """
    inside = False
    for line in io.BytesIO(database):
        if line.startswith(name):
            inside = line[len(name) :].strip() in packages
        elif not line.strip():
            inside = False
        elif inside and line.startswith(version):
            return line[len(version) :].strip()
    return b""
