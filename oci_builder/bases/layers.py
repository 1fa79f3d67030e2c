"""Bases of ``layers/``: made of Debian packages by recipes and locks, which are trusted."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oci_builder import inputs
from oci_builder.bases.base import Base
from oci_builder.debian.interpreter import Interpreter, spool
from oci_builder.debian.lock import Pin, RootfsLock, encode, lock_path, read_lock
from oci_builder.debian.opening import OpenedRootfs, Opening, renewed_name
from oci_builder.debian.recipe import LayerRecipe, load_layer
from oci_builder.debian.running import host_platform, obstacle
from oci_builder.debian.sonames import libraries_path, read_libraries, write_libraries
from oci_builder.debian.suppliers import suppliers
from oci_builder.debian.supply import Supply
from oci_builder.errors import ToolFailed
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.wheels.target import PythonEnvironment, Target


@dataclass(frozen=True, kw_only=True)
class Packages:
    """The .deb files of a base, by file name.

    ``renewed`` holds, by file name, the locks that go with them where packages of the base's own were superseded.
    """

    files: Mapping[str, Pin]
    renewed: Mapping[str, bytes]


def fetch_base(
    folder: Path,
    platform: Platform,
    *,
    store: Store,
    supply: Supply,
    reporter: Reporter,
) -> Packages:
    """All packages of a base are in ``store`` afterwards; nothing is built.

    Raises RecipeError, StaleLock, PackageUnavailable, PackageError.
    """
    shipped, lock = Opening(folder, platform, store, supply, reporter).packages()
    renewed = {} if lock == shipped else {renewed_name(shipped): encode(lock)}
    return Packages(files=_deb_names(lock), renewed=renewed)


def base_files(folder: Path, platform: Platform) -> frozenset[str]:
    """The names of the files ``fetch_base`` may give, as the base's lock has them; none without a lock."""
    path = lock_path(folder, platform)
    if not inputs.is_file(path):
        return frozenset()
    lock = read_lock(path)
    return frozenset({*_deb_names(lock), renewed_name(lock)})


def base_target(folder: Path, platform: Platform) -> Target:
    """What the base promises on ``platform``, read from its recipe alone. Raises RecipeError."""
    return Target(platform=platform, promise=_promise(load_layer(folder)))


def open_layers(
    folder: Path,
    platform: Platform,
    *,
    store: Store,
    supply: Supply,
    reporter: Reporter,
) -> Base:
    """The base whose recipe is in ``folder``, on ``platform``, built if ``store`` does not have it.

    A package that was superseded since the lock was made is replaced by its successor, and the reporter told, unless
    the supply is locked: then that fails. Raises RecipeError, StaleLock, PackageUnavailable, PackageError, ToolFailed
    and what reading packages raises.
    """
    return _base(Opening(folder, platform, store, supply, reporter))


def update_base(
    folder: Path,
    platform: Platform,
    *,
    store: Store,
    supply: Supply,
    reporter: Reporter,
) -> RootfsLock:
    """The lock that the archives' signed indexes give today; nothing is written. Raises what ``update`` raises."""
    with reporter.stage("indexes"):
        return Opening(folder, platform, store, supply, reporter).renewed()


def update_libraries(
    folder: Path,
    platform: Platform,
    *,
    store: Store,
    supply: Supply,
    reporter: Reporter,
) -> bool:
    """The base's index of which package brings which library is as its archives say; whether that changed it.

    It only makes hints better. Raises PackageUnavailable when no source has what it is made from.
    """
    path = libraries_path(folder, platform)
    with reporter.stage("libraries"):
        found = suppliers(folder, platform, store=store, supply=supply, reporter=reporter)
    if found == read_libraries(path):
        return False
    write_libraries(found, path)
    return True


def library_supplier(base: Base, layer: Callable[[Base], Path | None]) -> Callable[[str], str]:
    """What names the Debian package that brings a shared library; it gives empty text for one nobody brings.

    ``layer`` finds the base of ``layers/`` that is of the release of an image made elsewhere.
    """

    # Read when it is asked for the first time: an image that holds asks for nothing.
    @functools.cache
    def read() -> Mapping[str, str]:
        folder = base.folder or layer(base)
        return {} if folder is None else read_libraries(libraries_path(folder, base.platform))

    return lambda library: read().get(library, "")


@contextlib.contextmanager
def own_interpreter(
    base: Base,
    *,
    store: Store,
    supply: Supply,
    reporter: Reporter,
) -> Iterator[Interpreter]:
    """The base's own Python, ready to run on this machine; gone afterwards.

    For a base of another CPU it is that of the same recipe on this one: bytecode does not depend on the CPU. Raises
    ToolFailed when this machine cannot run one of the very same version.
    """
    assert base.folder is not None, "only bases of layers/ have a Python that may run here"
    host = host_platform()
    if host is None:
        raise ToolFailed(f"{base.name}'s Python", "no base's Python starts on this machine")
    running = base
    if base.platform != host:
        running = _base(Opening(base.folder, host, store, supply, reporter))
    if running.python != base.python:
        why = f"this machine can run {running.python}, and the {base.platform} base has {base.python}"
        raise ToolFailed(f"{base.name}'s Python", why, hint=f"bring both in step: ocibuild base update {base.name}")
    minor, machine = running.target.promise.version.rpartition(".")[0], host.machine
    with store.scratch() as folder, MappedFiles() as sources:
        yield spool(running.tree, folder, minor=minor, machine=machine, sources=sources)


def why_not_own(base: Base, store: Store) -> str:
    """Why the base's own Python, or that of the same recipe on this CPU, does not compile here; empty if it does.

    Nothing is fetched or made to know it. Raises FileProblem.
    """
    host = host_platform()
    if host is not None and base.platform != host and base.compiler != base.python:
        return f"this machine has no Python {base.python} to run"
    return obstacle(base.tree if base.platform == host else None, store)


def _base(opening: Opening) -> Base:
    opened: OpenedRootfs = opening.opened()
    return Base(
        name=opening.folder.name,
        folder=opening.folder,
        layers=(opened.layer,),
        tree=opened.layer.tree(opening.store),
        platform=opening.platform,
        promise=_promise(opened.recipe),
        created=opened.lock.epoch,
        digest=opened.lock.digest,
        env=opened.recipe.env,
        python=opened.python,
        key=opened.key,
        compiler=opened.compiler,
    )


def _deb_names(lock: RootfsLock) -> dict[str, Pin]:
    return {pin.path.rpartition("/")[2]: pin for pin in lock.packages}


def _promise(recipe: LayerRecipe) -> PythonEnvironment:
    python = recipe.python
    major, minor = python.glibc.split(".")
    return PythonEnvironment(
        version=python.version,
        interpreter=python.interpreter,
        prefix=python.prefix,
        purelib=python.purelib,
        scripts=python.scripts,
        glibc=(int(major), int(minor)),
    )
