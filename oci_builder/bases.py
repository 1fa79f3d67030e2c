"""Any base, opened: its layers, what lies in them, and what they promise."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from oci_builder.bytecode import Compiler
from oci_builder.debian import rootfs
from oci_builder.debian.apt import Apt
from oci_builder.debian.interpreter import Interpreter, spool
from oci_builder.debian.lock import RootfsLock, changes, decode, encode, lock_path, read_lock
from oci_builder.debian.recipe import LayerRecipe, key_files, load_layer
from oci_builder.debian.sources import ArchiveSource, DebFolder, Mirror, fetch_packages
from oci_builder.debian.update import check_lock, update
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, OcibuildError, PackageUnavailable, StaleLock, ToolFailed
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.listener import Listener
from oci_builder.platforms import Platform
from oci_builder.store import Store
from oci_builder.tree.content import Sources
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import Promise, Target

_RENEWED = "renewed-lock"


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base that is in the store. ``created`` is in seconds since 1970, ``digest`` that of the lock it follows."""

    name: str
    folder: Path
    layers: tuple[Layer, ...]
    tree: Tree
    target: Target
    created: int
    digest: Digest
    env: Mapping[str, str]
    python: str
    """The version of the package the interpreter is from: two bases with the same one compile alike."""


@dataclass(frozen=True, kw_only=True)
class Supply:
    """Where packages may come from, and the clock that judges signatures (seconds since 1970).

    ``mirrors`` are addresses of mirrors, tried after this machine's apt-get and before the recipe's; ``debs`` is a
    folder of .deb files looked in first. ``locked`` forbids any other version than the lock's.
    """

    now: int
    mirrors: Sequence[str] = ()
    debs: Path | None = None
    offline: bool = False
    locked: bool = False


def open_base(
    folder: Path,
    platform: Platform,
    *,
    store: Store,
    mirrors: Sequence[str] = (),
    offline: bool = False,
    locked: bool = False,
    debs: Path | None = None,
    now: int,
    listener: Listener,
) -> Base:
    """The base whose recipe is in ``folder``, on ``platform``, built if ``store`` does not have it.

    A package that was superseded since the lock was made is replaced by its successor, and the listener told; with
    ``locked`` that fails instead. Raises RecipeError, StaleLock, PackageUnavailable, PackageError, ToolFailed and what
    reading packages raises.
    """
    supply = Supply(now=now, mirrors=mirrors, debs=debs, offline=offline, locked=locked)
    return _Opening(folder, platform, store, supply, listener).base()


def update_base(
    folder: Path,
    platform: Platform,
    *,
    store: Store,
    mirrors: Sequence[str] = (),
    now: int,
    listener: Listener,
) -> RootfsLock:
    """The lock that the archives' signed indexes give today; nothing is written. Raises what ``update`` raises."""
    supply = Supply(now=now, mirrors=mirrors)
    with listener.stage("indexes"):
        return _Opening(folder, platform, store, supply, listener).renewed()


@contextlib.contextmanager
def interpreter(
    base: Base,
    *,
    store: Store,
    mirrors: Sequence[str] = (),
    offline: bool = False,
    debs: Path | None = None,
    now: int,
    listener: Listener,
) -> Iterator[Interpreter]:
    """The base's own Python, ready to run on this machine; gone afterwards.

    For a base of another CPU it is that of the same recipe on this one: bytecode does not depend on the CPU. Raises
    ToolFailed when this machine cannot run one of the very same version.
    """
    host = _host()
    running = base
    if base.target.platform != host:
        supply = Supply(now=now, mirrors=mirrors, debs=debs, offline=offline)
        running = _Opening(base.folder, host, store, supply, listener).base()
    if running.python != base.python:
        why = f"this machine can run {running.python}, and the {base.target.platform} base has {base.python}"
        raise ToolFailed(f"{base.name}'s Python", why, hint=f"bring both in step: ocibuild base update {base.name}")
    minor, machine = running.target.promise.version.rpartition(".")[0], host.machine
    with store.scratch() as folder, Sources() as sources:
        yield spool(running.tree, folder, minor=minor, machine=machine, sources=sources)


