"""Layers laid on each other as an engine's overlay does: what one deletes goes, what it holds comes (OCI layer.md).

A layer's own folders hide links and files below them, also those that it does not list: no path of a layer leads
through a link of a lower one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from oci_builder.layer import DELETIONS, IndexEntry, Layer
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree, numbered

_Held = dict[EntryPath, Entry | int]


def merged(layers: Sequence[Layer], store: Store) -> Tree:
    """The root filesystem that a container of ``layers``, oldest first, sees; contents are read from the store."""
    merging = _Merging(layers, store)
    for number in range(len(layers)):
        merging.lay(number)
    seen, merging.seen = merging.seen, {}  # the tree, which reads here, has it from now on
    return Tree.of_numbers(seen, merging.read)


def without(tree: Tree, paths: Iterable[str]) -> Tree:
    """``tree`` after ``paths``, and all that lies below them, were deleted."""
    return tree.without(Hidden(paths).hides)


class Hidden:
    """Paths that are gone, with all that lies below them; of folders that are ``emptied``, only what lies below.

    Each folder is looked at once, however much it holds.
    """

    def __init__(self, paths: Iterable[str], emptied: Iterable[str] = ()) -> None:
        self._paths, self._emptied = frozenset(paths), frozenset(emptied)
        self._below = {"": "" in self._emptied}

    def __bool__(self) -> bool:
        return bool(self._paths or self._emptied)

    def hides(self, path: str) -> bool:
        """Whether a layer above has taken the path away."""
        return path in self._paths or self._all_below(path.rpartition("/")[0])

    def _all_below(self, folder: str) -> bool:
        todo = []
        while folder not in self._below:
            todo.append(folder)
            folder = folder.rpartition("/")[0]
        gone = self._below[folder]
        for each in reversed(todo):
            gone = gone or each in self._paths or each in self._emptied
            self._below[each] = gone
        return gone


class _Merging:
    """What is seen while layers are laid on each other: by path the number of its entry, or one that came elsewhere."""

    def __init__(self, layers: Sequence[Layer], store: Store) -> None:
        self._layers = layers
        self._readers = [layer.reader(store) for layer in layers]
        self.seen: _Held = {}
        # All folders that ever held something, whether a layer lists them or not.
        self._folders: set[str] = set()

    def read(self, number: int) -> Entry:
        """The entry of a number."""
        row, layer = divmod(number, len(self._layers))
        return self._readers[layer](row)

    def lay(self, number: int) -> None:
        """Lay on the next layer."""
        layer = self._layers[number]
        landing = _Landing(self._links(number, layer), self.read)
        landed = [landing.of(item.path) for item in layer.entries]
        # An opaque folder is there even where no entry names it. As a folder "above" what it empties: hence the slash.
        opaque = [f"{path}/" for item, path in zip(layer.entries, landed, strict=True) if item.kind == "opaque"]
        made = self._make_folders([*landed, *opaque])
        # What takes a folder's place takes all that the folder held.
        self._hide(zip(layer.entries, landed, strict=True))
        self._folders |= made
        for row, (item, path) in enumerate(zip(layer.entries, landed, strict=True)):
            if item.kind in DELETIONS:
                continue
            if path == item.path:
                held = numbered(row * len(self._layers) + number, is_link=item.kind == Kind.SYMLINK.value)
                self.seen[path] = held
            else:
                self.seen[path] = replace(self._readers[number](row), path=path)

    def _make_folders(self, paths: Iterable[str]) -> set[str]:
        """Whatever else is in the place of a folder above ``paths`` goes; gives those folders."""
        made = {""}
        for path in paths:
            folder = path.rpartition("/")[0]
            while folder not in made:
                made.add(folder)
                held = self.seen.get(EntryPath(folder))
                if held is not None and self._kind(held) is not Kind.DIRECTORY:
                    del self.seen[EntryPath(folder)]
                folder = folder.rpartition("/")[0]

        return made

    def _hide(self, items: Iterable[tuple[IndexEntry, EntryPath]]) -> None:
        gone, emptied, folders = [], [], set()
        for item, path in items:
            if item.kind == "opaque":
                emptied.append(path)
            elif item.kind in DELETIONS or (item.kind != Kind.DIRECTORY.value and path in self._folders):
                gone.append(path)
            elif item.kind == Kind.DIRECTORY.value:
                folders.add(path)
        # Before anything of this layer is laid on: deletions are about the layers below it, wherever they stand in it
        # (layer.md, "Whiteouts"). But a folder that comes after its own whiteout takes the whiteout's place, and what
        # lies below shows through.
        hidden = Hidden((path for path in gone if path not in folders), emptied)
        if hidden:
            for path in [path for path in self.seen if hidden.hides(path)]:
                del self.seen[path]

    def _kind(self, held: Entry | int) -> Kind:
        return (self.read(held >> 1) if isinstance(held, int) else held).kind

    def _links(self, number: int, layer: Layer) -> _Held:
        """The links of a layer: its own paths go through them."""
        return {
            EntryPath(item.path): numbered(row * len(self._layers) + number, is_link=True)
            for row, item in enumerate(layer.entries)
            if item.kind == Kind.SYMLINK.value
        }


class _Landing:
    """Where paths of a layer land: through its links. Each folder is followed once, however much it holds."""

    def __init__(self, links: _Held, read: Callable[[int], Entry]) -> None:
        self._links = Tree.of_numbers(links, read)
        # With each folder, where it is, and whether a link leads there.
        self._folders: dict[str, tuple[str, bool]] = {"": ("", False)}

    def of(self, path: str) -> EntryPath:
        folder, slash, name = path.rpartition("/")
        place, through = self._folder(folder)
        return EntryPath(f"{place}{'/' if place else ''}{name}" if through else path) if slash else EntryPath(path)

    def _folder(self, folder: str) -> tuple[str, bool]:
        known = self._folders.get(folder)
        if known is None:
            through = any(part in self._links for part in _upwards(folder)) if self._links else False
            known = self._folders[folder] = (self._links.resolve(folder) if through else folder), through
        return known


def _upwards(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
