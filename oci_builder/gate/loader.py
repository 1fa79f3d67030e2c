"""The dynamic loader, played through on paper (ld.so(8)): which file each needed library would be."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.errors import UnsafePath
from oci_builder.gate.facts import ElfFile
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.elf import Elf
from oci_builder.tree.tree import Tree

_CACHE = b"glibc-ld.so.cache1.1"
_CACHE_HEADER = 48
_CACHE_ITEM = struct.Struct("<iIIIQ")
_MAX_CACHE = 16 << 20
_MAX_CACHED = 50_000
_MAX_STRING = 1024
"""Libraries in the cache, and bytes of a path in it; Debian's largest has ten thousand."""

PATIENCE = 3_000_000
"""Needs and places looked at in one image, before what was walked once is not walked again."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A library that the file at ``needed_by`` needs and the loader does not find; ``elsewhere`` has it all the same.

    ``elsewhere`` is the path of a library of that name where the loader does not look, or empty.
    """

    library: str
    needed_by: str
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Unversioned:
    """A symbol version that the file at ``needed_by`` asks for and the library at ``found`` does not have."""

    library: str
    version: str
    needed_by: str
    found: str


@dataclass(slots=True)
class Loaded:
    """What loading one file came to: the paths that were loaded, first the file itself, and what went wrong."""

    paths: list[str] = field(default_factory=list)
    problems: list[Missing | Unversioned] = field(default_factory=list)


class Loader:
    """The loader of an image: its libraries, its folders, its cache. ``library_path`` is ``LD_LIBRARY_PATH``.

    A thousand programs that need a thousand libraries each are a million to walk. Once ``patience`` is spent, a library
    that was walked for one program is not walked for the next, and no search path is handed on any further: what is
    missing is still found, for the first that needs it.
    """

    def __init__(
        self,
        tree: Tree,
        files: Mapping[str, ElfFile],
        machine: str,
        library_path: str = "",
        patience: int = PATIENCE,
    ) -> None:
        self._patience, self.steps = patience, 0
        self._walked: set[str] = set()
        self._tree, self._machine = tree, machine
        self._elves: dict[str, Elf] = {
            path: file.elf for path, file in files.items() if file.elf is not None and file.elf.machine == machine
        }
        # A folder that is not there holds nothing, however many of them are named.
        self._environment = tuple(dict.fromkeys(part for part in library_path.split(":") if self._is_there(part)))
        self._cache = dict(_cached(tree))
        triplet = f"{machine}-linux-gnu"
        self._defaults = (f"lib/{triplet}", f"usr/lib/{triplet}", "lib", "usr/lib", "lib64", "usr/lib64")
        # By name where the usual folders have it. The tree alone decides that, and does not change while this lives.
        self._usual: dict[str, str] = {}
        self._by_name = self._names()

    def load(self, path: str) -> Loaded:
        """Load the file at ``path`` and all it needs, breadth first, as the loader does."""
        seen = {path: None}
        loaded = Loaded()
        known: dict[str, str] = {path.rpartition("/")[2]: path}
        # With each file the search paths handed on to it by those that loaded it.
        waiting: deque[tuple[str, tuple[str, ...]]] = deque([(path, ())])
        while waiting:
            here, inherited = waiting.popleft()
            parsed = self._elves[here]
            self._walked.add(here)
            if self._is_spent:
                inherited = ()
            self.steps += 1 + len(parsed.needed) + len(parsed.wanted) + len(parsed.runpath) + len(inherited)
            own = tuple(self._expanded(part, here) for part in parsed.runpath)
            above = tuple(dict.fromkeys((*own, *inherited))) if parsed.handed_on else inherited
            for library in parsed.needed:
                if library in known:
                    continue
                found = self._find(library, parsed, own, inherited)
                if not found:
                    found = self._by_name.get(library, "")
                    loaded.problems.append(Missing(library, here, found))
                if found:
                    known |= {library: found, self._elves[found].soname or library: found}
                    if found not in seen and not (self._is_spent and found in self._walked):
                        seen[found] = None
                        waiting.append((found, above))
        loaded.paths += seen
        loaded.problems += self._unversioned(loaded.paths, known)
        return loaded

    @property
    def _is_spent(self) -> bool:
        return self.steps > self._patience

    def _unversioned(self, paths: Sequence[str], known: Mapping[str, str]) -> Iterator[Unversioned]:
        for path in paths:
            for library, version in self._elves[path].wanted:
                found = known.get(library)
                # A library without versions satisfies everybody; the loader only grumbles.
                offered = self._elves[found].versions if found else ()
                if found and offered and version not in offered:
                    yield Unversioned(library, version, path, found)

    def _find(self, library: str, parsed: Elf, own: tuple[str, ...], inherited: tuple[str, ...]) -> str:
        if "/" in library:
            return self._at(library)
        handed = (*own, *inherited) if parsed.handed_on or not parsed.runpath else ()
        late = () if parsed.handed_on else own
        for folder in (*handed, *self._environment, *late):
            if found := self._at(f"{folder}/{library}"):
                return found
        if library not in self._usual:
            places = (self._cache.get(library, ""), *(f"{folder}/{library}" for folder in self._defaults))
            self._usual[library] = next((found for place in places if place and (found := self._at(place))), "")
        return self._usual[library]

    def _at(self, place: str) -> str:
        self.steps += 1
        try:
            path = self._tree.resolve(place)
        except UnsafePath:
            return ""
        return path if path in self._elves else ""

    def _is_there(self, folder: str) -> bool:
        try:
            return bool(folder) and self._tree.resolve(folder) in self._tree
        except UnsafePath:
            return False

    def _expanded(self, part: str, path: str) -> str:
        origin = f"/{path.rpartition('/')[0]}"
        for name, value in (("ORIGIN", origin), ("LIB", f"lib/{self._machine}-linux-gnu"), ("PLATFORM", self._machine)):
            part = part.replace(f"${{{name}}}", value).replace(f"${name}", value)
        return part

    def _names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for path, parsed in self._elves.items():
            if parsed.kind == "ET_DYN":
                for name in (path.rpartition("/")[2], parsed.soname):
                    names.setdefault(name, path)
        return names


def _cached(tree: Tree) -> Iterator[tuple[str, str]]:
    """Names and paths of ``/etc/ld.so.cache``: which folders of /usr/local count was settled when it was written."""
    entry = tree.get(tree.resolve("etc/ld.so.cache"))
    if entry is None or entry.content is None or entry.size > _MAX_CACHE:
        return
    with MappedFiles() as sources:
        data = sources.read(entry.content, what="/etc/ld.so.cache")
    data = data[max(data.find(_CACHE), 0) :]
    if not data.startswith(_CACHE) or len(data) < _CACHE_HEADER:
        return
    (count,) = struct.unpack_from("<I", data, len(_CACHE))
    for number in range(min(count, _MAX_CACHED, (len(data) - _CACHE_HEADER) // _CACHE_ITEM.size)):
        _, name, path, _, _ = _CACHE_ITEM.unpack_from(data, _CACHE_HEADER + number * _CACHE_ITEM.size)
        yield _string(data, name), _string(data, path)


def _string(data: bytes, at: int) -> str:
    """The text that ends at the next NUL; without one near by it is none, and a thousand items may name one text."""
    end = data.find(b"\0", at, at + _MAX_STRING)
    return data[at:end].decode("utf-8", "replace") if end >= 0 else ""
