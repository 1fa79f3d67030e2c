"""Layers laid on each other as an engine's overlay does: what one deletes goes, what it holds comes (OCI layer.md).

A layer's own folders hide links and files below them, also those that it does not list: no path of a layer leads
through a link of a lower one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from oci_builder.layer import DELETIONS
from oci_builder.tree.entry import EntryPath, Kind
from oci_builder.tree.tree import Tree


class Listed(Protocol):
    """What a layer lists: an entry, or something that it deletes."""

    @property
    def path(self) -> str:
        """The path, as the layer has it."""

    @property
    def kind(self) -> str:
        """The kind, in the words of a layer's index."""


Held = TypeVar("Held")
Item = TypeVar("Item", bound=Listed)


class Overlay(Generic[Held]):
    """What a container sees while layers are laid on each other, oldest first: by path whatever is held of an entry.

    ``is_folder`` tells folders from the rest; ``lost`` is told each path whose entry goes or is replaced.
    """

    def __init__(self, is_folder: Callable[[Held], bool], *, lost: Callable[[str], object] | None = None) -> None:
        self._is_folder, self._lost = is_folder, lost
        self.seen: dict[EntryPath, Held] = {}
        # All folders that ever held something, whether a layer lists them or not.
        self._folders: set[str] = set()

    def lay(self, items: Iterable[Item], places: Sequence[EntryPath], held: Callable[[int, Item], Held]) -> None:
        """Lay on the next layer, which lists ``items`` (walked more than once) and has each at its one of ``places``.

        ``held`` is asked, with an item's number, what to hold of those that are not deletions.
        """
        opaque = [f"{place}/" for item, place in zip(items, places, strict=True) if item.kind == "opaque"]
        made = self._make_folders([*places, *opaque])
        self._hide(zip(items, places, strict=True))
        self._folders |= made
        for row, (item, place) in enumerate(zip(items, places, strict=True)):
            if item.kind in DELETIONS:
                continue
            if self._lost is not None and place in self.seen:
                self._lost(place)
            self.seen[place] = held(row, item)

    def _make_folders(self, paths: Iterable[str]) -> set[str]:
        """Whatever else is in the place of a folder above ``paths`` goes; gives those folders."""
        made = {""}
        for path in paths:
            folder = path.rpartition("/")[0]
            while folder not in made:
                made.add(folder)
                present = self.seen.get(EntryPath(folder))
                if present is not None and not self._is_folder(present):
                    self._remove(EntryPath(folder))
                folder = folder.rpartition("/")[0]
        return made

    def _hide(self, items: Iterable[tuple[Listed, EntryPath]]) -> None:
        gone, emptied, folders = [], [], set()
        for item, place in items:
            if item.kind == "opaque":
                emptied.append(place)
            elif item.kind == Kind.DIRECTORY.value:
                folders.add(place)
            elif item.kind in DELETIONS or place in self._folders:
                # What takes a folder's place takes all that the folder held.
                gone.append(place)
        # A folder that comes after its own whiteout takes the whiteout's place, and what lies below shows through.
        hidden = Hidden((place for place in gone if place not in folders), emptied)
        if hidden:
            for place in [place for place in self.seen if hidden.hides(place)]:
                self._remove(place)

    def _remove(self, place: EntryPath) -> None:
        del self.seen[place]
        if self._lost is not None:
            self._lost(place)


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
        """Whether the path is gone."""
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


def without(tree: Tree, paths: Iterable[str]) -> Tree:
    """``tree`` after ``paths``, and all that lies below them, were deleted."""
    return tree.without(Hidden(paths).hides)
