"""Packages as one root filesystem: merged, moved below /usr, thinned out, configured, compiled and checked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oci_builder.bytecode import Compiler
from oci_builder.debian.configure import ORIGIN, configuration, status
from oci_builder.debian.control import stanza
from oci_builder.debian.deb import DebFile, read_deb
from oci_builder.debian.interpreter import bytecode
from oci_builder.debian.libraries import Libraries
from oci_builder.debian.lock import Pin, RootfsLock
from oci_builder.debian.recipe import LayerRecipe
from oci_builder.debian.takeovers import NO_TAKEOVERS, Takeovers
from oci_builder.debian.thinning import Thinning, thinned, with_parents
from oci_builder.errors import PackageError, PathConflict
from oci_builder.platforms import Platform
from oci_builder.store import Store
from oci_builder.threads import in_threads
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import MTIME, Entry, EntryPath, Kind, directory, entry_path, file, symlink
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, same_place

FORMAT = 2
"""Raised when the same packages and recipe give another root filesystem than before."""

_MERGED = re.compile(r"(bin|sbin|lib|lib32|lib64|libx32)(?=/|\Z)")

Diversions = Mapping[str, tuple[str, str]]
"""Where what packages bring at a path goes, and the package that said so, whose own file lies there."""

Compilers = Callable[[Tree, MappedFiles], AbstractContextManager[Compiler | None]]
"""Given the tree so far, opens what compiles its standard library, or None where nothing can."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a root filesystem is made with: packages of ``store``, a folder for contents, and so many jobs at once."""

    store: Store
    spool: Path
    compilers: Compilers
    jobs: int = 1


def entries(
    recipe: LayerRecipe,
    lock: RootfsLock,
    platform: Platform,
    means: Means,
) -> list[Entry]:
    """The whole root filesystem, from verified packages; contents lie in a folder of ``means``.

    Folders and what is made here have the time ``MTIME``, files of packages their own, so that a newer lock with the
    same packages gives the same bytes. Raises PackageError, UnsafePath, PathConflict, MissingLibrary, ToolFailed.
    """
    with MappedFiles() as sources:
        tree = _configured(recipe, lock, means, sources)
        libraries = Libraries.of(tree, platform.machine, sources)
        tree = with_parents(tree, [file("etc/ld.so.cache", libraries.cache(), origin=ORIGIN)])
        with means.compilers(tree, sources) as compiler:
            if compiler is not None:
                minor = recipe.python.minor
                into = means.spool / "bytecode"
                made = bytecode(tree, compiler, into, minor=minor, sources=sources, jobs=means.jobs)
                tree = with_parents(tree, made)
    libraries.check()
    _check_links(tree)
    return list(tree)


def added(
    packages: Mapping[Pin, DebFile],
    below: Tree,
    thinning: Thinning,
    takeovers: Takeovers,
    diversions: Diversions | None = None,
) -> Tree:
    """What more ``packages`` put over ``below``, a base, less what ``thinning`` drops.

    A file that two packages have is that of the one that replaces the other, by ``takeovers``, or that diverts it. No
    script is looked at.
    Raises PackageError, UnsafePath, PathConflict.
    """
    merged, said = _Merger(takeovers), list[Entry]()
    for pin, package in sorted(packages.items(), key=lambda pair: pair[0].name):
        merged.add(_diverted(package.entries, pin.name, diversions or {}), pin)
        # Of a package that the base has, and of which more is added, the base has said so already.
        said += (entry for entry in status(pin.name, package) if entry.path not in below)
    tree = with_parents(thinned(Tree(merged.entries()), thinning), said)
    return place(list(_fresh(tree, below, takeovers)), below)


def read_package(pin: Pin, store: Store, spool: Path) -> DebFile:
    """The package of ``pin``. Raises PackageError, also for one that says it is another: scanners believe it."""
    package = read_deb(store.path(pin.digest), spool / pin.name, origin=str(pin))
    fields = stanza(package.control.decode("utf-8", "replace"))
    for key in ("package", "version", "architecture"):
        listed = pin.name if key == "package" else getattr(pin, key)
        if fields.get(key) != listed:
            why = f"its control file says {key} {fields.get(key, 'nothing')!r}, and the lock {listed!r}"
            raise PackageError(str(pin), why, hint="the archive's index is wrong; name another mirror with --mirror")
    return package


def _diverted(entries: Iterable[Entry], package: str, diversions: Diversions) -> Iterator[Entry]:
    """``entries`` of a package, those that another one diverts in the places that it says (dpkg-divert(1))."""
    places = {_moved(path[1:]): _moved(place[1:]) for path, (place, by) in diversions.items() if by != package}
    for entry in entries:
        place = places.get(_moved(entry.path)) if places else None
        yield entry if place is None else replace(entry, path=entry_path(place))


