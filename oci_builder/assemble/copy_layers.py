"""A layer for each ``[[copy]]`` of the recipe's own files, remembered by its content.

What lies where is decided for all of them together, as for one layer; then it is divided. So two tables that want one
path, or one folder, come to the same as in one layer, and every layer lists the folders above its files as they are in
the image.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oci_builder.assemble.copy_bytecode import CopyBytecode
from oci_builder.digest import CHUNK, Digest
from oci_builder.file_digests import FileDigests
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.recipes import ImageSource, ImageToml
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Inline, Kind, Whole, directory, known_sha256
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, parents

_FORMAT = 1
"""Raised when the same files give another layer than before."""

_SHOWN = 200
"""Characters of the names of what is copied that a layer's description has."""


@dataclass(frozen=True, kw_only=True)
class CopyGroups:
    """Which layer, counted from the lowest, each [[copy]] is in, by its number among all of them."""

    layers: Mapping[int, int]

    @property
    def last(self) -> int:
        """The uppermost: for what is of no [[copy]]."""
        return max(self.layers.values(), default=0)

    def of(self, number: int | None) -> int:
        """That of the [[copy]] of this number, or of what is of none."""
        return self.last if number is None else self.layers[number]

    @property
    def count(self) -> int:
        """How many layers there are: one at least, which may come to hold nothing."""
        return self.last + 1


def copy_groups(recipe: ImageToml) -> CopyGroups:
    """A layer for each [[copy]] of own files that does not ask for that of the one before; half of the recipe's budget
    at most, where the last share one. One layer where the recipe wants but one for all wheels."""
    most = 1 if recipe.layering.strategy == "one" else max(recipe.layering.budget // 2, 1)
    layers: dict[int, int] = {}
    at = -1
    for number, copy in enumerate(recipe.copy):
        if copy.image is None:
            at = max(at if copy.layer == "same" else min(at + 1, most - 1), 0)
            layers[number] = at
    return CopyGroups(layers=layers)


@dataclass(frozen=True, kw_only=True)
class CopyLayers:
    """Makes the layers of ``groups``, for the recipe of ``source``; with ``bytecode``, where there is a Python."""

    store: Store
    source: ImageSource
    groups: CopyGroups
    bytecode: CopyBytecode | None = None

    def over(self, below: Tree, entries: Sequence[tuple[int, Entry]], *, user: str, files: bool) -> tuple[Layer, ...]:
        """The layers of ``entries``, each with the number of its layer, upon ``below``. ``user`` is whom the first
        makes, in words; whether there are ``files`` besides is for the words of a layer that is the only one.

        Raises PathConflict where two want one path, FileProblem for what cannot be read.
        """
        whole = place([entry for _, entry in entries], below)
        divided: dict[int, dict[EntryPath, Entry]] = {}
        for number, entry in entries:
            path = below.resolve(entry.path) if entry.kind is Kind.DIRECTORY else below.place(entry.path)
            part = divided.setdefault(number, {})
            for each in (*parents(path), EntryPath(path)):
                part[each] = whole.paths[each]
        made = []
        with FileDigests(self.store, f"copies {self.source.folder.absolute()}") as digests:
            for number in sorted(divided):
                said = self._said(number, user if number == min(divided) else "", files)
                tree = Tree(divided[number].values())
                modules = [] if self.bytecode is None else self.bytecode.modules(tree, whole.paths)
                layer = self._layer(below, tree, modules, said, digests)
                below = below.overlaid(layer.tree(self.store)) if modules else below
                made.append(layer)
        return tuple(made)

    def _said(self, number: int, user: str, files: bool) -> tuple[str, ...]:
        """What a layer holds, in words."""
        if self.groups.count == 1:
            what = "files" if files else ""
        else:
            copies = self.source.recipe.copy
            sources = [copies[each].src for each, layer in self.groups.layers.items() if layer == number]
            what = f"files of {', '.join(sources)}"[:_SHOWN]
        return tuple(filter(None, (user, what)))

    def _layer(
        self, below: Tree, tree: Tree, modules: Sequence[Entry], holds: tuple[str, ...], digests: FileDigests
    ) -> Layer:
        compiled = [*self.bytecode.key, *(each.path for each in modules)] if self.bytecode and modules else []
        said = f"ocibuild {' and '.join(holds) or 'folders'}"
        decides = {"said": said, "holds": list(holds), "compiled": compiled}
        key = _key(decides, [_row(entry, _sha256(entry, digests)) for entry in tree])
        layer = find(key, self.store)
        if layer is None:
            pycs = [] if self.bytecode is None else self.bytecode.compile(modules)
            layer = write_layer(_with(tree, pycs, below), self.store, created_by=said, holds=holds)
            # By what was written: a file may have changed since it was hashed.
            written = {item.path: item.sha256 for item in layer.entries}
            keep(layer, _key(decides, [_row(entry, written[entry.path]) for entry in tree]), self.store)
        return layer


def _with(tree: Tree, pycs: Sequence[Entry], below: Tree) -> Tree:
    """The tree with bytecode, and the folders for it, which are whose it is."""
    folders: dict[str, Entry] = {}
    for pyc in pycs:
        folder = EntryPath(posixpath.dirname(pyc.path))
        known = folders.get(folder) or below.get(folder)
        folders[folder] = known or directory(folder, uid=pyc.uid, gid=pyc.gid, origin=pyc.origin)
    return Tree([*tree, *folders.values(), *pycs])


def _key(decides: Mapping[str, object], rows: Sequence[Sequence[object]]) -> LayerKey:
    return LayerKey.of(kind="copies", rules=_FORMAT, entries=rows, **decides)


def _row(entry: Entry, sha256: str) -> list[object]:
    said = [entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.target]
    return [*said, entry.origin, sha256 if entry.kind is Kind.FILE else ""]


def _sha256(entry: Entry, digests: FileDigests) -> str:
    content = entry.content
    if isinstance(content, Whole):
        found = content.found

        def read() -> Digest:
            seen = hashlib.sha256()
            with found.open() as stream:
                while chunk := stream.read(CHUNK):
                    seen.update(chunk)
                found.check(stream)
            return Digest(seen.hexdigest())

        return digests.of(found.path, found.info, read).hex
    if isinstance(content, Inline):
        return hashlib.sha256(content.data).hexdigest()
    return known_sha256(entry) or hashlib.sha256().hexdigest()
