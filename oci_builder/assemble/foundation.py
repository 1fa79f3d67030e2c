"""The base of a recipe: found by its name, pinned by the lock, opened; and who compiles for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from oci_builder.assemble.options import Options
from oci_builder.assemble.pins import wheel_sources
from oci_builder.bases import Base, Pulling, Supply, compiling, open_base, with_packages
from oci_builder.catalog import find_base, find_layer
from oci_builder.digest import Digest
from oci_builder.errors import NotFound, StaleLock
from oci_builder.listener import Listener
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.registry.access import Access, Registries
from oci_builder.registry.auth import Logins
from oci_builder.registry.pulling import resolve
from oci_builder.store import Store
from oci_builder.wheels import lock as locks
from oci_builder.wheels.layers import Bytecode, Interpreter


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """A base, opened. ``pinned`` is a registry's image as a lock has it, ``NAME:TAG@DIGEST``; empty for the others."""

    base: Base
    pinned: str


def open_foundation(
    source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener
) -> Foundation:
    """The base that the recipe names, on ``platform``; its layers are in the store afterwards.

    Raises NotFound, InvalidValue, StaleLock, and what opening a base of its kind raises.
    """
    place = find_base(
        source.recipe.base, recipe_folder=source.folder, project_dir=options.project, extra=options.layers
    )
    registries = options.registries or Registries(Access(logins=Logins(options.environ)))
    if isinstance(place, Reference):
        place = _pinned(place, source, options, registries)
    supply = supply_of(source, options)
    base = open_base(
        place,
        platform,
        store=store,
        mirrors=supply.mirrors,
        offline=supply.offline,
        locked=supply.locked,
        debs=supply.debs,
        now=supply.now,
        pulling=Pulling(registries=registries, jobs=options.jobs, lazily=options.lazily),
        listener=listener,
    )
    if packages := source.recipe.base_packages:
        lock = source.base_lock(platform)
        base = with_packages(base, packages, lock=lock, supply=supply, store=store, listener=listener)
    if base.inherited is not None and base.inherited.triggers:
        listener.note(f"{base.name}: its ONBUILD instructions are not run: {'; '.join(base.inherited.triggers)}")
    return Foundation(base=base, pinned=str(place) if isinstance(place, Reference) else "")


def supply_of(source: ImageSource, options: Options) -> Supply:
    """Where the packages of a base of ``layers/`` come from."""
    return Supply(
        now=options.now,
        mirrors=options.mirrors,
        debs=source.debs if source.debs.is_dir() else None,
        offline=wheel_sources(source, options).offline,
        locked=options.locked,
    )


def bytecode_of(source: ImageSource, base: Base, *, options: Options, store: Store, listener: Listener) -> Bytecode:
    """Which modules get bytecode, and who makes it; none, and the listener is told, where nobody can."""
    mode = source.recipe.python.bytecode
    found = None
    if mode != "none":
        found = compiling(
            base,
            environ=options.environ,
            layers=partial(_layer, source, options),
            supply=supply_of(source, options),
            store=store,
            listener=listener,
        )
    if found is None:
        return Bytecode(mode="none", compiler="", start=_nobody)
    return Bytecode(mode=mode, compiler=found.name, start=found.start)


def _nobody() -> AbstractContextManager[Interpreter]:
    raise AssertionError("without bytecode nobody compiles")


def _layer(source: ImageSource, options: Options, name: str) -> Path | None:
    try:
        return find_layer(name, recipe_folder=source.folder, project_dir=options.project, extra=options.layers)
    except NotFound:
        return None


def _pinned(reference: Reference, source: ImageSource, options: Options, registries: Registries) -> Reference:
    """``reference`` with the digest it has today; the lock's where nobody may ask, or nobody wants to know."""
    if reference.digest is not None:
        return reference
    locked = _locked(reference, source)
    if options.frozen or wheel_sources(source, options).offline:
        if locked is not None:
            return replace(reference, digest=locked)
        why = f"it has no digest of the base {reference}, and a registry is not to be asked"
        raise StaleLock(str(source.lock), why, hint=f"ocibuild lock {source.recipe.name}, with a network")
    today = resolve(reference, registries)
    if today is None:
        raise NotFound("image", str(reference), searched=(reference.registry,), hint="check its name and tag")
    if options.locked and locked not in (None, today.digest):
        why = f"the base {reference} was {locked}, and its tag has moved to {today.digest}"
        hint = f"take the new one with: ocibuild lock {source.recipe.name}; or name the old one by its digest"
        raise StaleLock(str(source.lock), why, hint=hint)
    return replace(reference, digest=today.digest)


def _locked(reference: Reference, source: ImageSource) -> Digest | None:
    """The digest that the lock has for ``reference``."""
    if not source.lock.is_file():
        return None
    base = locks.read(source.lock).base
    if not base.startswith(f"{reference}@"):
        return None
    return Reference.parse(base).digest
