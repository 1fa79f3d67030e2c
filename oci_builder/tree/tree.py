"""A root filesystem, or a slice of one, as an immutable value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import methodcaller

from oci_builder.errors import PathConflict, UnsafePath
from oci_builder.tree.entry import Entry, EntryPath, Kind, known_sha256

_MAX_LINKS = 40
"""How many symlinks Linux follows for one path."""

_order = methodcaller("replace", "/", "\0")
"""``order`` without a frame of Python's for every path."""


class Tree:
    """Entries with unique paths, in the order a layer lists them: parents first, names by their bytes.

    Those of an image made elsewhere, hundreds of thousands, are numbers, and made values when they are looked at.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._read: Callable[[int], Entry] = _no_numbers
        by_path: dict[EntryPath, Entry] = {}
        for entry in entries:
            present = by_path.setdefault(entry.path, entry)
            if present is not entry and not same_place(present, entry):
                raise PathConflict(entry.path, present.origin, entry.origin)
        self._by_path: dict[EntryPath, Entry | int] = {path: by_path[path] for path in sorted(by_path, key=_order)}

    @classmethod
    def of_numbers(cls, numbers: Mapping[EntryPath, Entry | int], read: Callable[[int], Entry]) -> Tree:
        """The tree whose entry at a path is the value given, or the one that ``read`` makes of a ``numbered`` one."""
        made = cls()
        made._by_path = {path: numbers[path] for path in sorted(numbers, key=_order)}
        made._read = read
        return made

    def __iter__(self) -> Iterator[Entry]:
        return map(self._value, self._by_path.values())

    def __len__(self) -> int:
        return len(self._by_path)

    def __contains__(self, path: str) -> bool:
        return path in self._by_path

    def get(self, path: str) -> Entry | None:
        """The entry at ``path``, links not followed."""
        found = self._by_path.get(EntryPath(path))
        return None if found is None else self._value(found)

    @property
    def paths(self) -> Mapping[EntryPath, Entry]:
        """All entries by path, read-only. What looks at a few of them had better walk the paths alone."""
        return _Values(self._by_path, self._value)

    def _value(self, held: Entry | int) -> Entry:
        return self._read(held >> 1) if isinstance(held, int) else held

    def overlaid(self, upper: Iterable[Entry]) -> Tree:
        """This tree with the entries of ``upper`` put over it, as a later layer is."""
        merged = {**self._by_path, **{entry.path: entry for entry in upper}}
        if len(merged) == len(self._by_path):
            # What is replaced stays in its place, so all are in order still.
            return self._of(merged)
        return Tree.of_numbers(merged, self._read)

    def without(self, gone: Callable[[EntryPath], bool]) -> Tree:
        """This tree without the paths that are ``gone``."""
        return self._of({path: held for path, held in self._by_path.items() if not gone(path)})

    def _of(self, by_path: dict[EntryPath, Entry | int]) -> Tree:
        made = Tree()
        made._by_path, made._read = by_path, self._read
        return made

    def resolve(self, path: str) -> EntryPath:
        """``path`` with every symlink of the tree followed, whether or not the end exists.

        Raises UnsafePath when the links go round in a circle.
        """
        return follow(path, self._target, last=True)

    def place(self, path: str) -> EntryPath:
        """Where a new entry named ``path`` really goes: its parents resolved, its own name kept."""
        return follow(path, self._target, last=False)

    def _target(self, path: str) -> str | None:
        """Where the symlink at ``path`` points; None where there is none."""
        held = self._by_path.get(EntryPath(path))
        if isinstance(held, int):
            return self._read(held >> 1).target if held & 1 else None
        return held.target if held is not None and held.kind is Kind.SYMLINK else None


def follow(path: str, target_of: Callable[[str], str | None], *, last: bool) -> EntryPath:
    """Where ``path`` really leads, by the links that ``target_of`` tells of; the last part is followed too if ``last``.

    Raises UnsafePath when the links go round in a circle.
    """
    todo, here, links = [part for part in reversed(path.split("/")) if part], "", 0
    while todo:
        part = todo.pop()
        if part in (".", ".."):
            here = here.rpartition("/")[0] if part == ".." else here
            continue
        step = f"{here}/{part}" if here else part
        target = target_of(step) if todo or last else None
        if target is None:
            here = step
            continue
        links += 1
        if links > _MAX_LINKS:
            raise UnsafePath(path, "its symlinks go round in a circle")
        if target.startswith("/"):
            here = ""
        todo.extend(part for part in reversed(target.split("/")) if part)
    return EntryPath(here)


class _Values(Mapping[EntryPath, Entry]):
    """What a tree holds, as values."""

    def __init__(self, held: Mapping[EntryPath, Entry | int], value: Callable[[Entry | int], Entry]) -> None:
        self._held, self._value = held, value

    def __getitem__(self, path: EntryPath) -> Entry:
        return self._value(self._held[path])

    def __iter__(self) -> Iterator[EntryPath]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, path: object) -> bool:
        return path in self._held


def numbered(number: int, *, is_link: bool) -> int:
    """How a tree holds the entry ``number``: whether it is a symlink is asked for every folder of every path."""
    return number << 1 | is_link


def _no_numbers(number: int) -> Entry:
    raise LookupError(number)


def order(path: str) -> str:
    """The sort key of a layer: by path components, so that a folder is followed by all it holds.

    NUL is in no path and below every other character, so it ends a component as the end of a string does; and text
    compares as its UTF-8 does.
    """
    return path.replace("/", "\0")


def parents(path: str) -> Iterator[EntryPath]:
    """The folders above ``path``, outermost first."""
    at = path.find("/")
    while at >= 0:
        yield EntryPath(path[:at])
        at = path.find("/", at + 1)


def same_place(first: Entry, second: Entry) -> bool:
    """Whether two entries of one path can both be had: the same folder, or the same bytes."""
    if first.kind is not second.kind:
        return False
    if first.kind is Kind.DIRECTORY:
        return True
    if first.kind is Kind.FILE:
        return first.size == second.size and known_sha256(first) == known_sha256(second) != ""
    return first.target == second.target
