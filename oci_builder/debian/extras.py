"""More packages over a base, for one image: resolved as apt resolves them, locked, and a layer of their own.

What a package depends on comes along, less what ``cuts`` names and less what has a maintainer script that would have to
run, unless a library links to it. The lock says what was left out, and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import msgspec

from oci_builder.debian import rootfs
from oci_builder.debian.adding import added
from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.configure import ORIGIN
from oci_builder.debian.control import stanza
from oci_builder.debian.cuts import cuts_over
from oci_builder.debian.database import recorded
from oci_builder.debian.deb import DebFile
from oci_builder.debian.depends import resolve
from oci_builder.debian.extralock import SCHEMA, Accounts, ExtraLock, LeftOut, LockedLocales
from oci_builder.debian.ground import Ground
from oci_builder.debian.libraries import Libraries
from oci_builder.debian.localenames import has_locale
from oci_builder.debian.locales import PACKAGE as LOCALES
from oci_builder.debian.locales import check_locales, is_made, locale_layer
from oci_builder.debian.lock import Pin, SuitePin
from oci_builder.debian.scripts import RULES, Configured, Unpacked, configured
from oci_builder.debian.signed import Release
from oci_builder.debian.sources import ArchiveSource, fetch_packages, reason, way_to_packages
from oci_builder.debian.supply import Supply
from oci_builder.debian.takeovers import Takeovers
from oci_builder.debian.thinning import Thinning
from oci_builder.debian.trust import Trust
from oci_builder.debian.wanted import WantedPackages
from oci_builder.errors import OcibuildError, PackageError, PackageUnavailable
from oci_builder.files import is_full
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind, file
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree

_LEAVE = "leave it out, or use a base image that has it"
_HINT = f"{_LEAVE}; or take it without what its scripts would do, and say why: "
FORMAT = 2
"""Raised when the same packages give another layer than before."""


@dataclass(frozen=True)
class Extras:
    """Packages ``wanted`` over a base, ``ground``, taken from what ``supply`` says."""

    ground: Ground
    wanted: WantedPackages
    supply: Supply
    store: Store
    reporter: Reporter

    def fits(self, lock: ExtraLock) -> bool:
        """Whether ``lock`` was made for these packages on this base."""
        here = (self.wanted.names, self.ground.platform.architecture, self.ground.name)
        locales = lock.locales.names if lock.locales else ()
        return (
            (lock.requested, lock.architecture, lock.base) == here
            and lock.skipped.keys() == self.wanted.skipped.keys()
            and locales == self.wanted.locales
        )

    def resolve(self, before: ExtraLock | None = None) -> ExtraLock:
        """The newest packages by the signed indexes, with what they depend on; they are in the store afterwards.

        ``before`` is the lock that this one replaces: indexes older than its own are not believed, and accounts keep
        their numbers. Raises PackageError for a package that is not there or has a script to run, InvalidValue for a
        locale that is not there, PackageUnavailable.
        """
        tried: list[str] = []
        with self._sources() as sources:
            for source in sources:
                try:
                    archive = self._archive(source, before.suites if before else ())
                except OcibuildError as error:
                    if is_full(error):
                        raise
                    tried.append(f"{source.name}: {reason(error)}")
                    continue
                return self._resolved(archive, sources, before.accounts if before else None)
        hint = "the first build with these packages has to be online; its lock then serves"
        if not self.supply.offline:
            hint = f"{hint}\nthere, {way_to_packages(image=self.supply.image)}"
        raise PackageUnavailable("the signed indexes", tried=tried or ["no source to take them from"], hint=hint)

    def are_made(self, lock: ExtraLock) -> bool:
        """Whether ``layers`` would find all that it gives in the store."""
        found = find(self._key(lock), self.store) if lock.packages else None
        if lock.packages and found is None:
            return False
        packages = (found,) if found is not None else ()
        tree, names = self._without_locales(lock, packages)
        return lock.locales is None or not names or is_made(names, lock.locales.package, tree, self.store)

    def layers(self, lock: ExtraLock) -> tuple[Layer, ...]:
        """The layer of the packages in ``lock`` and that of its locales, from the store or made; none without any.

        Raises PackageError, PackageUnavailable, InvalidValue.
        """
        found = (self._layer(lock),) if lock.packages else ()
        tree, names = self._without_locales(lock, found)
        if lock.locales is None or not names:
            return found
        with self._sources() as ways:
            fetch_packages([lock.locales.package], ways, store=self.store, reporter=self.reporter)
        return (*found, locale_layer(names, lock.locales.package, tree, self.store))

    def _without_locales(self, lock: ExtraLock, packages: Sequence[Layer]) -> tuple[Tree, list[str]]:
        """The base with the layers of ``packages``, and the locales of ``lock`` that it has not."""
        tree = self.ground.tree.overlaid(entry for layer in packages for entry in layer.tree(self.store))
        with MappedFiles() as sources:
            names = lock.locales.names if lock.locales is not None else ()
            return tree, [name for name in names if not has_locale(tree, name, sources)]

    def _layer(self, lock: ExtraLock) -> Layer:
        key = self._key(lock)
        layer = find(key, self.store)
        if layer is None:
            with self._sources() as sources:
                fetch_packages(lock.packages, sources, store=self.store, reporter=self.reporter)
            layer = self._made(lock)
            keep(layer, key, self.store)
        return layer

    def _made(self, lock: ExtraLock) -> Layer:
        below = self.ground.tree
        with self.store.scratch() as spool, MappedFiles() as sources:
            packages = _Unpacked(self.store, spool, {}).of(lock.packages)
            tree, found = self._configured(packages, lock.accounts)
            for pin, why in found.refused.items():
                raise self._refused(pin, why)
            for line in found.lacking:
                self.reporter.note(f"{self.ground.name}: {', '.join(lock.requested)} without {line}")
            tree = self._written_down(tree, packages)
            libraries = Libraries.of(below.overlaid(tree), self.ground.platform.machine, sources)
            # Who made the base answers for what is in it.
            libraries.check(tree.paths)
            if self.ground.has_loaders_cache:
                # As the ldconfig trigger of the packages would do.
                made = [file("etc/ld.so.cache", libraries.cache(), origin=ORIGIN)]
                tree = tree.overlaid(place(made, libraries.tree))
            return write_layer(
                tree,
                self.store,
                created_by=f"ocibuild packages: {', '.join(lock.requested)}",
                holds=tuple(map(str, lock.packages)),
            )

    def _written_down(self, tree: Tree, packages: Mapping[Pin, DebFile]) -> Tree:
        """``tree`` with what says that ``packages`` are there."""
        together = self.ground.tree.overlaid(tree)
        return tree.overlaid(place(recorded(self._new(packages), self.ground), together))

    def _key(self, lock: ExtraLock) -> LayerKey:
        return LayerKey.of(
            kind="debian packages",
            format=[FORMAT, rootfs.FORMAT, RULES],
            base=self.ground.identity,
            packages=sorted([pin.name, pin.sha256] for pin in lock.packages),
            requested=list(lock.requested),
            globs=[list(self.wanted.drop), list(self.wanted.keep)],
            **({"skipped": sorted(lock.skipped)} if lock.skipped else {}),
            **({"accounts": msgspec.to_builtins(lock.accounts)} if lock.accounts else {}),
        )

    def _refused(self, pin: Pin, why: str) -> PackageError:
        if pin in self.ground.waiting:
            return PackageError(str(pin), f"the base has it, and what comes wakes it: {why}", hint=_LEAVE)
        return PackageError(str(pin), why, hint=f"{_HINT}{self.wanted.line_with_skipped(pin.name)}")

    def _added(self, packages: Mapping[Pin, DebFile], diversions: rootfs.Diversions) -> Tree:
        thinning = Thinning.of_added(self.wanted.drop, self.wanted.keep, self.ground.settings)
        described = self._described(packages).values()
        takeovers = Takeovers.of([*self.ground.packages, *described], self.ground.platform.architecture)
        return added(packages, self.ground, thinning, takeovers, diversions)

    def _configured(self, packages: Mapping[Pin, DebFile], accounts: Accounts | None) -> tuple[Tree, Configured]:
        """What ``packages`` put over the base, configured; and which of them cannot be, with the reason.

        ``accounts`` have numbers already, if they are made.
        """
        below, new = self.ground.tree, self._new(packages)
        unpacked = Unpacked(
            new,
            self._described(packages),
            below,
            partial(self._added, packages),
            self.ground.platform.architecture,
            skipped=self.wanted.skipped.keys(),
            numbers={"passwd": accounts.users, "group": accounts.groups} if accounts else {},
            waiting=self.ground.waiting if new else {},
            answers=self.ground.answers,
        )
        found = configured(unpacked)
        # What scripts say of a folder that is there counts; else placing would leave it as it was.
        folders = (entry for entry in found.made.values() if entry.kind is Kind.DIRECTORY)
        together = below.overlaid(found.tree).overlaid(folders)
        made = place([found.made[path] for path in sorted(found.made)], together)
        return found.tree.overlaid(made), found

    def _described(self, packages: Mapping[Pin, DebFile]) -> dict[str, BinaryPackage]:
        found = (BinaryPackage(stanza(each.control.decode("utf-8", "replace"))) for each in packages.values())
        return {package.name: package for package in found}

    def _new(self, packages: Mapping[Pin, DebFile]) -> Mapping[Pin, DebFile]:
        """Those that the base does not have; of one that it has, what it left out is added, and it is configured."""
        present = {package.name for package in self.ground.packages}
        return {pin: package for pin, package in packages.items() if pin.name not in present}

    def _sources(self) -> AbstractContextManager[list[ArchiveSource]]:
        archives = self.ground.archives
        return self.supply.sources(archives.suites, archives.mirrors, self.ground.platform, self.store)

    def _archive(self, source: ArchiveSource, after: Sequence[SuitePin]) -> PackageIndex:
        archives, architecture = self.ground.archives, self.ground.platform.architecture
        locked = (*archives.locked, *after)
        trust = Trust(keys=archives.keys, now=self.supply.now, suites=locked, store=self.store)
        found: list[tuple[Release, bytes]] = []
        for suite in archives.suites:
            release = trust.release(source, suite)
            found.append((release, source.packages_index(release, architecture)))
        trust.remember(release for release, _ in found)
        return PackageIndex(found, architecture)

    def _resolved(
        self, archive: PackageIndex, sources: Sequence[ArchiveSource], accounts: Accounts | None
    ) -> ExtraLock:
        ground, store = self.ground, self.store
        cuts = cuts_over(has_dpkg=ground.has_dpkg, has_python="usr/bin/python3" in ground.tree)
        locales = self._locales(archive, sources)
        with store.scratch() as spool, MappedFiles() as contents:
            search = _Search(Libraries.of(ground.tree, ground.platform.machine, contents), accounts)
            unpacked = _Unpacked(store, spool, {})
            while True:
                requested = [*self.wanted.names, *search.linked]
                found = resolve(archive, ground.packages, requested, {*cuts, *search.unready})
                new = [archive.pin(package.name) for package in found.packages]
                pins = [*self._named_again(requested, archive), *new]
                fetch_packages(pins, sources, store=store, reporter=self.reporter)
                if not self._narrowed(unpacked.of(pins), search):
                    break
            self._say_needless(unpacked.known)
        reasons = {**cuts, **search.unready}
        return ExtraLock(
            schema=SCHEMA,
            architecture=ground.platform.architecture,
            base=ground.name,
            requested=self.wanted.names,
            suites=archive.suites,
            packages=tuple(sorted(pins, key=lambda pin: pin.name)),
            left_out={name: LeftOut(reason=reasons[name], wanted_by=by) for name, by in found.left_out.items()},
            skipped=dict(sorted(self.wanted.skipped.items())),
            accounts=search.accounts,
            locales=locales,
        )

    def _say_needless(self, packages: Mapping[Pin, DebFile]) -> None:
        for pin in packages:
            if pin.name in self.wanted.skipped and not packages[pin].scripts:
                self.reporter.note(f'{pin.name} has no maintainer scripts: scripts = "skip" is for nothing')

    def _locales(self, archive: PackageIndex, sources: Sequence[ArchiveSource]) -> LockedLocales | None:
        """The locales that are wanted, which their package has; it is of the C library that the base has."""
        if not self.wanted.locales:
            return None
        pin, store = archive.pin(LOCALES), self.store
        here = next((package.version for package in self.ground.packages if package.name == "libc6"), "")
        if here.rpartition("-")[0] != pin.version.rpartition("-")[0]:
            raise PackageError(
                str(pin), f"the base has the C library {here or 'of somebody else'}, and this is of another"
            )
        fetch_packages([pin], sources, store=store, reporter=self.reporter)
        check_locales(self.wanted.locales, pin, store)
        return LockedLocales(names=self.wanted.locales, package=pin)

    def _named_again(self, requested: Sequence[str], archive: PackageIndex) -> list[Pin]:
        """The packages of the base that are asked for, for what it left out of them; not in another version."""
        if not self.ground.is_ours:
            return []
        here = {package.name: package.version for package in self.ground.packages}
        named = [name for name in dict.fromkeys(requested) if name in here]
        newest = {name: package.version for name in named if (package := archive.newest(name)) is not None}
        return [archive.pin(name) for name in named if newest.get(name) == here[name]]

    def _narrowed(self, packages: Mapping[Pin, DebFile], search: _Search) -> bool:
        """Whether other packages than these have to be resolved, of which ``search`` then says more.

        Raises PackageError for what has to be there and has a script to run, and for a library that nobody brings.
        """
        tree, found = self._configured(packages, search.before)
        unready = found.refused
        needed = {*self.wanted.names, *search.linked}
        for pin, why in unready.items():
            if pin in self.ground.waiting or pin.name in needed:
                raise self._refused(pin, why)
        users, groups = (dict(found.accounts.get(file, {})) for file in ("passwd", "group"))
        search.accounts = Accounts(users=users, groups=groups) if users or groups else None
        if unready:
            search.unready |= {pin.name: why for pin, why in unready.items()}
            return True
        with MappedFiles() as sources:
            libraries = search.known.overlaid(tree, sources)
        wanting = self._wanting(libraries, tree, {pin.name for pin in packages} | needed)
        search.linked |= wanting
        return bool(wanting)

    def _wanting(self, libraries: Libraries, tree: Tree, present: set[str]) -> dict[str, None]:
        """The packages of the libraries that ``tree`` misses. Raises PackageError for one that nobody brings."""
        wanted: dict[str, None] = {}
        for library, path in libraries.missing(tree.paths):
            package = self._suppliers.get(library, "")
            if not package or package in present:
                why = f"/{path} needs {library}, and no package known here brings it"
                raise PackageError(libraries.tree.paths[path].origin, why, hint="name its package in base-packages too")
            wanted[package] = None
        return wanted

    @cached_property
    def _suppliers(self) -> Mapping[str, str]:
        return self.ground.archives.suppliers()


@dataclass
class _Search:
    """What was learned of the packages so far: which have to be there, and which cannot be.

    ``known`` are the libraries of the base, ``before`` the accounts of the lock that is replaced, ``accounts`` those
    that the packages make.
    """

    known: Libraries
    before: Accounts | None
    accounts: Accounts | None = None
    linked: dict[str, None] = field(default_factory=dict)
    unready: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Unpacked:
    """Packages of the store, each read once, with contents in a folder."""

    store: Store
    spool: Path
    known: dict[Pin, DebFile]

    def of(self, pins: Sequence[Pin]) -> dict[Pin, DebFile]:
        """What ``pins`` hold. Raises PackageError, UnsafePath, FileProblem."""
        for pin in pins:
            if pin not in self.known:
                self.known[pin] = rootfs.read_package(pin, self.store, self.spool)
        return {pin: self.known[pin] for pin in pins}
