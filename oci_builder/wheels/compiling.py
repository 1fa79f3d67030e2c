"""The .pyc files of a wheel's modules, made while its sources are at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from oci_builder.bytecode import Compiler, pyc_path
from oci_builder.layer import pack
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import DeflateSlice, Entry, EntryPath, Kind, Packed, entry_path
from oci_builder.wheels.install import Installed

Mode = Literal["default", "all", "none"]

KEEP = 12 << 20
"""Bytes of sources and bytecode kept for a layer's writer; what is beyond is inflated once more rather than held."""

WORTH = 256 << 10
"""Bytes of sources for which one more interpreter is started: starting it takes about as long as compiling them."""

_TESTS = frozenset({"test", "tests"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A wheel's entries, complete: with bytecode, and with the RECORD that lists it; ``made`` is the new bytecode."""

    entries: tuple[Entry, ...]
    made: tuple[Entry, ...] = ()


def wanted(path: str, purelib: str, mode: Mode) -> bool:
    """Whether the module at ``path`` gets a .pyc: by default all but those of ``tests`` and ``test`` packages, which
    are half of a scientific stack's modules and are never imported by it."""
    prefix = f"{purelib.strip('/')}/"
    if mode == "none" or not path.endswith(".py") or not path.startswith(prefix):
        return False
    return mode == "all" or _TESTS.isdisjoint(path.removeprefix(prefix).split("/")[:-1])


@dataclass(frozen=True, slots=True)
class Reading:
    """How modules are read: from ``sources``, kept while there is ``room``, for so many ``children`` at most.

    ``recall`` tells of the modules it is given which have bytecode already, by their paths.
    """

    sources: MappedFiles
    room: Room
    children: int = 1
    recall: Callable[[Sequence[Entry]], Mapping[EntryPath, Entry]] = lambda modules: {}


def complete(installed: Installed, compiler: Compiler | None, tag: str, mode: Mode, reading: Reading) -> Compiled:
    """Compile the modules of ``installed``, for the interpreter that ``tag`` names, and write its RECORD.

    No ``compiler``, no bytecode. Raises DigestMismatch for a source that is not what its wheel promised, ToolFailed
    when the interpreter dies.
    """
    if compiler is None:
        return Compiled(entries=(*installed.entries, installed.record(())))
    purelib = installed.schemes["purelib"]
    modules = [entry for entry in installed.entries if wanted(entry.path, purelib, mode)]
    others = [entry for entry in installed.entries if not wanted(entry.path, purelib, mode)]
    room, known = reading.room, reading.recall(modules)
    changed = [entry for entry in modules if entry.path not in known]
    reader = _Reader(reading.sources, room)
    able = min(reading.children, 1 + sum(entry.size for entry in changed) // WORTH)
    compiled = compiler.compile(reader.read(changed), children=able) if changed else []
    fresh = {
        entry.path: _pyc(entry, data, tag, room)
        for entry, data in zip(changed, compiled, strict=True)
        if data is not None
    }
    made = [pyc for entry in modules if (pyc := known.get(entry.path) or fresh.get(entry.path)) is not None]
    same = (entry for entry in modules if entry.path in known)
    record = installed.record(entry.path for entry in made)
    return Compiled(entries=(*others, *same, *reader.entries, *made, record), made=tuple(made))


def completed(installed: Installed, made: Sequence[Entry]) -> Compiled:
    """The same with .pyc files that were ``made`` before."""
    record = installed.record(entry.path for entry in made)
    return Compiled(entries=(*installed.entries, *made, record))


class Room:
    """Memory for content that will be read once more, for one layer: KEEP bytes."""

    def __init__(self) -> None:
        self._left = KEEP

    def keep(self, data: bytes) -> bytes | None:
        """``data`` while there is room for it."""
        if len(data) > self._left:
            return None
        self._left -= len(data)
        return data


class _Reader:
    """Reads sources for the compiler, and keeps them with their entries for the writer."""

    def __init__(self, sources: MappedFiles, room: Room) -> None:
        self._sources, self._room = sources, room
        self.entries: list[Entry] = []

    def read(self, modules: Sequence[Entry]) -> Iterator[tuple[str, bytes]]:
        for entry in modules:
            assert entry.content is not None
            data = self._sources.read(entry.content, what=f"{entry.origin}: {entry.path}")
            self.entries.append(self._with_raw(entry, data))
            yield f"/{entry.path}", data

    def _with_raw(self, entry: Entry, data: bytes) -> Entry:
        if not isinstance(entry.content, DeflateSlice):
            return entry
        kept = self._room.keep(data)
        return entry if kept is None else replace(entry, content=replace(entry.content, raw=kept))


def _pyc(entry: Entry, data: bytes, tag: str, room: Room) -> Entry:
    # Compressed while the children go on with the next ones; a third of the size is what waits for the writer.
    digest = hashlib.sha256(data).hexdigest()
    content = Packed(pack(data), len(data), digest, room.keep(data))
    path = entry_path(pyc_path(entry.path, tag))
    return Entry(
        path=path,
        kind=Kind.FILE,
        mode=0o644,
        size=len(data),
        content=content,
        origin=entry.origin,
        sha256=digest,
    )
