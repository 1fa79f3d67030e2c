"""The .pyc files of a wheel's modules, made while its sources are at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from oci_builder.bytecode import Compiler, pyc_path
from oci_builder.tree.content import Sources
from oci_builder.tree.entry import DeflateSlice, Entry, EntryPath, file
from oci_builder.wheels.install import Installed

Mode = Literal["default", "all", "none"]

KEEP = 48 << 20
"""Bytes of source kept for the layer's writer; what is beyond is inflated a second time rather than held."""

_TESTS = frozenset({"test", "tests"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A wheel's entries, complete: with bytecode, and with the RECORD that lists it."""

    entries: tuple[Entry, ...]


def wanted(path: str, purelib: str, mode: Mode) -> bool:
    """Whether the module at ``path`` gets a .pyc: by default all but those of ``tests`` and ``test`` packages, which
    are half of a scientific stack's modules and are never imported by it."""
    prefix = f"{purelib.strip('/')}/"
    if mode == "none" or not path.endswith(".py") or not path.startswith(prefix):
        return False
    return mode == "all" or _TESTS.isdisjoint(path.removeprefix(prefix).split("/")[:-1])


def complete(installed: Installed, compiler: Compiler | None, *, tag: str, mode: Mode, sources: Sources) -> Compiled:
    """Compile the modules of ``installed`` and write its RECORD. ``compiler`` None makes no bytecode.

    Raises DigestMismatch for a source that is not what its wheel promised, ToolFailed when the interpreter dies.
    """
    if compiler is None:
        return Compiled(entries=(*installed.entries, installed.record(())))
    purelib = installed.schemes["purelib"]
    modules = [entry for entry in installed.entries if wanted(entry.path, purelib, mode)]
    others = [entry for entry in installed.entries if not wanted(entry.path, purelib, mode)]
    reader = _Reader(sources)
    made = [
        _pyc(entry, data, tag)
        for entry, data in zip(modules, compiler.compile(reader.read(modules)), strict=True)
        if data is not None
    ]
    record = installed.record(entry.path for entry in made)
    return Compiled(entries=(*others, *reader.entries, *made, record))


class _Reader:
    """Reads sources for the compiler, and keeps them with their entries for the writer."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._kept = 0
        self.entries: list[Entry] = []

    def read(self, modules: Sequence[Entry]) -> Iterator[tuple[str, bytes]]:
        for entry in modules:
            assert entry.content is not None
            data = self._sources.read(entry.content, what=f"{entry.origin}: {entry.path}")
            self.entries.append(self._with_raw(entry, data))
            yield f"/{entry.path}", data

    def _with_raw(self, entry: Entry, data: bytes) -> Entry:
        if not isinstance(entry.content, DeflateSlice) or self._kept + len(data) > KEEP:
            return entry
        self._kept += len(data)
        return replace(entry, content=replace(entry.content, raw=data))


def _pyc(entry: Entry, data: bytes, tag: str) -> Entry:
    made = file(EntryPath(pyc_path(entry.path, tag)), data, origin=entry.origin)
    return replace(made, sha256=hashlib.sha256(data).hexdigest())
