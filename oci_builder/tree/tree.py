"""A root filesystem, or a slice of one, as an immutable value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import methodcaller
from types import MappingProxyType

from oci_builder.errors import PathConflict, UnsafePath
from oci_builder.tree.entry import Entry, EntryPath, Kind

_MAX_LINKS = 40
"""How many symlinks Linux follows for one path."""

_order = methodcaller("replace", "/", "\0")
"""``order`` without a frame of Python's for every path."""


class Tree:
    """Entries with unique paths, in the order a layer lists them: parents first, names by their bytes."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        by_path: dict[EntryPath, Entry] = {}
        for entry in entries:
            present = by_path.setdefault(entry.path, entry)
            if present is not entry and not same_place(present, entry):
                raise PathConflict(entry.path, present.origin, entry.origin)
        self._by_path = {path: by_path[path] for path in sorted(by_path, key=_order)}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._by_path.values())

    def __len__(self) -> int:
        return len(self._by_path)

    def __contains__(self, path: str) -> bool:
        return path in self._by_path

    def get(self, path: str) -> Entry | None:
        """The entry at ``path``, links not followed."""
        return self._by_path.get(EntryPath(path))

    @property
    def paths(self) -> Mapping[EntryPath, Entry]:
        """All entries by path, read-only."""
        return MappingProxyType(self._by_path)

    def overlaid(self, upper: Iterable[Entry]) -> Tree:
        """This tree with the entries of ``upper`` put over it, as a later layer is."""
        merged = Tree()
        both = {**self._by_path, **{entry.path: entry for entry in upper}}
        merged._by_path = {path: both[path] for path in sorted(both, key=_order)}
        return merged

    def resolve(self, path: str) -> EntryPath:
        """``path`` with every symlink of the tree followed, whether or not the end exists.

        Raises UnsafePath when the links go round in a circle.
        """
        return self._walk(path, follow_last=True)

    def place(self, path: str) -> EntryPath:
        """Where a new entry named ``path`` really goes: its parents resolved, its own name kept."""
        return self._walk(path, follow_last=False)

    def _walk(self, path: str, *, follow_last: bool) -> EntryPath:
        todo, here, links = [part for part in reversed(path.split("/")) if part], "", 0
        while todo:
            part = todo.pop()
            if part in (".", ".."):
                here = here.rpartition("/")[0] if part == ".." else here
                continue
            step = f"{here}/{part}" if here else part
            entry = self._by_path.get(EntryPath(step))
            if entry is None or entry.kind is not Kind.SYMLINK or not (todo or follow_last):
                here = step
                continue
            links += 1
            if links > _MAX_LINKS:
                raise UnsafePath(path, "its symlinks go round in a circle")
            if entry.target.startswith("/"):
                here = ""
            todo.extend(part for part in reversed(entry.target.split("/")) if part)
        return EntryPath(here)


def order(path: str) -> str:
    """The sort key of a layer: by path components, so that a folder is followed by all it holds.

    NUL is in no path and below every other character, so it ends a component as the end of a string does; and text
    compares as its UTF-8 does.
    """
    return path.replace("/", "\0")


def parents(path: str) -> Iterator[EntryPath]:
    """The folders above ``path``, outermost first."""
    at = path.find("/")
    while at >= 0:
        yield EntryPath(path[:at])
        at = path.find("/", at + 1)


def same_place(first: Entry, second: Entry) -> bool:
    """Whether two entries of one path can both be had: the same folder, or the same bytes."""
    if first.kind is not second.kind:
        return False
    if first.kind is Kind.DIRECTORY:
        return True
    if first.kind is Kind.FILE:
        return first.size == second.size and first.sha256 != "" and first.sha256 == second.sha256
    return first.target == second.target
