"""More packages over a base, for one image: resolved by what links to what, locked, and a layer of their own.

Libraries decide what comes along, and the data that Debian splits off into packages of its own: a package's other
dependencies are left out, and the lock says which. The whole of Debian's libgl1 would bring drivers for graphics cards
and a compiler, for which no container has a use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from oci_builder.debian import rootfs
from oci_builder.debian.configure import ORIGIN
from oci_builder.debian.control import dependencies, provides
from oci_builder.debian.deb import read_deb
from oci_builder.debian.libraries import Libraries
from oci_builder.debian.lock import Pin, SuitePin, check_pins, check_suites
from oci_builder.debian.opening import Opening
from oci_builder.debian.recipe import LayerRecipe, load_layer
from oci_builder.debian.signed import Release
from oci_builder.debian.sources import ArchiveSource, fetch_packages, reason, way_to_packages
from oci_builder.debian.update import Stanza, entries_of, suite_pin
from oci_builder.debian.versions import version_key
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError, PackageError, PackageUnavailable, StaleLock
from oci_builder.files import open_regular
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.outputs import atomic
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import file
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree

SCHEMA = 1
LIMIT = 4 << 20
FORMAT = 1
"""Raised when the same packages give another layer than before."""

_KNOWN_SCRIPTS: Mapping[str, Sequence[str]] = {
    # Compiles the settings and lists the modules that other packages bring: nothing where there are none.
    "libglib2.0-0": ("usr/share/glib-2.0/schemas/*.xml", "usr/lib/*/gio/modules/*.so"),
    # Menus of desktops.
    "graphviz": ("usr/bin/update-menus",),
    # These clean up after older versions of themselves.
    **dict.fromkeys(("git", "libgcrypt20", "libgssapi-krb5-2", "libpulse0"), ()),
    # Compiles modules to bytecode.
    "python3-tk": (),
}

_CODE = re.compile(r"(?:\A|/)s?bin/|\.so(?:\.|\Z)")
"""Programs and libraries, by their paths."""


class ExtraLock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The packages an image puts over its base. ``left_out`` names, by package, dependencies that nothing links to."""

    schema: int
    architecture: str
    base: str
    requested: tuple[str, ...]
    suites: tuple[SuitePin, ...]
    packages: tuple[Pin, ...]
    left_out: dict[str, tuple[str, ...]] = {}


def read_extra_lock(path: Path) -> ExtraLock:
    """The lock at ``path``. Raises StaleLock for one that is not there or does not read."""
    try:
        with open_regular(path) as stream:
            lock = msgspec.json.decode(stream.read(LIMIT), type=ExtraLock)
    except FileNotFoundError as error:
        raise StaleLock(str(path), "there is none", hint="build once without --locked") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StaleLock(str(path), f"it does not read: {error}", hint="remove it; the next build makes it") from error
    if lock.schema != SCHEMA:
        raise StaleLock(str(path), f"schema {lock.schema}, and this ocibuild reads {SCHEMA}", hint="remove it")
    check_suites(lock.suites, what=str(path), hint="remove it; the next build makes it")
    check_pins(lock.packages, what=str(path), hint="remove it; the next build makes it")
    return lock


def write_extra_lock(lock: ExtraLock, path: Path) -> None:
    """Put ``lock`` at ``path``, whole. Raises FileProblem."""
    with atomic(path) as sink:
        sink.write(msgspec.json.format(msgspec.json.encode(lock, order="deterministic"), indent=2) + b"\n")


