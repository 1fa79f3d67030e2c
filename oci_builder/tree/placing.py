"""New entries put onto a base: through its symlinks, below its own folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

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
    for entry in entries:
        path = (base.resolve if entry.kind is Kind.DIRECTORY else base.place)(entry.path)
        moved = entry if path == entry.path else replace(entry, path=path)
        _check_kind(moved, base)
        placed.append(_kept(moved, base))
        _add_parents(moved, base, above)
    listed = {entry.path for entry in placed}
    for entry in placed:
        if entry.path in above and entry.kind is not Kind.DIRECTORY:
            raise PathConflict(entry.path, entry.origin, above[entry.path].origin)
    return Tree([*placed, *(entry for path, entry in above.items() if path not in listed)])


def _kept(entry: Entry, base: Tree) -> Entry:
    # A folder that exists keeps what it is: /tmp stays 1777 whoever else names it.
    present = base.get(entry.path)
    return present if entry.kind is Kind.DIRECTORY and present is not None else entry


def _check_kind(entry: Entry, base: Tree) -> None:
    present = base.get(entry.path)
    if present is not None and (present.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
        raise PathConflict(entry.path, present.origin, entry.origin)


def _add_parents(entry: Entry, base: Tree, above: dict[EntryPath, Entry]) -> None:
    for parent in parents(entry.path):
        if parent in above:
            continue
        present = base.get(parent)
        if present is not None and present.kind is not Kind.DIRECTORY:
            raise PathConflict(parent, present.origin, entry.origin)
        above[parent] = present or directory(parent, origin=entry.origin)
