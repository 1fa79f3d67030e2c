"""What is large in an image: layer, package, folder, each with all that is below it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from oci_builder.inspect.contents import FileRecord
from oci_builder.inspect.installed import Package
from oci_builder.inspect.packages import Inventory
from oci_builder.oci.jsonio import JSON

OTHER = "(no package)"


class Node(msgspec.Struct, gc=False):
    """A part of an image: ``size`` in bytes and ``files`` count all below it. ``kind`` is image, layer, package, folder
    or file; ``shadowed`` are bytes that a later layer replaces or deletes, and that are shipped all the same."""

    name: str
    kind: str
    size: int = 0
    files: int = 0
    shadowed: int = 0
    parts: dict[str, Node] | None = None

    @property
    def below(self) -> Mapping[str, Node]:
        """What is directly below, by name; for a file, of which there are many, no mapping is held."""
        return self.parts if self.parts is not None else _NOTHING

    @property
    def largest(self) -> list[Node]:
        """What is directly below, the largest first."""
        return sorted(self.below.values(), key=lambda node: (-node.size, node.name))

    def child(self, name: str, kind: str) -> Node:
        """The part called ``name``, which is made if it is not there."""
        if self.parts is None:
            self.parts = {}
        found = self.parts.get(name)
        if found is None:
            found = self.parts[name] = Node(name, kind)
        return found

    def count(self, size: int, *, shadowed: bool) -> None:
        """One more file of ``size`` bytes somewhere below."""
        self.size += size
        self.files += 1
        self.shadowed += size if shadowed else 0


_NOTHING: Mapping[str, Node] = MappingProxyType({})


def size_tree(found: Inventory) -> Node:
    """The image as layers, packages, folders and files; deleted and replaced files count where they are stored."""
    contents = found.contents
    root = Node(contents.name, "image")
    for layer in contents.layers:
        top = root.child(f"layer {layer.number}", "layer")
        for record in layer.files:
            if record.kind == "file":
                shadowed = contents.tree.get(record.path) is not record
                _count((root, top), record, found.owners.get(record.path), shadowed=shadowed)
    return root


def _count(above: tuple[Node, Node], record: FileRecord, package: Package | None, *, shadowed: bool) -> None:
    *folders, name = _inside(record.path, package).split("/")
    node = above[-1].child(package.label if package else OTHER, "package")
    for each in (*above, node):
        each.count(record.size, shadowed=shadowed)
    for folder in folders:
        node = node.child(folder, "folder")
        node.count(record.size, shadowed=shadowed)
    node.child(name, "file").count(record.size, shadowed=shadowed)


def _inside(path: str, package: Package | None) -> str:
    """A path as one thinks of it: that of a distribution from its site-packages on, others from the root."""
    if package is not None and package.kind == "python":
        inside = path.removeprefix(f"{posixpath.dirname(package.place)}/")
        if inside != path:
            return inside
    return path


def folded(node: Node) -> Node:
    """The same part, with chains of folders that hold nothing but the next made one: ``usr/local/lib``."""
    while node.kind == "folder" and len(node.below) == 1:
        (only,) = node.below.values()
        if only.kind != "folder":
            break
        node = Node(f"{node.name}/{only.name}", "folder", only.size, only.files, only.shadowed, only.parts)
    return node


def as_json(node: Node, *, depth: int, at_least: int) -> JSON:
    """A part and what is below it, ``depth`` levels down; parts smaller than ``at_least`` bytes are left out."""
    document: JSON = {"name": node.name, "kind": node.kind, "size": node.size, "files": node.files}
    if node.shadowed:
        document["shadowed"] = node.shadowed
    shown = [folded(each) for each in node.largest if each.size >= at_least] if depth else []
    if shown:
        document["below"] = [as_json(each, depth=depth - 1, at_least=at_least) for each in shown]
    return document


def largest_files(found: Inventory, count: int) -> Sequence[FileRecord]:
    """The ``count`` largest files that a container sees."""
    records = (record for record in found.contents.tree.values() if record.kind == "file")
    return sorted(records, key=lambda record: (-record.size, record.path))[:count]


def walk(node: Node, *, depth: int, at_least: int) -> Iterator[tuple[int, Node]]:
    """A part and those below it with their depth, largest first, as they are printed."""
    todo = [(0, node)]
    while todo:
        at, each = todo.pop()
        yield at, each
        if at < depth:
            below = [folded(part) for part in each.largest if part.size >= at_least]
            todo.extend((at + 1, part) for part in reversed(below))
