"""The base of a recipe: found by its name, pinned by the lock, opened; and who compiles for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TypeAlias

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.bases import (
    Base,
    Compiling,
    Pulling,
    Supply,
    base_target,
    compiling,
    find_named,
    find_python,
    near_layer,
    open_base,
    with_packages,
)
from oci_builder.catalog import find_base, find_layer
from oci_builder.debian.recipe import is_layer
from oci_builder.debian.running import FindPython
from oci_builder.digest import Digest
from oci_builder.errors import NotFound, StaleLock
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.registry.pulling import resolve
from oci_builder.tree.limits import allowing
from oci_builder.wheels import lock as locks
from oci_builder.wheels.target import Target

Place: TypeAlias = Path | Reference | None
"""Where a base is: a folder, a file, an image of a registry by digest; None is nothing."""


@dataclass(frozen=True)
class BaseResolver:
    """The base that a recipe names. Its place is found once; what is opened there is asked for by platform."""

    source: ImageSource
    context: BuildContext
    policy: BuildPolicy

    @cached_property
    def place(self) -> Place:
        """Where it is, an image of a registry by digest; one that is a path may have been downloaded.

        Raises NotFound, InvalidValue, StaleLock, RegistryError.
        """
        # Kept, for a tag may move between two questions: all platforms, the lock and the bill are of one image.
        source = self.source
        try:
            place = find_base(
                source.recipe.base,
                recipe_folder=source.folder,
                project_dir=self.context.project,
                extra=self.policy.layer_path,
            )
        except NotFound:
            copy = source.base_copy / Path(source.recipe.base).name
            if not inputs.is_file(copy) and not inputs.is_file(copy / "index.json"):
                raise
            return copy
        return self._pinned(place) if isinstance(place, Reference) else place

    @property
    def pin(self) -> str:
        """The image of a registry that it is, with its digest; empty for bases that have their own locks."""
        return str(self.place) if isinstance(self.place, Reference) else ""

    def open(self, platform: Platform) -> Base:
        """The base on ``platform``, with the recipe's ``base-packages``; its layers are in the store afterwards.

        Raises NotFound, InvalidValue, StaleLock, and what opening a base of its kind raises.
        """
        context, packages = self.context, self.source.recipe.base_packages
        base = self._opened(platform)
        if packages:
            lock = self.source.base_lock(platform)
            base = with_packages(
                base, packages, lock=lock, supply=self.supply, store=context.store, reporter=context.reporter
            )
        if base.inherited is not None and base.inherited.triggers:
            triggers = "; ".join(base.inherited.triggers)
            context.reporter.note(f"{base.name}: its ONBUILD instructions are not run: {triggers}")
        return base

    def target(self, platform: Platform) -> Target:
        """What the base promises on ``platform``. Raises NoPython, and what opening it raises."""
        if isinstance(self.place, Path) and is_layer(self.place):
            return base_target(self.place, platform)
        return self._opened(platform).target

    def promised_target(self, platform: Platform) -> Target | None:
        """What the base promises on ``platform``, if that can be told without it: by the recipe of a layer."""
        return base_target(self.place, platform) if isinstance(self.place, Path) and is_layer(self.place) else None

    @property
    def supply(self) -> Supply:
        """Where the packages of a base of ``layers/`` come from."""
        policy = self.policy
        return Supply(
            now=self.context.now,
            mirrors=policy.mirrors,
            debs=self.source.debs if inputs.is_dir(self.source.debs) else None,
            # A folder of wheels says nothing of packages.
            offline=bool(policy.offline),
            locked=policy.locked,
            jobs=self.context.jobs,
            host_python=self._host_python,
        )

    @cached_property
    def _host_python(self) -> FindPython:
        # Every interpreter of the machine is started to be asked for its version: once, however often that is needed.
        return cache(partial(find_python, environ=self.context.environ))

    @property
    def pulling(self) -> Pulling:
        """How a base of a registry comes: from the folder that a download filled, if it did, else from there."""
        return Pulling(
            registries=self.context.registries,
            jobs=self.context.jobs,
            lazily=self.policy.lazy_base,
            offline=bool(self.policy.offline),
            beside=self.source.base_copy,
        )

    def compiler(self, base: Base) -> Compiling | None:
        """Who makes the bytecode for ``base``; None, and the reporter is told, where nobody does."""
        if self.source.recipe.python.bytecode == "none":
            return None
        return compiling(
            base,
            environ=self.context.environ,
            layers=self._layer,
            supply=self.supply,
            store=self.context.store,
            reporter=self.context.reporter,
        )

    def compiler_layer(self, target: Target) -> Path | None:
        """The base of ``layers/`` that may be asked to compile for ``target``; None where none is, or no bytecode."""
        return None if self.source.recipe.python.bytecode == "none" else self._layer(near_layer(target))

    @property
    def _is_carried(self) -> bool:
        """Whether what was brought beside the recipe says which base is meant, so that its tag is not looked up."""
        source, offline = self.source, self.policy.offline
        return offline is not False and (
            bool(offline) or inputs.is_dir(source.wheels) or inputs.is_dir(source.base_copy)
        )

    def _opened(self, platform: Platform) -> Base:
        recipe = self.source.recipe
        with allowing(recipe.max_entries, unpacked=recipe.max_unpacked_bytes):
            return self._open(platform)

    def _open(self, platform: Platform) -> Base:
        return open_base(
            self.place,
            platform,
            store=self.context.store,
            supply=self.supply,
            pulling=self.pulling if isinstance(self.place, Reference) else None,
            reporter=self.context.reporter,
        )

    def _layer(self, name: str) -> Path | None:
        try:
            return find_layer(
                name,
                recipe_folder=self.source.folder,
                project_dir=self.context.project,
                extra=self.policy.layer_path,
            )
        except NotFound:
            return None

    def _pinned(self, reference: Reference) -> Reference:
        """``reference`` with the digest it has today; the lock's where nobody may ask, or nobody wants to know."""
        source, policy = self.source, self.policy
        if reference.digest is not None:
            return reference
        locked = self._locked(reference)
        if policy.frozen or self._is_carried:
            known = locked or find_named(source.base_copy, reference)
            if known is not None:
                return replace(reference, digest=known)
        if policy.frozen or policy.offline:
            why = f"it has no digest of the base {reference}, and a registry is not to be asked"
            name = source.called
            hint = (
                f"with a network: ocibuild download {name}, which brings the base too, or ocibuild lock --online {name}"
            )
            raise StaleLock(str(source.lock), why, hint=hint)
        if policy.base_pin.startswith(f"{reference}@"):
            return replace(reference, digest=locked or Reference.parse(policy.base_pin).digest)
        today = resolve(reference, self.context.registries)
        if today is None:
            raise NotFound("image", str(reference), searched=(reference.registry,), hint="check its name and tag")
        inputs.note_tag(str(reference), str(today.digest))
        if policy.locked and locked not in (None, today.digest):
            why = f"the base {reference} was {locked}, and its tag has moved to {today.digest}"
            hint = f"take the new one with: ocibuild lock {source.called}; or name the old one by its digest"
            raise StaleLock(str(source.lock), why, hint=hint)
        return replace(reference, digest=today.digest)

    def _locked(self, reference: Reference) -> Digest | None:
        """The digest that the lock has for ``reference``."""
        if not inputs.is_file(self.source.lock):
            return None
        base = locks.read(self.source.lock).base
        return Reference.parse(base).digest if base.startswith(f"{reference}@") else None