@dataclass(frozen=True)
class _Opening:
    """One base on its way to be opened."""

    folder: Path
    platform: Platform
    store: Store
    supply: Supply
    listener: Listener

    def base(self) -> Base:
        recipe = load_layer(self.folder)
        path = lock_path(self.folder, self.platform)
        shipped = read_lock(path)
        check_lock(recipe, shipped, what=str(path))
        lock, layer = shipped, self._found(recipe, shipped)
        if layer is None and not self.supply.locked:
            lock = self._remembered(shipped) or shipped
            layer = self._found(recipe, lock)
        if layer is None:
            lock = self._fetched(recipe, shipped, lock)
            layer = self._found(recipe, lock) or self._built(recipe, lock)
        if lock is not shipped:
            self._say(shipped, lock)
        return self._opened(recipe, lock, layer)

    def renewed(self) -> RootfsLock:
        recipe = load_layer(self.folder)
        with self._sources(recipe) as sources:
            return self._resolve(recipe, sources)

    def _opened(self, recipe: LayerRecipe, lock: RootfsLock, layer: Layer) -> Base:
        return Base(
            name=self.folder.name,
            folder=self.folder,
            layers=(layer,),
            tree=layer.tree(self.store),
            target=Target(platform=self.platform, promise=_promise(recipe)),
            created=lock.epoch,
            digest=lock.digest,
            env=recipe.env,
            python=_python(recipe, lock),
        )

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

    def _found(self, recipe: LayerRecipe, lock: RootfsLock) -> Layer | None:
        return find(self._key(recipe, lock, _python(recipe, lock)), self.store)

    def _remembered(self, shipped: RootfsLock) -> RootfsLock | None:
        data = self.store.record(_RENEWED, shipped.digest.hex)
        if data is None:
            return None
        try:
            return decode(data, what="the store's record of a lock")
        except StaleLock:
            self.store.drop_record(_RENEWED, shipped.digest.hex)
            return None

    def _fetched(self, recipe: LayerRecipe, shipped: RootfsLock, lock: RootfsLock) -> RootfsLock:
        """``lock``, or what replaces it, once all its packages are in the store."""
        with self._sources(recipe) as sources:
            try:
                fetch_packages(lock.packages, sources, store=self.store, listener=self.listener)
                return lock
            except PackageUnavailable as error:
                if self.supply.offline:
                    error.hint = "not in the store; build once online, or name a folder of .deb files with --debs"
                    raise
                if self.supply.locked:
                    error.hint = f"if it was superseded: ocibuild base update {self.folder.name}"
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
            renewed = self._resolve(recipe, sources)
        except OcibuildError as error:
            missing.hint = f"nor do the signed indexes help ({error}); name a mirror with --mirror".replace("\n", " ")
            raise missing from error
        if renewed.packages == lock.packages:
            # Nothing newer: the packages exist and cannot be had.
            missing.hint = "the archives still list it; try again, or name another mirror with --mirror"
            raise missing
        fetch_packages(renewed.packages, sources, store=self.store, listener=self.listener)
        self.store.put_record(_RENEWED, shipped.digest.hex, encode(renewed))
        return renewed

    def _resolve(self, recipe: LayerRecipe, sources: Sequence[ArchiveSource]) -> RootfsLock:
        keys, now = key_files(self.folder), self.supply.now
        return update(recipe, self.platform, sources, keys=keys, now=now, listener=self.listener)

    def _say(self, shipped: RootfsLock, lock: RootfsLock) -> None:
        lines = changes(shipped, lock)
        shown = ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        name = self.folder.name
        self.listener.note(
            f"{name}: packages of its lock were superseded: {shown}; to keep that: ocibuild base update {name}"
        )

    @contextlib.contextmanager
    def _sources(self, recipe: LayerRecipe) -> Iterator[list[ArchiveSource]]:
        found: list[ArchiveSource] = [DebFolder(self.supply.debs)] if self.supply.debs is not None else []
        if self.supply.offline:
            yield found
            return
        suites = recipe.source.suite_list()
        archives = sorted({suite.archive for suite in suites})
        with self.store.scratch() as folder:
            found.append(Apt(suites, self.platform.architecture, folder))
            found += [Mirror(url, archives) for url in (*self.supply.mirrors, *recipe.source.mirrors)]
            yield found

    def _built(self, recipe: LayerRecipe, lock: RootfsLock) -> Layer:
        with self.store.scratch() as spooled:
            compiler = _Compilers(self, recipe, lock)
            entries = rootfs.entries(
                recipe, lock, self.platform, store=self.store, spool=spooled, compilers=compiler.open
            )
            holds = tuple(str(pin) for pin in lock.packages)
            layer = write_layer(Tree(entries), self.store, created_by=f"ocibuild base {self.folder.name}", holds=holds)
        keep(layer, self._key(recipe, lock, compiler.used), self.store)
        return layer


class _Compilers:
    """Who compiles a base's standard library; ``used`` is the version that did, empty where none could."""

    def __init__(self, opening: _Opening, recipe: LayerRecipe, lock: RootfsLock) -> None:
        self._opening, self._recipe, self._wanted = opening, recipe, _python(recipe, lock)
        self.used = ""

    @contextlib.contextmanager
    def open(self, tree: Tree, sources: Sources) -> Iterator[Compiler | None]:
        """The compiler of ``tree`` itself, or that of the same recipe on this machine's CPU."""
        opening = self._opening
        running = tree
        if opening.platform != _host():
            other = self._neighbour()
            if other is None or other.python != self._wanted:
                opening.listener.note(
                    f"{opening.folder.name}: this machine has no Python {self._wanted} to run, "
                    f"so the {opening.platform} base comes without bytecode and starts slower"
                )
                yield None
                return
            running = other.tree
        self.used = self._wanted
        with opening.store.scratch() as folder:
            minor, machine = self._recipe.python.minor, _host().machine
            started = spool(running, folder, minor=minor, machine=machine, sources=sources)
            with Compiler(started.argv, started.env) as compiler:
                yield compiler

    def _neighbour(self) -> Base | None:
        opening = self._opening
        try:
            return _Opening(opening.folder, _host(), opening.store, opening.supply, opening.listener).base()
        except OcibuildError:
            return None


def _python(recipe: LayerRecipe, lock: RootfsLock) -> str:
    return lock.version(f"python{recipe.python.minor}")


def _promise(recipe: LayerRecipe) -> Promise:
    python = recipe.python
    major, minor = python.glibc.split(".")
    return Promise(
        version=python.version,
        interpreter=python.interpreter,
        prefix=python.prefix,
        purelib=python.purelib,
        scripts=python.scripts,
        glibc=(int(major), int(minor)),
    )


def _host() -> Platform:
    machine = os.uname().machine
    try:
        return Platform.parse(machine)
    except InvalidValue as error:
        raise ToolFailed("the base's Python", f"no base runs on this machine's CPU, {machine}") from error
