"""A base on its way to be opened: its layer from the store, or made of packages from wherever they can be had."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from oci_builder import inputs
from oci_builder.bytecode import Compiler
from oci_builder.debian import rootfs
from oci_builder.debian.apt import is_here
from oci_builder.debian.interpreter import spool
from oci_builder.debian.lock import Pin, RootfsLock, SuitePin, changes, decode, encode, lock_path, read_lock
from oci_builder.debian.recipe import LayerRecipe, key_files, load_layer
from oci_builder.debian.running import compiled_instead, host_platform, obstacle
from oci_builder.debian.sources import ArchiveSource, fetch_packages, way_to_packages
from oci_builder.debian.supply import Supply
from oci_builder.debian.trust import Trust
from oci_builder.debian.update import check_lock, update
from oci_builder.errors import (
    ArchiveIndexError,
    OcibuildError,
    PackageError,
    PackageUnavailable,
    StaleLock,
)
from oci_builder.files import is_full
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree

_RENEWED = "renewed-lock"


@dataclass(frozen=True, kw_only=True)
class OpenedRootfs:
    """A base whose layer is in the store, and the lock it really follows."""

    recipe: LayerRecipe
    lock: RootfsLock
    layer: Layer
    key: LayerKey
    compiler: str
    """Who made its bytecode: a package's version, or a CPython of a machine; empty text where nobody did."""

    @property
    def python(self) -> str:
        """The version of the package the interpreter is from: bases with the same one compile alike."""
        return interpreter_version(self.recipe, self.lock)


