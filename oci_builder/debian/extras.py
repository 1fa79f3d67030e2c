"""More packages over a base, for one image: resolved as apt resolves them, locked, and a layer of their own.

What a package depends on comes along, less what ``cuts`` names and less what has a maintainer script that would have to
run, unless a library links to it. The lock says what was left out, and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import msgspec

from oci_builder.debian import rootfs
from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.configure import ORIGIN
from oci_builder.debian.control import stanza
from oci_builder.debian.cuts import CUTS
from oci_builder.debian.deb import DebFile
from oci_builder.debian.depends import resolve
from oci_builder.debian.extralock import SCHEMA, Accounts, ExtraLock, LeftOut, LockedLocales
from oci_builder.debian.installed import installed
from oci_builder.debian.libraries import Libraries
from oci_builder.debian.localenames import has_locale
from oci_builder.debian.locales import PACKAGE as LOCALES
from oci_builder.debian.locales import check_locales, locale_layer
from oci_builder.debian.lock import Pin, SuitePin
from oci_builder.debian.opening import Opening
from oci_builder.debian.recipe import LayerRecipe, load_layer
from oci_builder.debian.scripts import RULES, Configured, Unpacked, configured
from oci_builder.debian.signed import Release
from oci_builder.debian.sources import ArchiveSource, fetch_packages, reason, way_to_packages
from oci_builder.debian.takeovers import Takeovers
from oci_builder.debian.thinning import Thinning
from oci_builder.debian.wanted import WantedPackages
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError, PackageError, PackageUnavailable
from oci_builder.files import is_full
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind, file
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree

_HINT = "leave it out, or use a base image that has it; or take it without what its scripts would do, and say why: "
FORMAT = 2
"""Raised when the same packages give another layer than before."""


@dataclass(frozen=True)
class Extras:
    """Packages ``wanted`` over ``below``, the tree of the base that ``opening`` opens.

    ``base`` is the diff ID of its topmost layer; ``libraries`` maps sonames to packages.
    """

    opening: Opening
    below: Tree
    base: Digest
    wanted: WantedPackages
    libraries: Mapping[str, str]

    def fits(self, lock: ExtraLock) -> bool:
        """Whether ``lock`` was made for these packages on this base."""
        here = (self.wanted.names, self.opening.platform.architecture, self.opening.folder.name)
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
        with self.opening.sources(self._recipe) as sources:
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
        if not self.opening.supply.offline:
            hint = f"{hint}\nthere, {way_to_packages(image=self.opening.supply.image)}"
        raise PackageUnavailable("the signed indexes", tried=tried or ["no source to take them from"], hint=hint)

    def layers(self, lock: ExtraLock) -> tuple[Layer, ...]:
        """The layer of the packages in ``lock`` and that of its locales, from the store or made; none without any.

        Raises PackageError, PackageUnavailable, InvalidValue.
        """
        found = (self._layer(lock),) if lock.requested else ()
        if lock.locales is None:
            return found
        store = self.opening.store
        tree = self.below.overlaid(entry for layer in found for entry in layer.tree(store))
        with MappedFiles() as sources:
            names = [name for name in lock.locales.names if not has_locale(tree, name, sources)]
        if not names:
            return found
        with self.opening.sources(self._recipe) as ways:
            fetch_packages([lock.locales.package], ways, store=store, reporter=self.opening.reporter)
        return (*found, locale_layer(names, lock.locales.package, tree, store))

    def _layer(self, lock: ExtraLock) -> Layer:
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
            packages = _Unpacked(store, spool, {}).of(lock.packages)
            tree, found = self._configured(packages, lock.accounts)
            for pin, why in found.refused.items():
                raise self._refused(pin, why)
            for line in found.lacking:
                self.opening.reporter.note(f"{self.opening.folder.name}: {', '.join(lock.requested)} without {line}")
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
        return LayerKey.of(
            kind="debian packages",
            format=[FORMAT, rootfs.FORMAT, RULES],
            base=str(self.base),
            packages=sorted([pin.name, pin.sha256] for pin in lock.packages),
            requested=list(lock.requested),
            globs=[list(self.wanted.drop), list(self.wanted.keep)],
            **({"skipped": sorted(lock.skipped)} if lock.skipped else {}),
            **({"accounts": msgspec.to_builtins(lock.accounts)} if lock.accounts else {}),
        )

    def _refused(self, pin: Pin, why: str) -> PackageError:
        return PackageError(str(pin), why, hint=f"{_HINT}{self.wanted.line_with_skipped(pin.name)}")

    def _added(self, packages: Mapping[Pin, DebFile], diversions: rootfs.Diversions) -> Tree:
        thinning = Thinning.of_added(self.wanted.drop, self.wanted.keep)
        described = self._described(packages).values()
        takeovers = Takeovers.of([*self._present, *described], self.opening.platform.architecture)
        return rootfs.added(packages, self.below, thinning, takeovers, diversions)

    def _configured(self, packages: Mapping[Pin, DebFile], accounts: Accounts | None) -> tuple[Tree, Configured]:
        """What ``packages`` put over the base, configured; and which of them cannot be, with the reason.

        ``accounts`` have numbers already, if they are made.
        """
        unpacked = Unpacked(
            self._new(packages),
            self._described(packages),
            self.below,
            partial(self._added, packages),
            self.opening.platform.architecture,
            skipped=self.wanted.skipped.keys(),
            numbers={"passwd": accounts.users, "group": accounts.groups} if accounts else {},
        )
        found = configured(unpacked)
        # What scripts say of a folder that is there counts; else placing would leave it as it was.
        folders = (entry for entry in found.made.values() if entry.kind is Kind.DIRECTORY)
        together = self.below.overlaid(found.tree).overlaid(folders)
        made = place([found.made[path] for path in sorted(found.made)], together)
        return found.tree.overlaid(made), found

    def _described(self, packages: Mapping[Pin, DebFile]) -> dict[str, BinaryPackage]:
        found = (BinaryPackage(stanza(each.control.decode("utf-8", "replace"))) for each in packages.values())
        return {package.name: package for package in found}

    def _new(self, packages: Mapping[Pin, DebFile]) -> Mapping[Pin, DebFile]:
        """Those that the base does not have; of one that it has, what it left out is added, and it is configured."""
        present = {package.name for package in self._present}
        return {pin: package for pin, package in packages.items() if pin.name not in present}

    @cached_property
    def _recipe(self) -> LayerRecipe:
        return load_layer(self.opening.folder)

    @cached_property
    def _present(self) -> Sequence[BinaryPackage]:
        """The packages of the base."""
        with MappedFiles() as sources:
            return list(installed(self.below, sources))

    def _archive(self, source: ArchiveSource, after: Sequence[SuitePin]) -> PackageIndex:
        shipped, architecture = self.opening.shipped(), self.opening.platform.architecture
        trust = self.opening.trust((*(shipped.suites if shipped else ()), *after))
        found: list[tuple[Release, bytes]] = []
        for suite in self._recipe.source.suite_list():
            release = trust.release(source, suite)
            found.append((release, source.packages_index(release, architecture)))
        trust.remember(release for release, _ in found)
        return PackageIndex(found, architecture)

    def _resolved(
        self, archive: PackageIndex, sources: Sequence[ArchiveSource], accounts: Accounts | None
    ) -> ExtraLock:
        store = self.opening.store
        locales = self._locales(archive, sources)
        with store.scratch() as spool, MappedFiles() as contents:
            search = _Search(Libraries.of(self.below, self.opening.platform.machine, contents), accounts)
            unpacked = _Unpacked(store, spool, {})
            while True:
                requested = [*self.wanted.names, *search.linked]
                found = resolve(archive, self._present, requested, {*CUTS, *search.unready})
                new = [archive.pin(package.name) for package in found.packages]
                pins = [*self._named_again(requested, archive), *new]
                fetch_packages(pins, sources, store=store, reporter=self.opening.reporter)
                if not self._narrowed(unpacked.of(pins), search):
                    break
            self._say_needless(unpacked.known)
        reasons = {**CUTS, **search.unready}
        return ExtraLock(
            schema=SCHEMA,
            architecture=self.opening.platform.architecture,
            base=self.opening.folder.name,
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
                self.opening.reporter.note(f'{pin.name} has no maintainer scripts: scripts = "skip" is for nothing')

    def _locales(self, archive: PackageIndex, sources: Sequence[ArchiveSource]) -> LockedLocales | None:
        """The locales that are wanted, which their package has; it is of the C library that the base has."""
        if not self.wanted.locales:
            return None
        pin, store = archive.pin(LOCALES), self.opening.store
        here = next((package.version for package in self._present if package.name == "libc6"), "")
        if here.rpartition("-")[0] != pin.version.rpartition("-")[0]:
            raise PackageError(
                str(pin), f"the base has the C library {here or 'of somebody else'}, and this is of another"
            )
        fetch_packages([pin], sources, store=store, reporter=self.opening.reporter)
        check_locales(self.wanted.locales, pin, store)
        return LockedLocales(names=self.wanted.locales, package=pin)

    def _named_again(self, requested: Sequence[str], archive: PackageIndex) -> list[Pin]:
        """The packages of the base that are asked for, for what it left out of them; not in another version."""
        here = {package.name: package.version for package in self._present}
        named = [name for name in dict.fromkeys(requested) if name in here]
        newest = {name: package.version for name in named if (package := archive.newest(name)) is not None}
        return [archive.pin(name) for name in named if newest.get(name) == here[name]]

    def _narrowed(self, packages: Mapping[Pin, DebFile], search: _Search) -> bool:
        """Whether other packages than these have to be resolved, of which ``search`` then says more.

        Raises PackageError for what has to be there and has a script to run, and for a library that nobody brings.
        """
        tree, found = self._configured(packages, search.before)
        unready, together = found.refused, self.below.overlaid(tree)
        needed = {*self.wanted.names, *search.linked}
        for pin, why in unready.items():
            if pin.name in needed:
                raise self._refused(pin, why)
        users, groups = (dict(found.accounts.get(file, {})) for file in ("passwd", "group"))
        search.accounts = Accounts(users=users, groups=groups) if users or groups else None
        if unready:
            search.unready |= {pin.name: why for pin, why in unready.items()}
            return True
        with MappedFiles() as sources:
            files = {**search.known.files, **Libraries.of(tree, search.known.machine, sources).files}
        wanting = self._wanting(
            Libraries(together, search.known.machine, files), {pin.name for pin in packages} | needed
        )
        search.linked |= wanting
        return bool(wanting)

    def _wanting(self, libraries: Libraries, present: set[str]) -> dict[str, None]:
        """The packages of the libraries that are missing. Raises PackageError for one that nobody brings."""
        wanted: dict[str, None] = {}
        for library, path in libraries.missing():
            package = self.libraries.get(library, "")
            if not package or package in present:
                why = f"/{path} needs {library}, and no package known here brings it"
                raise PackageError(libraries.tree.paths[path].origin, why, hint="name its package in base-packages too")
            wanted[package] = None
        return wanted


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
