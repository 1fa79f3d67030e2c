"""Layers laid on each other as an engine does: what one deletes goes, what it holds comes (OCI layer.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from oci_builder.layer import DELETIONS, IndexEntry, Layer
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree, parents


def merged(layers: Sequence[Layer], store: Store) -> Tree:
    """The root filesystem that a container of ``layers``, oldest first, sees; contents are read from the store."""
    seen: dict[str, Entry] = {}
    for layer in layers:
        _lay(layer, seen, store)
    return Tree(seen.values())


def without(tree: Tree, paths: Iterable[str]) -> Tree:
    """``tree`` after ``paths``, and all that lies below them, were deleted."""
    gone = frozenset(paths)
    return Tree(entry for entry in tree if not _is_below(entry.path, gone, frozenset()))


def _lay(layer: Layer, seen: dict[str, Entry], store: Store) -> None:
    landed = _landed(layer, seen)
    hidden = {path for item, path in landed if item.kind == "whiteout" or _replaces(item, seen.get(path))}
    opaque = {path for item, path in landed if item.kind == "opaque"}
    if hidden or opaque:
        for path in [path for path in seen if _is_below(path, hidden, opaque)]:
            del seen[path]
    for item, path in landed:
        if item.kind not in DELETIONS:
            entry = layer.entry(item, store)
            seen[path] = entry if entry.path == path else replace(entry, path=EntryPath(path))


def _replaces(item: IndexEntry, present: Entry | None) -> bool:
    """Whether something else takes a folder's place: then all that the folder held goes with it."""
    if present is None or present.kind is not Kind.DIRECTORY:
        return False
    return item.kind != "directory" and item.kind not in DELETIONS


def _landed(layer: Layer, seen: dict[str, Entry]) -> list[tuple[IndexEntry, str]]:
    """Each entry with the path it lands at: through the links below, where the layer does not list the folder."""
    listed = {item.path for item in layer.entries if item.kind == "directory"}
    links = {path: entry for path, entry in seen.items() if entry.kind is Kind.SYMLINK and path not in listed}
    below = Tree(links.values())
    return [(item, _landing(item.path, below)) for item in layer.entries]


def _landing(path: str, links: Tree) -> str:
    through = any(parent in links for parent in parents(path))
    return links.place(path) if through else path


def _is_below(path: str, hidden: frozenset[str] | set[str], opaque: frozenset[str] | set[str]) -> bool:
    if path in hidden:
        return True
    while path := path.rpartition("/")[0]:
        if path in hidden or path in opaque:
            return True
    return "" in opaque