@dataclass(frozen=True)
class Opening:
    """One base on one platform, on its way to be opened."""

    folder: Path
    platform: Platform
    store: Store
    supply: Supply
    reporter: Reporter

    def opened(self) -> OpenedRootfs:
        """The base, built if the store does not have it.

        Raises RecipeError, StaleLock, PackageUnavailable, PackageError, ToolFailed and what reading packages raises.
        """
        recipe = load_layer(self.folder)
        path = lock_path(self.folder, self.platform)
        shipped = read_lock(path)
        check_lock(recipe, shipped, path=path)
        lock, opened = shipped, self._found(recipe, shipped)
        if opened is None and not self.supply.locked:
            lock = self._remembered(shipped) or shipped
            opened = self._found(recipe, lock)
        if opened is None:
            lock = self._fetched(recipe, shipped, lock)
            opened = self._found(recipe, lock) or self._built(recipe, lock)
        if lock is not shipped:
            self._say(shipped, lock)
        return opened

    def found(self) -> OpenedRootfs | None:
        """The base as ``opened`` gives it, if nothing need be fetched or made for it. Raises RecipeError, StaleLock."""
        recipe = load_layer(self.folder)
        path = lock_path(self.folder, self.platform)
        shipped = read_lock(path)
        check_lock(recipe, shipped, path=path)
        for lock in (shipped, None if self.supply.locked else self._remembered(shipped)):
            opened = self._found(recipe, lock) if lock is not None else None
            if opened is not None:
                return opened
        return None

    def absent(self) -> tuple[Pin, ...]:
        """The packages of the base's own lock that are not in the store. Raises StaleLock."""
        lock = read_lock(lock_path(self.folder, self.platform))
        return tuple(pin for pin in lock.packages if not self.store.has(pin.digest, pin.size))

    def has_no_source(self) -> bool:
        """Whether nobody is there to take a package from, as far as that can be told without asking."""
        mirrors = (*self.supply.mirrors, *load_layer(self.folder).source.mirrors)
        return self.supply.debs is None and not self.supply.offline and not is_here() and not mirrors

    def packages(self) -> tuple[RootfsLock, RootfsLock]:
        """The lock in the base's folder and the one ``opened`` follows, whose packages are all in the store afterwards.

        Nothing is built. Raises what ``opened`` raises of locks and packages.
        """
        recipe = load_layer(self.folder)
        path = lock_path(self.folder, self.platform)
        shipped = read_lock(path)
        check_lock(recipe, shipped, path=path)
        lock = shipped
        if not self.supply.locked and self._found(recipe, shipped) is None:
            lock = self._remembered(shipped) or shipped
        lock = self._fetched(recipe, shipped, lock)
        if lock is not shipped:
            self._say(shipped, lock)
        return shipped, lock

    def renewed(self) -> RootfsLock:
        """The lock that today's signed indexes give; nothing is written. Raises what ``update`` raises."""
        recipe = load_layer(self.folder)
        with self.sources(recipe) as sources:
            return self._resolve(recipe, sources, after=self.shipped())

    def shipped(self) -> RootfsLock | None:
        """The lock in the base's folder; None where there is none that reads."""
        with contextlib.suppress(StaleLock):
            return read_lock(lock_path(self.folder, self.platform))
        return None

    def trust(self, after: Sequence[SuitePin]) -> Trust:
        """Which indexes are believed: none older than those of a lock, ``after``."""
        return Trust(keys=key_files(self.folder), now=self.supply.now, suites=after, store=self.store)

    def _key(self, recipe: LayerRecipe, lock: RootfsLock, compiler: str) -> LayerKey:
        source = msgspec.structs.replace(recipe.source, mirrors=())
        decides = msgspec.structs.replace(recipe, source=source, summary="", env={})
        return LayerKey.of(
            kind="debian rootfs",
            name=self.folder.name,
            rootfs=rootfs.FORMAT,
            platform=str(self.platform),
            recipe=msgspec.to_builtins(decides),
            packages=sorted([pin.name, pin.version, pin.sha256] for pin in lock.packages),
            bytecode=compiler,
        )

    def _found(self, recipe: LayerRecipe, lock: RootfsLock) -> OpenedRootfs | None:
        """The base from the store: as its own Python compiles it, else as who compiles in its place has done."""
        own = self._kept(recipe, lock, interpreter_version(recipe, lock))
        if own is not None:
            return own
        host = self.supply.host_python(recipe.python.version)
        other = self._kept(recipe, lock, host.name if host is not None else "")
        # Where its own can compile by now, it does.
        return other if other is not None and self._why_not_own(other) else None

    def _kept(self, recipe: LayerRecipe, lock: RootfsLock, compiler: str) -> OpenedRootfs | None:
        key = self._key(recipe, lock, compiler)
        layer = find(key, self.store)
        if layer is None:
            return None
        return OpenedRootfs(recipe=recipe, lock=lock, layer=layer, key=key, compiler=compiler)

    def _why_not_own(self, opened: OpenedRootfs) -> str:
        """Why a Python of the version in ``opened`` does not start here, as far as that is known without fetching."""
        host = host_platform()
        running: OpenedRootfs | None = opened
        if host is not None and host != self.platform:
            running = None
            with contextlib.suppress(OcibuildError):
                running = replace(self, platform=host).found()
            if running is None or running.python != opened.python:
                return f"this machine has no Python {opened.python} to run"
        return obstacle(running.layer.tree(self.store) if running is not None else None, self.store)

    def _remembered(self, shipped: RootfsLock) -> RootfsLock | None:
        if self.supply.debs is not None and inputs.is_file(carried := self.supply.debs / renewed_name(shipped)):
            return read_lock(carried)
        data = self.store.record(_RENEWED, shipped.digest.hex)
        if data is None:
            return None
        try:
            return decode(data, what="the store's record of a lock", base=self.folder.name)
        except StaleLock:
            self.store.drop_record(_RENEWED, shipped.digest.hex)
            return None

    def _fetched(self, recipe: LayerRecipe, shipped: RootfsLock, lock: RootfsLock) -> RootfsLock:
        """``lock``, or what replaces it, once all its packages are in the store."""
        with self.sources(recipe) as sources:
            try:
                fetch_packages(lock.packages, sources, store=self.store, reporter=self.reporter)
                return lock
            except PackageUnavailable as error:
                if self.supply.offline:
                    error.hint = (
                        f"where there is a network: ocibuild download {self.supply.image}, which puts its .deb file "
                        "into debs/ beside image.toml; or build here once with a network"
                    )
                    raise
                if self.supply.locked:
                    error.hint = f"if it was superseded: ocibuild base update {self.folder.name}"
                    if not is_here() and not self.supply.mirrors and not recipe.source.mirrors:
                        error.hint = way_to_packages(recipe.python.minor, image=self.supply.image)
                    raise
                return self._replaced(recipe, shipped, lock, sources, error)

    def _replaced(
        self,
        recipe: LayerRecipe,
        shipped: RootfsLock,
        lock: RootfsLock,
        sources: Sequence[ArchiveSource],
        missing: PackageUnavailable,
    ) -> RootfsLock:
        try:
            renewed = self._resolve(recipe, sources, after=lock)
        except (ArchiveIndexError, PackageError):
            # An index that does not hold says more than what is missing for it.
            raise
        except OcibuildError as error:
            if is_full(error):
                raise
            missing.hint = way_to_packages(recipe.python.minor, image=self.supply.image)
            raise missing from error
        if renewed.packages == lock.packages:
            # Nothing newer: the packages exist and cannot be had.
            missing.hint = "the archives still list it; try again, or name another mirror with --mirror"
            raise missing
        fetch_packages(renewed.packages, sources, store=self.store, reporter=self.reporter)
        self.store.put_record(_RENEWED, shipped.digest.hex, encode(renewed))
        return renewed

    def _resolve(
        self, recipe: LayerRecipe, sources: Sequence[ArchiveSource], *, after: RootfsLock | None
    ) -> RootfsLock:
        return update(
            recipe, self.platform, sources, trust=self.trust(after.suites if after else ()), reporter=self.reporter
        )

    def _say(self, shipped: RootfsLock, lock: RootfsLock) -> None:
        lines = changes(shipped, lock)
        shown = ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        name = self.folder.name
        self.reporter.note(
            f"{name}: packages of its lock were superseded: {shown}; to keep that: ocibuild base update {name}"
        )

    @contextlib.contextmanager
    def sources(self, recipe: LayerRecipe) -> Iterator[list[ArchiveSource]]:
        """Where this base's packages may come from, in the order in which they are asked."""
        suites, mirrors = recipe.source.suite_list(), recipe.source.mirrors
        with self.supply.sources(suites, mirrors, self.platform, self.store) as found:
            yield found

    def _built(self, recipe: LayerRecipe, lock: RootfsLock) -> OpenedRootfs:
        with self.store.scratch() as spooled:
            compiler = _Compilers(self, recipe, lock)
            entries = rootfs.entries(
                recipe,
                lock,
                self.platform,
                rootfs.Means(store=self.store, spool=spooled, compilers=compiler.open, jobs=self.supply.jobs),
            )
            holds = tuple(str(pin) for pin in lock.packages)
            layer = write_layer(Tree(entries), self.store, created_by=f"ocibuild base {self.folder.name}", holds=holds)
        key = self._key(recipe, lock, compiler.used)
        keep(layer, key, self.store)
        return OpenedRootfs(recipe=recipe, lock=lock, layer=layer, key=key, compiler=compiler.used)