@dataclass(frozen=True)
class Extras:
    """Packages ``requested`` over ``below``, the tree of the base that ``opening`` opens.

    ``base`` is the diff ID of its topmost layer; ``libraries`` maps sonames to packages.
    """

    opening: Opening
    below: Tree
    base: Digest
    requested: tuple[str, ...]
    libraries: Mapping[str, str]

    def fits(self, lock: ExtraLock) -> bool:
        """Whether ``lock`` was made for these packages on this base."""
        here = (self.requested, self.opening.platform.architecture, self.opening.folder.name)
        return (lock.requested, lock.architecture, lock.base) == here

    def resolve(self, after: Sequence[SuitePin] = ()) -> ExtraLock:
        """The newest packages by the signed indexes, with all that they link to; they are in the store afterwards.

        ``after`` are the indexes of the lock that this one replaces: older ones are not believed.
        Raises PackageError for a package that is not there or has a script to run, PackageUnavailable.
        """
        tried: list[str] = []
        with self.opening.sources(self._recipe) as sources:
            for source in sources:
                try:
                    archive = self._archive(source, after)
                except OcibuildError as error:
                    tried.append(f"{source.name}: {reason(error)}")
                    continue
                return self._resolved(archive, sources)
        hint = "the first build with these packages has to be online; its lock then serves"
        if not self.opening.supply.offline:
            hint = f"{hint}\nthere, {way_to_packages()}"
        raise PackageUnavailable("the signed indexes", tried=tried or ["no source to take them from"], hint=hint)

    def layer(self, lock: ExtraLock) -> Layer:
        """The layer of the packages in ``lock``, from the store or made. Raises PackageError, PackageUnavailable."""
        store = self.opening.store
        key = self._key(lock)
        layer = find(key, store)
        if layer is None:
            with self.opening.sources(self._recipe) as sources:
                fetch_packages(lock.packages, sources, store=store, reporter=self.opening.reporter)
            layer = self._made(lock, store)
            keep(layer, key, store)
        return layer

    def _made(self, lock: ExtraLock, store: Store) -> Layer:
        with store.scratch() as spool, MappedFiles() as sources:
            tree = self._added(lock.packages, spool)
            together = self.below.overlaid(tree)
            libraries = Libraries.of(together, self.opening.platform.machine, sources)
            libraries.check()
            # As the ldconfig trigger of the packages would do.
            cache = place([file("etc/ld.so.cache", libraries.cache(), origin=ORIGIN)], together)
            return write_layer(
                tree.overlaid(cache),
                store,
                created_by=f"ocibuild packages: {', '.join(lock.requested)}",
                holds=tuple(map(str, lock.packages)),
            )

    def _key(self, lock: ExtraLock) -> LayerKey:
        source = self._recipe.source
        return LayerKey.of(
            kind="debian packages",
            format=[FORMAT, rootfs.FORMAT],
            base=str(self.base),
            packages=sorted([pin.name, pin.sha256] for pin in lock.packages),
            requested=list(lock.requested),
            globs=[list(source.drop), list(source.keep)],
        )

    def _added(self, pins: Sequence[Pin], spool: Path) -> Tree:
        store = self.opening.store
        return rootfs.added(self._recipe, pins, self.below, store=store, spool=spool, known_scripts=_KNOWN_SCRIPTS)

    @cached_property
    def _recipe(self) -> LayerRecipe:
        return load_layer(self.opening.folder)

    def _archive(self, source: ArchiveSource, after: Sequence[SuitePin]) -> _Archive:
        shipped, architecture = self.opening.shipped(), self.opening.platform.architecture
        trust = self.opening.trust((*(shipped.suites if shipped else ()), *after))
        found: list[tuple[Release, bytes]] = []
        for suite in self._recipe.source.suite_list():
            release = trust.release(source, suite)
            found.append((release, source.packages_index(release, architecture)))
        trust.remember(release for release, _ in found)
        return _Archive(found, architecture)

    def _resolved(self, archive: _Archive, sources: Sequence[ArchiveSource]) -> ExtraLock:
        chosen: dict[str, tuple[Stanza, Pin]] = {}
        todo = list(self.requested)
        with MappedFiles() as contents:
            known = Libraries.of(self.below, self.opening.platform.machine, contents)
            while todo:
                for name in todo:
                    chosen[name] = archive.newest(name)
                pins = [pin for _, pin in chosen.values()]
                fetch_packages(pins, sources, store=self.opening.store, reporter=self.opening.reporter)
                todo = self._wanting(known, pins) or self._companions(archive, chosen, sources)
        return ExtraLock(
            schema=SCHEMA,
            architecture=self.opening.platform.architecture,
            base=self.opening.folder.name,
            requested=self.requested,
            suites=archive.suites,
            packages=tuple(chosen[name][1] for name in sorted(chosen)),
            left_out=self._left_out({name: fields for name, (fields, _) in sorted(chosen.items())}),
        )

    def _wanting(self, known: Libraries, pins: Sequence[Pin]) -> list[str]:
        """The packages of the libraries that are missing. Raises PackageError for one that nobody brings."""
        with self.opening.store.scratch() as spool, MappedFiles() as sources:
            tree = self._added(pins, spool)
            files = {**known.files, **Libraries.of(tree, known.machine, sources).files}
        present = {pin.name for pin in pins}
        wanted: dict[str, None] = {}
        for library, path in Libraries(self.below.overlaid(tree), known.machine, files).missing():
            package = self.libraries.get(library, "")
            if not package or package in present:
                why = f"/{path} needs {library}, and no package known here brings it"
                raise PackageError(tree.paths[path].origin, why, hint="name its package in base-packages too")
            wanted[package] = None
        return list(wanted)

    def _companions(
        self, archive: _Archive, chosen: Mapping[str, tuple[Stanza, Pin]], sources: Sequence[ArchiveSource]
    ) -> list[str]:
        """The data packages that the chosen ones depend on and come from one source with; none that has a script."""
        present = {*self._below, *chosen}
        found: dict[str, Pin] = {}
        for fields, pin in chosen.values():
            for first, *others in dependencies(fields, "pre-depends", "depends"):
                if not others and first.name not in present:
                    found |= {each.name: each for each in archive.pins(first.name) if each.source == pin.source}
        fetch_packages(list(found.values()), sources, store=self.opening.store, reporter=self.opening.reporter)
        with self.opening.store.scratch() as spool:
            return [name for name, pin in found.items() if self._is_data(pin, spool / name)]

    def _is_data(self, pin: Pin, spool: Path) -> bool:
        package = read_deb(self.opening.store.path(pin.digest), spool, origin=str(pin))
        return not package.scripts and not any(_CODE.search(entry.path) for entry in package.entries)

    @cached_property
    def _below(self) -> Set[str]:
        """The names of the packages of the base."""
        return {origin.partition(" ")[0] for origin in {entry.origin for entry in self.below}}

    def _left_out(self, chosen: Mapping[str, Stanza]) -> dict[str, tuple[str, ...]]:
        present = {*self._below, *chosen}
        present |= {virtual.name for fields in chosen.values() for virtual in provides(fields)}
        present |= self._recipe.source.cut.keys()
        found: dict[str, tuple[str, ...]] = {}
        for name, fields in chosen.items():
            groups = dependencies(fields, "pre-depends", "depends")
            left = [str(group[0]) for group in groups if not any(one.name in present for one in group)]
            if left:
                found[name] = tuple(left)
        return found


class _Archive:
    """The verified indexes of a base's suites."""

    def __init__(self, indexes: Sequence[tuple[Release, bytes]], architecture: str) -> None:
        self._indexes, self._architecture = indexes, architecture

    @property
    def suites(self) -> tuple[SuitePin, ...]:
        """What the lock says of them."""
        return tuple(suite_pin(release) for release, _ in self._indexes)

    def newest(self, name: str) -> tuple[Stanza, Pin]:
        """The newest version of a package in any of the suites. Raises PackageError."""
        found = self._versions(name)
        if not found:
            suites = ", ".join(str(release.suite) for release, _ in self._indexes)
            raise PackageError(name, f"in none of {suites}", hint="check base-packages in image.toml")
        return found[-1]

    def pins(self, name: str) -> Sequence[Pin]:
        """The newest version of a package, or none."""
        return [pin for _, pin in self._versions(name)[-1:]]

    def _versions(self, name: str) -> list[tuple[Stanza, Pin]]:
        found = [
            pair for release, index in self._indexes for pair in entries_of(index, release, {name}, self._architecture)
        ]
        return sorted(found, key=lambda pair: version_key(pair[1].version))
