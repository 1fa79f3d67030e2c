"""New entries put onto a base: through its symlinks, below its own folders."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from oci_builder.errors import PathConflict
from oci_builder.tree.entry import Entry, EntryPath, Kind, directory
from oci_builder.tree.tree import Tree, parents


def place(entries: Iterable[Entry], base: Tree) -> Tree:
    """The tree of one layer: ``entries`` where they really land on ``base``, with every folder above them.

    A folder that ``base`` has is listed with its own owner, mode and time, or unpacking would reset them; a new one is
    root's, 0755. Raises PathConflict when a file would take a folder's place or lie below a file.
    """
    placed: list[Entry] = []
    above: dict[EntryPath, Entry] = {}
    landing = _Landing(base)
    for entry in entries:
        path = landing.of(entry)
        moved = entry if path == entry.path else replace(entry, path=path)
        present = base.get(path)
        if present is not None:
            moved = _over(present, moved)
        placed.append(moved)
        _add_parents(moved, base, above)
    listed = {entry.path for entry in placed}
    for entry in placed:
        if entry.path in above and entry.kind is not Kind.DIRECTORY:
            raise PathConflict(entry.path, entry.origin, above[entry.path].origin)
    return Tree([*placed, *(entry for path, entry in above.items() if path not in listed)])


class _Landing:
    """Where entries land on a base: each folder's links are followed once, however many files it holds."""

    def __init__(self, base: Tree) -> None:
        self._base = base
        self._folders: dict[str, str] = {}

    def of(self, entry: Entry) -> EntryPath:
        if entry.kind is Kind.DIRECTORY:
            return self._base.resolve(entry.path)
        folder, slash, name = entry.path.rpartition("/")
        if not slash:
            return entry.path
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = self._base.resolve(folder)
        return EntryPath(f"{real}/{name}" if real else name)


def _over(present: Entry, entry: Entry) -> Entry:
    if (present.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
        raise PathConflict(entry.path, present.origin, entry.origin)
    # A folder that exists keeps what it is: /tmp stays 1777 whoever else names it.
    return present if entry.kind is Kind.DIRECTORY else entry


def _add_parents(entry: Entry, base: Tree, above: dict[EntryPath, Entry]) -> None:
    folder = entry.path.rpartition("/")[0]
    if not folder or folder in above:
        return  # what is above a folder was added with it
    for parent in parents(entry.path):
        if parent in above:
            continue
        present = base.get(parent)
        if present is not None and present.kind is not Kind.DIRECTORY:
            raise PathConflict(parent, present.origin, entry.origin)
        above[parent] = present or directory(parent, origin=entry.origin)
