"""The root filesystem of an image as everything a container could tell of it: a face for each path."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from oci_builder.digest import Digest
from oci_builder.layer import IndexEntry
from oci_builder.overlay import Overlay
from oci_builder.tree.entry import MTIME, Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree, order
from oci_builder.updates.scanning import Attributes, LayerScan

_IMPLIED = -1
"""What is held of a folder that no layer lists: engines make it, and it is root's."""

_DIRECTORY, _SYMLINK = Kind.DIRECTORY.value, Kind.SYMLINK.value
_FILES = (Kind.FILE.value, Kind.HARDLINK.value)


class Face(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is at a path: kind is file, directory, symlink or device. ``sha256`` is a file's content's, in hex."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: str
    sha256: str
    attributes: Attributes


_FOLDER = Face(_DIRECTORY, 0o755, 0, 0, MTIME, 0, "", "", ())


class MergedTree:
    """What a container of ``layers``, oldest first, sees.

    ``peers`` has, for each name of a file that has several, all of them in order.
    """

    def __init__(self, layers: Sequence[LayerScan]) -> None:
        self.layers = tuple(layers)
        self._held: dict[EntryPath, int] = {}
        places = self._laid()
        for path in list(self._held):
            for folder in _upwards(path.rpartition("/")[0]):
                if folder in self._held:
                    break
                self._held[EntryPath(folder)] = _IMPLIED
        self._held = {path: self._held[path] for path in sorted(self._held, key=order)}
        self.peers = self._linked(places)

    def __iter__(self) -> Iterator[EntryPath]:
        """Every path, in a layer's order."""
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, path: object) -> bool:
        return path in self._held

    def source(self, path: EntryPath) -> tuple[int, int] | None:
        """The number of the layer (from 0) and of its entry that a path is from; None for a folder nobody lists."""
        held = self._held[path]
        if held == _IMPLIED:
            return None
        row, layer = divmod(held, len(self.layers))
        return layer, row

    def face(self, path: EntryPath) -> Face:
        """What is at a path of the tree."""
        source = self.source(path)
        if source is None:
            return _FOLDER
        scan = self.layers[source[0]]
        entry = scan.entries[source[1]]
        kind = "device" if entry.path in scan.devices else _KIND.get(entry.kind, entry.kind)
        return Face(
            kind,
            # No system has modes of links.
            0o777 if kind == _SYMLINK else entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime,
            entry.size if kind == "file" else 0,
            entry.target if kind == _SYMLINK else "",
            entry.sha256 if kind == "file" else "",
            scan.attributes.get(entry.path, ()),
        )

    def is_folder(self, path: EntryPath) -> bool:
        """Whether a folder is at the path."""
        held = self._held.get(path)
        return held is not None and self._is_folder(held)

    def is_same(self, path: EntryPath, other: MergedTree) -> bool:
        """Whether the other tree has at the path what this one has; both have something there."""
        if self.peers.get(path) != other.peers.get(path):
            return False
        one, two = self.source(path), other.source(path)
        if one is not None and two is not None and one[1] == two[1] and self._layer(one) == other._layer(two):
            return True
        return self.face(path) == other.face(path)

    def digest(self) -> Digest:
        """One digest of all of it: every path with what is there, and which names are one file's."""
        seen = hashlib.sha256()
        for path in self._held:
            kind, mode, uid, gid, mtime, size, target, sha256, attributes = msgspec.structs.astuple(self.face(path))
            first = self.peers.get(path, ("",))[0]
            numbers = f"{mode:o} {uid} {gid} {mtime} {size}"
            # No name holds a NUL; values of attributes may.
            told = [text for name, value in attributes for text in (name, _hex(value))]
            line = "\0".join((path, kind, numbers, target, sha256, first, *told))
            seen.update(f"{line}\0\n".encode("utf-8", "surrogateescape"))
        return Digest(seen.hexdigest())

    def _layer(self, source: tuple[int, int]) -> Digest:
        return self.layers[source[0]].diff_id

    def _is_folder(self, held: int) -> bool:
        if held == _IMPLIED:
            return True
        row, layer = divmod(held, len(self.layers))
        return self.layers[layer].entries[row].kind == _DIRECTORY

    def _laid(self) -> dict[int, Sequence[EntryPath]]:
        """Lay all layers on each other; gives where the entries of those land in which files have several names."""
        overlay: Overlay[int] = Overlay(self._is_folder)
        count = len(self.layers)
        landed: dict[int, Sequence[EntryPath]] = {}
        for number, scan in enumerate(self.layers):
            items = _items(scan)
            places = _places(items)
            overlay.lay(items, places, _numbering(number, count))
            if scan.links:
                landed[number] = places
        self._held = overlay.seen
        return landed

    def _linked(self, landed: Mapping[int, Sequence[EntryPath]]) -> dict[EntryPath, tuple[EntryPath, ...]]:
        peers: dict[EntryPath, tuple[EntryPath, ...]] = {}
        count = len(self.layers)
        for number, places in landed.items():
            scan = self.layers[number]
            names: dict[int, list[EntryPath]] = {}
            for row, entry in enumerate(scan.entries):
                first = scan.links.get(entry.path)
                if first is not None and entry.kind in _FILES and self._held.get(places[row]) == row * count + number:
                    names.setdefault(first, []).append(places[row])
            for found in names.values():
                together = tuple(sorted(found, key=order))
                if len(together) > 1:
                    peers.update(dict.fromkeys(together, together))
        return peers


_KIND = {Kind.HARDLINK.value: "file"}


def _numbering(number: int, count: int) -> Callable[[int, IndexEntry], int]:
    """What is held of an entry of the layer ``number`` of ``count``."""
    return lambda row, item: row * count + number


def _items(scan: LayerScan) -> Sequence[IndexEntry]:
    """The entries of a layer, among which devices are no deletions."""
    if not scan.devices:
        return scan.entries
    seen = (
        msgspec.structs.replace(entry, kind="device") if entry.path in scan.devices else entry for entry in scan.entries
    )
    return tuple(seen)


def _places(items: Sequence[IndexEntry]) -> list[EntryPath]:
    """Where the entries of a layer land: through its own links. Each folder is followed once."""
    links = Tree(_link(item) for item in items if item.kind == _SYMLINK)
    if not len(links):
        return [EntryPath(item.path) for item in items]
    followed: dict[str, str] = {}
    found = []
    for item in items:
        folder, slash, name = item.path.rpartition("/")
        if folder not in followed:
            through = any(part in links for part in _upwards(folder))
            followed[folder] = links.resolve(folder) if through else folder
        place = followed[folder]
        found.append(EntryPath(f"{place}{'/' if place else ''}{name}" if slash else item.path))
    return found


def _link(item: IndexEntry) -> Entry:
    return Entry(path=EntryPath(item.path), kind=Kind.SYMLINK, mode=0o777, target=item.target, origin="")


def _upwards(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _hex(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").hex()
