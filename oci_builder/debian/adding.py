"""Packages laid over a base: where their files land, and which of them the base keeps as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from oci_builder.debian.deb import DebFile
from oci_builder.debian.ground import Ground
from oci_builder.debian.lock import Pin
from oci_builder.debian.rootfs import MERGED, Diversions, Merger, UsrMerge
from oci_builder.debian.takeovers import Takeovers
from oci_builder.debian.thinning import Thinning, thinned, with_parents
from oci_builder.errors import PathConflict
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, same_place


def added(
    packages: Mapping[Pin, DebFile],
    ground: Ground,
    thinning: Thinning,
    takeovers: Takeovers,
    diversions: Diversions | None = None,
) -> Tree:
    """What more ``packages`` put over ``ground``, less what ``thinning`` drops.

    A file that two packages have is that of the one that replaces the other, by ``takeovers``, or that diverts it, as
    ``diversions`` say besides those of the base. No script is looked at. Raises PackageError, UnsafePath, PathConflict.
    """
    merged = Merger(OnBase(ground, diversions or {}), takeovers)
    conffiles: set[str] = set()
    for pin, package in sorted(packages.items(), key=lambda pair: pair[0].name):
        merged.add(package.entries, pin)
        conffiles |= {ground.tree.place(path) for path in package.conffiles}
    tree = with_parents(thinned(Tree(merged.entries()), thinning), [])
    fresh = _Fresh(ground, takeovers, frozenset(conffiles)).of(tree)
    return place(map(ground.overridden, fresh), ground.tree)


class OnBase(UsrMerge):
    """Where files of packages land on a base: through its own links, and where its diversions lead."""

    def __init__(self, ground: Ground, diversions: Diversions) -> None:
        self._ground = ground
        self._links = set()
        self._folders: dict[str, str] = {}
        self._diversions = {
            self._landed(path.lstrip("/")): (self._landed(place.lstrip("/")), by)
            for path, (place, by) in diversions.items()
        }

    def of(self, path: str, *, kind: Kind, package: str) -> EntryPath | None:
        """Where what ``package`` has at ``path`` goes; None for what is there in any case."""
        if self._is_moved(path):
            return super().of(path, kind=kind, package=package)
        if kind is Kind.DIRECTORY:
            # A link may lead to the root itself.
            return self._ground.tree.resolve(path) or None
        landed = self._landed(path)
        place, by = self._diversions.get(landed, (landed, package))
        return self._ground.diverted(landed if by == package else place, package)

    def _is_moved(self, path: str) -> bool:
        """Whether it lies in a folder that the base does not have, and that a merged /usr has elsewhere."""
        top = MERGED.match(path)
        return top is not None and top[1] not in self._ground.tree and self._ground.is_merged

    def _landed(self, path: str) -> EntryPath:
        folder, slash, name = path.rpartition("/")
        if not slash:
            return EntryPath(path)
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = self._ground.tree.resolve(folder)
        return EntryPath(f"{real}/{name}" if real else name)


@dataclass(frozen=True)
class _Fresh:
    """Which entries take the place of what the base has there; ``conffiles`` are those that are configuration."""

    ground: Ground
    takeovers: Takeovers
    conffiles: frozenset[str]

    def of(self, tree: Tree) -> Iterator[Entry]:
        """The entries of ``tree`` that come over the base. Raises PathConflict."""
        below = self.ground.tree
        together = below.overlaid(tree)
        for entry in tree:
            present = below.get(entry.path)
            if present is None:
                yield entry
            elif not (same_place(present, entry) or _leads_alike(present, below, entry, together)):
                yield from self._over(entry, present)

    def _over(self, entry: Entry, present: Entry) -> Iterator[Entry]:
        owner = self.ground.owner(present)
        owned = replace(present, origin=owner)
        if self.takeovers.allow(entry, over=owned):
            yield entry
        elif self.takeovers.allow(owned, over=entry):
            return
        elif Kind.DIRECTORY in (entry.kind, present.kind):
            # As dpkg has it: a link does not take the place of a folder.
            if entry.kind is not Kind.SYMLINK or self.ground.is_ours:
                raise PathConflict(f"/{entry.path}", owner or "the base", entry.origin)
        elif owner:
            raise PathConflict(f"/{entry.path}", owner, entry.origin)
        elif entry.path not in self.conffiles:
            # Of no package, and no configuration: dpkg puts the package's in its place.
            yield entry


def _leads_alike(present: Entry, below: Tree, entry: Entry, together: Tree) -> bool:
    """Whether two links lead to one file, though by other ways: ``python -> python3`` and ``python -> python3.11``."""
    if not present.kind is entry.kind is Kind.SYMLINK:
        return False
    end = below.resolve(present.path)
    return end in below and end == together.resolve(entry.path)
