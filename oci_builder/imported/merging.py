"""The root filesystem of layers made elsewhere: each lands where its own links lead, and is laid on those below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from oci_builder.layer import IndexEntry, Layer
from oci_builder.overlay import Overlay
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree, numbered


def merged(layers: Sequence[Layer], store: Store) -> Tree:
    """The root filesystem that a container of ``layers``, oldest first, sees; contents are read from the store."""
    stack = _Stack(layers, store)
    overlay: Overlay[Entry | int] = Overlay(stack.is_folder)
    for number in range(len(layers)):
        stack.lay(number, overlay)
    return Tree.of_numbers(overlay.seen, stack.read)


class _Stack:
    """Layers whose entries have numbers: held is the number of an entry, or one that a link led elsewhere."""

    def __init__(self, layers: Sequence[Layer], store: Store) -> None:
        self._layers = layers
        self._readers = [layer.reader(store) for layer in layers]

    def read(self, number: int) -> Entry:
        """The entry of a number."""
        row, layer = divmod(number, len(self._layers))
        return self._readers[layer](row)

    def is_folder(self, held: Entry | int) -> bool:
        """Whether what is held is a folder."""
        entry = self.read(held >> 1) if isinstance(held, int) else held
        return entry.kind is Kind.DIRECTORY

    def lay(self, number: int, overlay: Overlay[Entry | int]) -> None:
        """Lay on the layer with this number, which is the next one."""
        layer = self._layers[number]
        landing = _Landing(self._links(number, layer), self.read)
        places = [landing.of(item.path) for item in layer.entries]

        def held(row: int, item: IndexEntry) -> Entry | int:
            if places[row] != item.path:
                return replace(self._readers[number](row), path=places[row])
            return self._numbered(row, number, is_link=item.kind == Kind.SYMLINK.value)

        overlay.lay(layer.entries, places, held)

    def _links(self, number: int, layer: Layer) -> dict[EntryPath, Entry | int]:
        """The links of a layer: its own paths go through them."""
        return {
            EntryPath(item.path): self._numbered(row, number, is_link=True)
            for row, item in enumerate(layer.entries)
            if item.kind == Kind.SYMLINK.value
        }

    def _numbered(self, row: int, layer: int, *, is_link: bool) -> int:
        return numbered(row * len(self._layers) + layer, is_link=is_link)


class _Landing:
    """Where paths of a layer land: through its links. Each folder is followed once, however much it holds."""

    def __init__(self, links: dict[EntryPath, Entry | int], read: Callable[[int], Entry]) -> None:
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
