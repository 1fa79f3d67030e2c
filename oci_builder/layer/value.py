"""A finished layer as a value: what names it, what lies in it, and the key it is remembered by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import deflate

from oci_builder.digest import Digest
from oci_builder.layer.entries import Entries, IndexEntry
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import encode_key
from oci_builder.store import Store
from oci_builder.tree.entry import (
    Checked,
    Content,
    Entry,
    EntryPath,
    FileSlice,
    Kind,
    Member,
)
from oci_builder.tree.tree import Tree, numbered

FORMAT = 2
"""Raised when the same inputs give other layer bytes than before."""

LEVEL = 6
DELETIONS = frozenset({Kind.WHITEOUT.value, Kind.OPAQUE.value})
"""Kinds of index entries that put nothing into a tree."""

_KINDS = {kind.value: kind for kind in Kind}
KINDS = DELETIONS | _KINDS.keys()
"""Kinds of index entries that there are."""

_FILE, _HARDLINK, _SYMLINK = Kind.FILE.value, Kind.HARDLINK.value, Kind.SYMLINK.value


@dataclass(frozen=True, slots=True)
class LayerKey:
    """The hash of all that decides a layer's bytes. Same key, same bytes: what caches go by."""

    hex: str

    @classmethod
    def of(cls, **inputs: object) -> LayerKey:
        """The key of named inputs, each of them JSON; format and compressor come with it."""
        compressor = {"name": "libdeflate", "version": deflate.__version__, "level": LEVEL}
        return cls(Digest.of(encode_key({"format": FORMAT, "compressor": compressor, **inputs})).hex)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer whose bytes exist: there is no other kind. ``holds`` names what is in it; ``unpacked`` is in bytes.

    One that is ``imported`` was made elsewhere: its files are read from its plain tar, which the store has under its
    diff ID; those that have holes there, and an offset below zero, from the blob ``filled`` (-1 is its first byte).
    What a layer deletes stands among its entries as "whiteout" (a path) and "opaque" (a folder's content).
    """

    descriptor: Descriptor
    diff_id: Digest
    created_by: str
    holds: tuple[str, ...]
    unpacked: int
    entries: Sequence[IndexEntry]
    comment: str = ""
    imported: bool = False
    filled: Digest | None = None
    _trees: dict[Path, Tree] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Layer({self.created_by!r}, {self.descriptor.size} bytes, {self.descriptor.digest})"

    def tree(self, store: Store) -> Tree:
        """What the layer puts into a root filesystem, with contents read from its blob; the same value every time."""
        place = self._place(store)
        if self.imported:
            return self._lazy(store)  # large, and asked for once
        if place not in self._trees:
            large = isinstance(self.entries, Entries)
            # Not by way of this very value, which has the tree: the two would outlive all others that know them.
            self._trees[place] = replace(self)._lazy(store) if large else Tree(self._made(place))
        return self._trees[place]

    def _made(self, place: Path) -> Iterator[Entry]:
        return (self._entry(item, place) for item in self.entries if item.kind not in DELETIONS)

    def _lazy(self, store: Store) -> Tree:
        numbers = {
            EntryPath(item.path): numbered(number, is_link=item.kind == _SYMLINK)
            for number, item in enumerate(self.entries)
            if item.kind not in DELETIONS
        }
        return Tree.of_numbers(numbers, self.reader(store))

    def entry(self, item: IndexEntry, store: Store) -> Entry:
        """One of ``entries`` as a value whose content can be read; an imported hard link is the file it repeats."""
        return self._entry(item, self._place(store))

    def content(self, item: IndexEntry, store: Store) -> Content | None:
        """Where the bytes of one of ``entries`` are; None for what has none."""
        return self._content(item, self._place(store))

    def reader(self, store: Store) -> Callable[[int], Entry]:
        """What gives one of ``entries``, by its number, as ``entry`` does."""
        return partial(_nth, self, self._place(store))

    def _place(self, store: Store) -> Path:
        if self.filled is not None:
            store.path(self.filled)  # which is needed as long as the layer is
        return store.path(self.diff_id if self.imported else self.descriptor.digest)

    def _entry(self, item: IndexEntry, place: Path) -> Entry:
        linked = self.imported and item.kind == _HARDLINK
        return Entry(
            path=EntryPath(item.path),
            kind=Kind.FILE if linked else _KINDS[item.kind],
            mode=item.mode,
            uid=item.uid,
            gid=item.gid,
            mtime=item.mtime,
            size=item.size,
            target="" if linked else item.target,
            sha256=item.sha256,
            origin=item.origin,
            content=self._content(item, place),
        )

    def _content(self, item: IndexEntry, place: Path) -> Content | None:
        if not self.imported:
            return Member(place, item.offset, item.size) if item.kind == _FILE else None
        if not item.sha256:
            return None
        if item.offset < 0 and self.filled is not None:
            return Checked(
                FileSlice(place.with_name(self.filled.hex), -1 - item.offset, item.size),
                ("sha256", bytes.fromhex(item.sha256)),
            )
        return Checked(FileSlice(place, item.offset, item.size), ("sha256", bytes.fromhex(item.sha256)))


def _nth(layer: Layer, place: Path, number: int) -> Entry:
    return layer._entry(layer.entries[number], place)
