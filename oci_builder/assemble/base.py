"""The base of a recipe: found by its name, pinned by the lock, opened; and who compiles for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from oci_builder.assemble.options import Options
from oci_builder.bases import (
    Base,
    Pulling,
    Supply,
    base_target,
    compiling,
    find_named,
    near_layer,
    open_base,
    with_packages,
)
from oci_builder.catalog import find_base, find_layer
from oci_builder.debian.recipe import is_layer
from oci_builder.digest import Digest
from oci_builder.errors import NotFound, StaleLock
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Logins
from oci_builder.registry.pulling import resolve
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.wheels import lock as locks
from oci_builder.wheels.layers import BytecodePlan, CompilerProcess
from oci_builder.wheels.target import Target

Place: TypeAlias = Path | Reference | None
"""Where a base is: a folder, a file, an image of a registry by digest; None is nothing."""


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """A base, opened, and the place it is at."""

    base: Base
    place: Place


def open_foundation(
    source: ImageSource, platform: Platform, *, options: Options, store: Store, reporter: Reporter
) -> Foundation:
    """The base that the recipe names, on ``platform``; its layers are in the store afterwards.

    Raises NotFound, InvalidValue, StaleLock, and what opening a base of its kind raises.
    """
    place = find_place(source, options)
    supply = supply_of(source, options)
    base = _opened(place, platform, source, options, store, reporter)
    if packages := source.recipe.base_packages:
        lock = source.base_lock(platform)
        base = with_packages(base, packages, lock=lock, supply=supply, store=store, reporter=reporter)
    if base.inherited is not None and base.inherited.triggers:
        reporter.note(f"{base.name}: its ONBUILD instructions are not run: {'; '.join(base.inherited.triggers)}")
    return Foundation(base=base, place=place)


def target_on(
    place: Place,
    source: ImageSource,
    platform: Platform,
    *,
    options: Options,
    store: Store,
    reporter: Reporter,
) -> Target:
    """What the base at ``place`` promises on ``platform``. Raises NoPython, and what opening it raises."""
    if isinstance(place, Path) and is_layer(place):
        return base_target(place, platform)
    return _opened(place, platform, source, options, store, reporter).target


def find_place(source: ImageSource, options: Options) -> Place:
    """Where the base of a recipe is, an image of a registry by digest; one that is a path may have been downloaded.

    Raises NotFound, InvalidValue, StaleLock, RegistryError.
    """
    name = source.recipe.base
    try:
        place = find_base(name, recipe_folder=source.folder, project_dir=options.project, extra=options.layers)
    except NotFound:
        copy = source.base_copy / Path(name).name
        if not copy.is_file() and not (copy / "index.json").is_file():
            raise
        return copy
    return _pinned(place, source, options) if isinstance(place, Reference) else place


def pulling_of(source: ImageSource, options: Options) -> Pulling:
    """How a base of a registry comes: from the folder that a download filled, if it did, else from there."""
    return Pulling(
        registries=_registries(options),
        jobs=options.jobs,
        lazily=options.lazily,
        offline=bool(options.offline),
        beside=source.base_copy,
    )


def _opened(
    place: Place,
    platform: Platform,
    source: ImageSource,
    options: Options,
    store: Store,
    reporter: Reporter,
) -> Base:
    return open_base(
        place,
        platform,
        store=store,
        supply=supply_of(source, options),
        pulling=pulling_of(source, options) if isinstance(place, Reference) else None,
        reporter=reporter,
    )


def _registries(options: Options) -> Registries:
    return options.registries or Registries(Access(logins=Logins(options.environ)))


def supply_of(source: ImageSource, options: Options) -> Supply:
    """Where the packages of a base of ``layers/`` come from."""
    return Supply(
        now=options.now,
        mirrors=options.mirrors,
        debs=source.debs if source.debs.is_dir() else None,
        offline=bool(options.offline),
        locked=options.locked,
        jobs=options.jobs,
    )


def bytecode_of(source: ImageSource, base: Base, *, options: Options, store: Store, reporter: Reporter) -> BytecodePlan:
    """Which modules get bytecode, and who makes it; none, and the reporter is told, where nobody can."""
    mode = source.recipe.python.bytecode
    found = None
    if mode != "none":
        found = compiling(
            base,
            environ=options.environ,
            layers=partial(_layer, source, options),
            supply=supply_of(source, options),
            store=store,
            reporter=reporter,
        )
    if found is None:
        return BytecodePlan(mode="none", compiler="", start=_nobody)
    return BytecodePlan(mode=mode, compiler=found.name, start=found.start)


def compiler_layer(source: ImageSource, target: Target, options: Options) -> Path | None:
    """The base of ``layers/`` that may be asked to compile for ``target``; None where there is none, or no bytecode."""
    return None if source.recipe.python.bytecode == "none" else _layer(source, options, near_layer(target))


def _nobody() -> AbstractContextManager[CompilerProcess]:
    raise AssertionError("without bytecode nobody compiles")


def _layer(source: ImageSource, options: Options, name: str) -> Path | None:
    try:
        return find_layer(name, recipe_folder=source.folder, project_dir=options.project, extra=options.layers)
    except NotFound:
        return None


def _pinned(reference: Reference, source: ImageSource, options: Options) -> Reference:
    """``reference`` with the digest it has today; the lock's where nobody may ask, or nobody wants to know."""
    if reference.digest is not None:
        return reference
    locked = _locked(reference, source)
    if options.frozen or _is_carried(source, options):
        known = locked or find_named(source.base_copy, reference)
        if known is not None:
            return replace(reference, digest=known)
    if options.frozen or options.offline:
        why = f"it has no digest of the base {reference}, and a registry is not to be asked"
        name = source.recipe.name
        hint = f"with a network: ocibuild download {name}, which brings the base too, or ocibuild lock --online {name}"
        raise StaleLock(str(source.lock), why, hint=hint)
    if options.stands_on.startswith(f"{reference}@"):
        return replace(reference, digest=locked or Reference.parse(options.stands_on).digest)
    today = resolve(reference, _registries(options))
    if today is None:
        raise NotFound("image", str(reference), searched=(reference.registry,), hint="check its name and tag")
    if options.locked and locked not in (None, today.digest):
        why = f"the base {reference} was {locked}, and its tag has moved to {today.digest}"
        hint = f"take the new one with: ocibuild lock {source.recipe.name}; or name the old one by its digest"
        raise StaleLock(str(source.lock), why, hint=hint)
    return replace(reference, digest=today.digest)


def _is_carried(source: ImageSource, options: Options) -> bool:
    """Whether what was brought beside the recipe says which base is meant, so that its tag is not looked up."""
    return options.offline is not False and (
        bool(options.offline) or source.wheels.is_dir() or source.base_copy.is_dir()
    )


def _locked(reference: Reference, source: ImageSource) -> Digest | None:
    """The digest that the lock has for ``reference``."""
    if not source.lock.is_file():
        return None
    base = locks.read(source.lock).base
    if not base.startswith(f"{reference}@"):
        return None
    return Reference.parse(base).digest
