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
from oci_builder.errors import PackageError
from oci_builder.platforms import Platform
from oci_builder.store import Store
from oci_builder.threads import in_threads
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import MTIME, Entry, EntryPath, Kind, directory, entry_path, file, symlink
from oci_builder.tree.tree import Tree

FORMAT = 2
"""Raised when the same packages and recipe give another root filesystem than before."""

MERGED = re.compile(r"(bin|sbin|lib|lib32|lib64|libx32)(?=/|\Z)")

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


def _configured(recipe: LayerRecipe, lock: RootfsLock, means: Means, sources: MappedFiles) -> Tree:
    merged = Merger(UsrMerge())
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


class UsrMerge:
    """Where files of packages lie in a root filesystem that has its programs and libraries below /usr alone."""

    def __init__(self) -> None:
        self._links = {"bin", "lib", "sbin"}

    def of(self, path: str, *, kind: Kind, package: str) -> EntryPath | None:
        """Where what ``package`` has at ``path`` goes; None for what is there in any case."""
        top = MERGED.match(path)
        if top is None:
            return EntryPath(path)
        self._links.add(top[1])
        return None if path == top[1] else entry_path(f"usr/{path}")

    def links(self) -> Iterator[Entry]:
        """The links that lead there, and the folders that they lead to."""
        for name in sorted(self._links):
            yield symlink(name, f"usr/{name}", origin=ORIGIN)
            yield directory(f"usr/{name}", origin=ORIGIN)


class Merger:
    """Entries of many packages by path, each at its one of ``places``."""

    def __init__(self, places: UsrMerge, takeovers: Takeovers = NO_TAKEOVERS) -> None:
        self._places, self._takeovers = places, takeovers
        self._by_path: dict[EntryPath, Entry] = {}

    def add(self, found: Iterable[Entry], pin: Pin) -> None:
        """Take one package's entries. Raises PackageError for a hard link to nothing."""
        for entry in found:
            path = self._places.of(entry.path, kind=entry.kind, package=pin.name)
            if path is not None:
                self._put(self._settled(entry, path, pin))

    def entries(self) -> Iterator[Entry]:
        """All of them, with the links and the parents that a merged /usr has."""
        yield from self._by_path.values()
        for entry in self._places.links():
            if entry.kind is Kind.SYMLINK or entry.path not in self._by_path:
                yield entry

    def _settled(self, entry: Entry, path: EntryPath, pin: Pin) -> Entry:
        if entry.kind is Kind.DIRECTORY:
            return replace(entry, path=path, mtime=MTIME)
        if entry.kind is Kind.HARDLINK:
            # A copy: a layer may hold a file twice, and few do.
            place = self._places.of(entry.target, kind=Kind.FILE, package=pin.name)
            target = self._by_path.get(place) if place is not None else None
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
