"""``[[copy]] from``: files out of another image, as ``COPY --from`` takes them, in layers of their own.

Bytes, permissions and times are those of that image, so what it is known by decides the layer.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from msgspec.structs import replace

from oci_builder.bases import Base
from oci_builder.errors import NotFound
from oci_builder.gate.sanity import COPIED
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.recipes import CopyRecipe
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind, directory, entry_path, known_sha256
from oci_builder.tree.patterns import Patterns
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree

_FORMAT = 1
"""Raised when the same files give another layer than before."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What came out of other images: its layers, the tree with them, and by each copy's number what it brought."""

    layers: tuple[Layer, ...]
    below: Tree
    paths: Mapping[int, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ImageCopies:
    """Makes the layers of copies out of ``images``, which are called as the recipe calls them.

    ``owner`` are the IDs of whoever runs.
    """

    store: Store
    owner: tuple[int, int]
    images: Mapping[str, Base]

    def over(self, below: Tree, copies: Sequence[CopyRecipe]) -> Taken:
        """The layers of copies out of images, one over the other, upon ``below``.

        Those out of one image that follow each other share one.

        Raises NotFound for what is not in the image, UnsafePath, PathConflict.
        """
        made: list[Layer] = []
        paths: dict[int, frozenset[str]] = {}
        for name, group in groupby(enumerate(copies), key=lambda item: item[1].image):
            if name is None:
                continue
            numbers, tables = zip(*group, strict=True)
            layer = self._layer(tables, self.images[name], below)
            tree = layer.tree(self.store)
            below = below.overlaid(tree)
            made.append(layer)
            brought = frozenset(entry.path for entry in tree if entry.kind is not Kind.DIRECTORY)
            paths |= dict.fromkeys(numbers, brought)
        return Taken(layers=tuple(made), below=below, paths=paths)

    def _layer(self, copies: Sequence[CopyRecipe], image: Base, below: Tree) -> Layer:
        # The later of two has the path, as where each has a layer of its own.
        found = (entry for copy in copies for entry in taken_from(image, copy, self.owner))
        entries = {below.place(entry.path): entry for entry in found}
        tree = place(entries.values(), below)
        key = LayerKey.of(kind="image-copy", rules=_FORMAT, image=image.name, entries=[_row(entry) for entry in tree])
        layer = find(key, self.store)
        if layer is None:
            said = f"ocibuild copy from {image.name}: {', '.join(copy.src for copy in copies)}"
            layer = write_layer(tree, self.store, created_by=said, holds=(f"files of {image.name}",))
            keep(layer, key, self.store)
        return layer


def source_in(image: Base, copy: CopyRecipe) -> EntryPath:
    """Where in ``image`` lies what is copied; empty for all of it.

    Raises NotFound for what is not there, UnsafePath for links in a circle.
    """
    source = image.tree.resolve(copy.src.strip("/"))
    if source and source not in image.tree:
        hint = f"`ocibuild tree {image.reference or 'FILE'}` shows what is in it"
        raise NotFound("file or folder", copy.src, searched=(image.name,), hint=hint)
    return source


def taken_from(image: Base, copy: CopyRecipe, user: tuple[int, int]) -> list[Entry]:
    """The entries of one copy; a folder's content lands in ``dest``. Links are followed to what is copied, not in it.

    Raises NotFound for what is not in the image, UnsafePath for links in a circle.
    """
    source = source_in(image, copy)
    entry = image.tree.get(source)
    uid, gid = copy.ids(user)
    dest = copy.dest.strip("/")
    if entry is not None and entry.kind is not Kind.DIRECTORY:
        name = f"{dest}/{posixpath.basename(copy.src.rstrip('/'))}".lstrip("/") if copy.dest.endswith("/") else dest
        return [_moved(entry, name, copy, (uid, gid))]
    found = [directory(entry_path(dest), uid=uid, gid=gid, origin=COPIED)] if dest else []
    for below, inner in _inside(image.tree, source, copy):
        found.append(_moved(inner, f"{dest}/{below}".lstrip("/"), copy, (uid, gid)))
    return found


def _inside(tree: Tree, folder: str, copy: CopyRecipe) -> Iterator[tuple[str, Entry]]:
    """What a folder has, by the path below it, but for what patterns leave out."""
    include, exclude = Patterns(copy.include), Patterns(copy.exclude)
    start = f"{folder}/" if folder else ""
    folders: dict[str, Entry] = {}
    for path in tree.paths:
        below = path[len(start) :]
        if not path.startswith(start) or not below:
            continue
        entry = tree.paths[path]
        if entry.kind is Kind.DIRECTORY:
            folders[below] = entry
            # One that is left out comes with what a pattern takes back, and one where names are asked for with those.
            if copy.include or exclude.match(below):
                continue
        elif exclude.match(below) or (copy.include and not include.match(below)):
            continue
        for above in _above(below):
            if (left := folders.pop(above, None)) is not None:
                yield above, left
        if entry.kind is not Kind.DIRECTORY:
            yield below, entry


def _above(path: str) -> Iterator[str]:
    """The folders above ``path``, outermost first, and itself."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def _moved(entry: Entry, path: str, copy: CopyRecipe, owner: tuple[int, int]) -> Entry:
    is_file = entry.kind is Kind.FILE
    mode = copy.permissions if is_file and copy.permissions is not None else entry.mode
    place = entry_path(path, origin=copy.image or "")
    return replace(entry, path=place, mode=mode, uid=owner[0], gid=owner[1], origin=COPIED)


def _row(entry: Entry) -> list[object]:
    said = [entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.target]
    return [*said, known_sha256(entry)]