class _Compilers:
    """Who compiles a base's standard library; ``used`` is what keys call it, empty where nobody could."""

    def __init__(self, opening: Opening, recipe: LayerRecipe, lock: RootfsLock) -> None:
        self._opening, self._recipe, self._wanted = opening, recipe, interpreter_version(recipe, lock)
        self.used = ""

    @contextlib.contextmanager
    def open(self, tree: Tree, sources: MappedFiles) -> Iterator[Compiler | None]:
        """The compiler of ``tree`` itself, or that of the same recipe on this machine's CPU; else the machine's own."""
        opening, version = self._opening, self._recipe.python.version
        running, why = self._running(tree)
        host = host_platform()
        if running is not None and host is not None and not why:
            self.used = self._wanted
            with opening.store.scratch() as folder:
                started = spool(running, folder, minor=self._recipe.python.minor, machine=host.machine, sources=sources)
                with Compiler(started.argv, started.env) as compiler:
                    yield compiler
            return
        python = opening.supply.host_python(version)
        opening.reporter.note(compiled_instead(opening.folder.name, why, python, version))
        if python is None:
            yield None
            return
        self.used = python.name
        with Compiler(python.interpreter.argv, python.interpreter.env) as compiler:
            yield compiler

    def _running(self, tree: Tree) -> tuple[Tree | None, str]:
        """The base whose Python is to compile ``tree``, or why there is none."""
        opening, running = self._opening, tree
        host = host_platform()
        if host is not None and opening.platform != host:
            other = self._neighbour(host)
            if other is None or other.python != self._wanted:
                return None, f"this machine has no Python {self._wanted} to run"
            running = other.layer.tree(opening.store)
        return running, obstacle(running, opening.store)

    def _neighbour(self, host: Platform) -> OpenedRootfs | None:
        try:
            return replace(self._opening, platform=host).opened()
        except OcibuildError:
            return None


def renewed_name(shipped: RootfsLock) -> str:
    """What a folder of .deb files calls the lock that replaces ``shipped``, whose packages were superseded."""
    return f"renewed-{shipped.digest.hex[:16]}.json"


def interpreter_version(recipe: LayerRecipe, lock: RootfsLock) -> str:
    """The version of the package the base's Python is from: what bytecode depends on."""
    return lock.version(f"python{recipe.python.minor}")