def _fresh(tree: Tree, below: Tree, takeovers: Takeovers) -> Iterator[Entry]:
    together = below.overlaid(tree)
    for entry in tree:
        present = below.get(entry.path)
        if present is None or takeovers.allow(entry, over=present):
            yield entry
        elif not (
            same_place(present, entry)
            or takeovers.allow(present, over=entry)
            or _leads_alike(present, below, entry, together)
        ):
            raise PathConflict(f"/{entry.path}", present.origin, entry.origin)


def _leads_alike(present: Entry, below: Tree, entry: Entry, together: Tree) -> bool:
    """Whether two links lead to one file, though by other ways: ``python -> python3`` and ``python -> python3.11``."""
    if not present.kind is entry.kind is Kind.SYMLINK:
        return False
    end = below.resolve(present.path)
    return end in below and end == together.resolve(entry.path)


def _configured(recipe: LayerRecipe, lock: RootfsLock, means: Means, sources: MappedFiles) -> Tree:
    merged = _Merger()
    said: list[Entry] = []
    # base-files first: the modes of its folders are the ones that count.
    pins = sorted(lock.packages, key=lambda pin: (pin.name != "base-files", pin.name))
    # Threads are enough: inflating lets the others run.
    reading = [partial(read_package, pin, means.store, means.spool) for pin in pins]
    with contextlib.closing(in_threads(reading, count=means.jobs)) as packages:
        for pin, package in zip(pins, packages, strict=True):
            merged.add(package.entries, pin)
            said += status(pin.name, package)
    tree = Tree(merged.entries())
    made = configuration(tree, recipe, sources)
    thinning = Thinning.of(recipe.source.drop, recipe.source.keep)
    return with_parents(thinned(tree, thinning), [*made, *said])


class _Merger:
    """Entries of many packages by path, moved to where usrmerge has them."""

    def __init__(self, takeovers: Takeovers = NO_TAKEOVERS) -> None:
        self._takeovers = takeovers
        self._by_path: dict[EntryPath, Entry] = {}
        self._links = {"bin", "lib", "sbin"}

    def add(self, found: Iterable[Entry], pin: Pin) -> None:
        """Take one package's entries. Raises PackageError for a hard link to nothing."""
        for entry in found:
            top = _MERGED.match(entry.path)
            if top:
                self._links.add(top[1])
                if entry.path == top[1]:
                    continue
            self._put(self._settled(entry, pin))

    def entries(self) -> Iterator[Entry]:
        """All of them, with the links and the parents that a merged /usr has."""
        yield from self._by_path.values()
        for name in sorted(self._links):
            yield symlink(name, f"usr/{name}", origin=ORIGIN)
            if f"usr/{name}" not in self._by_path:
                yield directory(f"usr/{name}", origin=ORIGIN)

    def _settled(self, entry: Entry, pin: Pin) -> Entry:
        path = _moved(entry.path)
        if entry.kind is Kind.DIRECTORY:
            return replace(entry, path=path, mtime=MTIME)
        if entry.kind is Kind.HARDLINK:
            # A copy: a layer may hold a file twice, and few do.
            target = self._by_path.get(_moved(entry.target))
            if target is None or target.kind is not Kind.FILE:
                raise PackageError(str(pin), f"/{path} is a hard link to nothing, /{entry.target}")
            return replace(target, path=path)
        return replace(entry, path=path)

    def _put(self, entry: Entry) -> None:
        present = self._by_path.setdefault(entry.path, entry)
        if present is entry or self._takeovers.allow(present, over=entry):
            return
        if self._takeovers.allow(entry, over=present):
            self._by_path[entry.path] = entry
            return
        # Raises PathConflict unless both can be had; of two folders the first one's mode stays.
        Tree((present, entry))


def _moved(path: str) -> EntryPath:
    return entry_path(f"usr/{path}") if _MERGED.match(path) else EntryPath(path)


def _check_links(tree: Tree) -> None:
    for entry in tree:
        if entry.kind is Kind.SYMLINK and tree.resolve(entry.path) not in tree and not _elsewhere(entry.target):
            raise PackageError(
                entry.origin,
                f"/{entry.path} → {entry.target} leads nowhere",
                hint="drop the link in layer.toml, or keep what it leads to",
            )


def _elsewhere(target: str) -> bool:
    # Links into what the kernel or the engine mounts.
    return target.startswith(("/proc/", "/dev/", "/sys/"))
