"""An image on its old base and on the new one, side by side: what every question about the change is put to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from oci_builder.bases import Base
from oci_builder.errors import UnsafePath
from oci_builder.gate.finding import Finding
from oci_builder.imported.merging import merged
from oci_builder.imported.names import readable
from oci_builder.layer import Layer
from oci_builder.oci.documents import RunConfig
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree


@dataclass(frozen=True)
class Side:
    """An image upon one of its bases: ``tree`` is what a container sees, ``base`` what the base alone has of it."""

    image: Base
    run: RunConfig
    base: Tree

    @property
    def tree(self) -> Tree:
        """The whole root filesystem."""
        return self.image.tree

    def entry(self, path: str) -> Entry | None:
        """What is at the end of all links of ``path``."""
        try:
            return self.tree.get(self.tree.resolve(path))
        except UnsafePath:
            return None


@dataclass(frozen=True)
class Sides:
    """The image before and after, and the layers of its ``own``, the lowest of which has the number ``first`` in it."""

    before: Side
    after: Side
    own: Sequence[Layer]
    first: int
    store: Store

    @cached_property
    def tree(self) -> Tree:
        """What the image's own layers hold in the end."""
        return merged(self.own, self.store)

    @cached_property
    def seen(self) -> Sequence[Entry]:
        """What of that a container sees on the new base, folders left out."""
        there = self.after.tree
        return [entry for entry in self.tree if entry.kind is not Kind.DIRECTORY and entry.path in there]

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {item.path: number for number, layer in enumerate(self.own, self.first) for item in layer.entries}

    def layer(self, path: str) -> str:
        """The image's own layer that has or deletes a path, as messages call it."""
        number = self._numbers.get(path)
        return f"layer {number}" if number is not None else "its own layers"


def lost(before: Side, after: Side, path: str) -> bool:
    """Whether something was at an absolute path, links followed, and is not there any more."""
    return before.entry(path) is not None and after.entry(path) is None


def resolved(tree: Tree, entry: Entry | None) -> Entry | None:
    """The file that a hard link of a layer made here repeats; any other entry as it is."""
    while entry is not None and entry.kind is Kind.HARDLINK:
        found = tree.get(EntryPath(entry.target.strip("/")))
        if found is entry:
            return None
        entry = found
    return entry


def refused(kind: str, subject: str, message: str, hint: str = "") -> Finding:
    """Why the image does not fit the new base."""
    return Finding(
        severity="error",
        kind=kind,
        origin="the image",
        subject=readable(subject),
        message=readable(message),
        hint=readable(hint),
    )


def words_of(text: str) -> Iterator[str]:
    """The absolute paths that a value is, or lists with colons between them."""
    yield from (part for part in text.split(":") if part.startswith("/") and part.strip("/") and "//" not in text)
