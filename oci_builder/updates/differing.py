"""What a layer has to list so that one root filesystem becomes another: no path more, and none less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from oci_builder.errors import UnsupportedImage
from oci_builder.imported.names import MAX_NAME, MAX_PATH, byte_length
from oci_builder.overlay import Hidden
from oci_builder.tree.entry import WHITEOUT, EntryPath
from oci_builder.tree.tree import order
from oci_builder.updates.faces import MergedTree

_MANY = 2
"""Paths that go from a folder in which nothing stays, from which on it is begun anew instead."""


@dataclass(frozen=True, kw_only=True)
class TreeDifference:
    """All that a patch lists, each in a layer's order.

    ``listed`` are files that are written, with every folder above whatever differs; ``changed`` those of them that
    differ. ``deleted`` are paths, a folder for all it held; ``emptied`` are folders in which nothing stays that is not
    listed. ``gone`` counts all paths that the new tree has no more.
    """

    listed: tuple[EntryPath, ...]
    changed: frozenset[EntryPath]
    deleted: tuple[EntryPath, ...]
    emptied: tuple[EntryPath, ...]
    gone: int

    def __repr__(self) -> str:
        return f"TreeDifference({len(self.changed)} changed, {self.gone} gone)"

    @property
    def is_empty(self) -> bool:
        """Whether the two trees are one."""
        return not (self.changed or self.deleted or self.emptied)


def differing(old: MergedTree, new: MergedTree) -> TreeDifference:
    """What makes ``new`` of ``old``."""
    changed = {path for path in new if path not in old or not new.is_same(path, old)}
    gone = [path for path in old if path not in new]
    # Where a folder's place is taken by something else, all that it held goes with it.
    deleted = [path for path in gone if (folder := _folder(path)) == "" or new.is_folder(folder)]
    unsayable = {_folder(path) for path in deleted if _is_too_long(path)}
    if unsayable:
        changed |= _below(unsayable, new)
    emptied = _emptied(deleted, _kept_in(new, changed), always=unsayable)
    inside = Hidden((), emptied)
    deleted = [path for path in deleted if not inside.hides(path)]
    listed = set(changed)
    # All names of a file are links to one another in one layer, or not at all.
    listed.update(peer for path in changed for peer in new.peers.get(path, ()))
    listed.update(emptied)
    listed.update(_above((*listed, *deleted)))
    return TreeDifference(
        listed=tuple(sorted(listed, key=order)),
        changed=frozenset(changed),
        deleted=tuple(deleted),
        emptied=tuple(emptied),
        gone=len(gone),
    )


def _above(paths: Iterable[EntryPath]) -> set[EntryPath]:
    """All folders above ``paths``; each is looked at once."""
    found: set[EntryPath] = set()
    for path in paths:
        folder = _folder(path)
        while folder and folder not in found:
            found.add(folder)
            folder = _folder(folder)
    return found


def _folder(path: EntryPath) -> EntryPath:
    return EntryPath(path.rpartition("/")[0])


def _kept_in(new: MergedTree, changed: set[EntryPath]) -> set[EntryPath]:
    """The folders below which something stays that the patch does not list."""
    kept: set[EntryPath] = set()
    for path in new:
        if path not in changed:
            folder = _folder(path)
            while folder and folder not in kept:
                kept.add(folder)
                folder = _folder(folder)
    return kept


def _is_too_long(path: EntryPath) -> bool:
    """Whether no layer can delete the path: a whiteout's name is longer than what it deletes."""
    name = path.rpartition("/")[2]
    return byte_length(name) + len(WHITEOUT) > MAX_NAME or byte_length(path) + len(WHITEOUT) > MAX_PATH


def _below(folders: Set[EntryPath], new: MergedTree) -> set[EntryPath]:
    """All paths of folders that are begun anew. Raises UnsupportedImage for the root, which cannot be."""
    if "" in folders:
        why = "a name at the root goes that is too long to be deleted by a layer"
        raise UnsupportedImage("the patch", why, hint="--exact carries whole layers, whatever is in them")
    inside = Hidden((), folders)
    return {path for path in new if inside.hides(path)}


def _emptied(deleted: Sequence[EntryPath], kept: Set[EntryPath], *, always: Set[EntryPath]) -> list[EntryPath]:
    """Folders from which several paths go and in which nothing stays: the uppermost of each, ``always`` among them."""
    counts: dict[EntryPath, int] = {}
    for path in deleted:
        folder = _folder(path)
        if folder and folder not in kept:
            counts[folder] = counts.get(folder, 0) + 1
    many = [folder for folder in sorted(counts, key=order) if counts[folder] >= _MANY or folder in always]
    below = Hidden((), many)
    return [folder for folder in many if not below.hides(folder)]


def in_patch_order(found: TreeDifference) -> Iterator[tuple[str, EntryPath]]:
    """What the patch lists, in order, with "path", "whiteout" or "opaque": deletions come before their siblings."""
    ranked = [(order(path), "path", path) for path in found.listed]
    ranked += [(f"{order(path)}\0", "opaque", path) for path in found.emptied]
    for path in found.deleted:
        folder, _, name = path.rpartition("/")
        ranked.append((f"{order(folder)}\0\0{name}", "whiteout", path))
    return ((kind, path) for _, kind, path in sorted(ranked))
