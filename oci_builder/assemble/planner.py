"""From a recipe to its plan: the base is opened, wheels are chosen by digest, and every layer gets its key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from packaging.utils import canonicalize_name

from oci_builder import inputs
from oci_builder.assemble.app_files import check_copies
from oci_builder.assemble.app_layer import check_run
from oci_builder.assemble.base import BaseResolver
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.copy_layers import copy_groups
from oci_builder.assemble.fetched import bring
from oci_builder.assemble.foreign_locks import check_lockable, foreign_decides, has_own_lock
from oci_builder.assemble.image_copies import source_in
from oci_builder.assemble.image_lock import as_images, image_lock_text, moves, read_image_lock
from oci_builder.assemble.inputs import Inputs, read_inputs
from oci_builder.assemble.pins import LockChange, Pinning, wheel_sources
from oci_builder.assemble.plan import BuildPlan
from oci_builder.bases import Base, Compiling, without_replaced
from oci_builder.digest import Digest
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.store import Store
from oci_builder.wheels.conflicts import Conflict, lost_by, resolve_conflicts
from oci_builder.wheels.installed_wheels import InstalledWheels
from oci_builder.wheels.layering import Group, Wheel, plan
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.steps import Anchors, BytecodeChoice, LayerStep, layer_steps
from oci_builder.wheels.target import Target


@dataclass(frozen=True)
class Planner:
    """Plans images, and locks them."""

    context: BuildContext
    policy: BuildPolicy

    def plan(self, source: ImageSource, platform: Platform) -> BuildPlan:
        """What the image of ``source`` on ``platform`` is made of. Its base and its wheels are in the store then.

        Raises OcibuildError: every room's own kinds.
        """
        context = self.context
        for note in source.notes:
            context.reporter.note(note)
        bases = BaseResolver(source, context, self.policy)
        check_copies(source)
        with context.reporter.stage("base"):
            base = bases.open(platform)
        check_run(source.recipe, base)
        others = bases.others.open(platform)
        for copy in source.recipe.copy:
            if copy.image is not None:
                source_in(others[copy.image], copy)
        wheels = self._wheels(bases, base.target) if source.has_python else _Wheels()
        if source.has_python:
            self._say_nothing(source, wheels)
        if source.recipe.fetch:
            with context.reporter.stage("files"):
                bring(source, context, self.policy)
        base = without_replaced(base, [wheel.pin.name for wheel in wheels.all], context.store)
        compiling = bases.compiler(base) if wheels.all else None
        return BuildPlan(
            source=source,
            platform=platform,
            base=base,
            others=others,
            pins=tuple(wheel.pin for wheel in wheels.all),
            lock=wheels.lock,
            steps=self._steps(source, base, wheels, compiling) if wheels.all else (),
            created=base.created if self.policy.epoch is None else self.policy.epoch,
            compiling=compiling,
            fetch=wheels.fetch,
        )

    def outline_steps(self, bases: BaseResolver, base: Base) -> StepsOutline:
        """The steps of a plan as far as they can be told without fetching a wheel, for ``base``.

        Where a wheel was never seen here, nobody knows whether it wants a path that another has: its layers may come
        to have other keys. A project's wheel is built for this.
        """
        context, source, target = self.context, bases.source, base.target
        with context.reporter.stage("resolve"):
            pinning = pinning_of(bases, target)
            chosen = pinning.choose(target)
            members = _built(pinning.build(chosen.projects), context.store)
        wheels = tuple(Wheel(pin=pin, path=context.store.path(pin.sha256), size=pin.size or 0) for pin in chosen.pins)
        project = _project(pinning.inputs, context.store)
        found = _Wheels(wheels=wheels, members=members, project=project, lock=chosen.lock)
        self._say_nothing(source, found)
        base = without_replaced(base, [wheel.pin.name for wheel in (*wheels, *members)], context.store)
        listing = Listing(opened=InstalledWheels(target), store=context.store, jobs=context.jobs)
        absent = frozenset(wheel.pin for wheel in found.all if not inputs.is_file(wheel.path))
        unseen = any(wheel.pin in absent and not listing.knows(wheel) for wheel in found.all)
        conflicts = () if unseen else resolve_conflicts(found.all, listing, policy=source.recipe.python.conflicts)
        steps = self._layer_steps(source, base, found, bases.compiler(base), conflicts)
        return StepsOutline(steps=steps, absent=absent)

    def lock(
        self, source: ImageSource, *, upgrade: bool, upgrade_packages: Sequence[str], check: bool = False
    ) -> LockChange:
        """Resolve a recipe's requirements for all its platforms; gives the lock to write. Raises OcibuildError.

        A lock of another tool is not written, but that of the images beside it; to ``check`` it is to hold it to what
        it was made from.
        """
        taken = source.borrowed_lock is not None or foreign_decides(source)
        if not has_own_lock(source):
            # Whoever looks whether it holds is not to change it.
            bases = BaseResolver(source, self.context, replace(self.policy, update_lock=False))
            images = as_images([bases.pin, *bases.others.pins])
            if images and not (taken and check and _image_lock(source, images).current):
                return _image_lock(source, images)
        if taken and not check:
            check_lockable(source)
        bases = BaseResolver(source, self.context, self.policy)
        with self.context.reporter.stage("base"):
            target = bases.open(source.recipe.targets[0]).target
        with self.context.reporter.stage("resolve"):
            if taken:
                # What such a lock is held to is written down: nothing is built for it.
                return pinning_of(bases, target, known=Inputs(requirements=())).recheck()
            return pinning_of(bases, target).relock(upgrade=upgrade, upgrade_packages=upgrade_packages)

    def _wheels(self, bases: BaseResolver, target: Target) -> _Wheels:
        reporter, store = self.context.reporter, self.context.store
        with reporter.stage("resolve"):
            pinning = pinning_of(bases, target)
            chosen = pinning.choose(target)
            members = _built(pinning.build(chosen.projects), store)
        with reporter.stage("fetch"):
            wheels = _named(chosen.pins, store)
            # Where others may have made the layers, whoever misses one fetches its wheels.
            if store.shared is None or not wheels:
                files = pinning.fetch(chosen.pins, target)
                wheels = tuple(_wheel(pin, files) for pin in chosen.pins)
        unheld = frozenset(map(canonicalize_name, bases.source.recipe.python.unverified))
        return _Wheels(
            wheels=_marked(wheels, unheld),
            members=_marked(members, unheld),
            project=_marked(_project(pinning.inputs, store), unheld),
            lock=chosen.lock,
            fetch=partial(_fetch, pinning, target),
        )

    def _say_nothing(self, source: ImageSource, found: _Wheels) -> None:
        """A requirements.txt that asks for nothing was left empty by mistake more often than not."""
        if source.requirements and not found.all:
            names = " and ".join(path.name for path in source.requirements)
            why = f"{names} asks for nothing that is installed here: no package comes into the image"
            self.context.reporter.note(f"{why}; a package a line is what it takes")

    def _steps(
        self, source: ImageSource, base: Base, found: _Wheels, compiling: Compiling | None
    ) -> tuple[LayerStep, ...]:
        """The layers of the wheels, and above them that of the project: the one that changes every day."""
        recipe, context, target = source.recipe, self.context, base.target
        opened = InstalledWheels(target, fetch=found.fetch, most=recipe.max_unpacked_bytes)
        with context.reporter.stage("plan"):
            listing = Listing(opened=opened, store=context.store, jobs=context.jobs)
            conflicts = resolve_conflicts(found.all, listing, policy=recipe.python.conflicts)
        for each in conflicts:
            context.reporter.note(f"/{each.path} is {each.winner}'s; {each.loser} has other bytes there")
        return self._layer_steps(source, base, found, compiling, conflicts)

    def _layer_steps(
        self,
        source: ImageSource,
        base: Base,
        found: _Wheels,
        compiling: Compiling | None,
        conflicts: Sequence[Conflict],
    ) -> tuple[LayerStep, ...]:
        recipe = source.recipe
        # The base's layers, the project's, those of files and the top one count as well.
        others = len(base.layers) + len(found.project) + len(recipe.fetch) + 1
        others += sum(name is not None for name, _ in groupby(copy.image for copy in recipe.copy))
        others += copy_groups(recipe).count - 1
        budget = max(recipe.layering.budget - others, 1)
        several = len(recipe.targets) > 1
        strategy, order = recipe.layering.strategy, recipe.layering.order
        # What is edited every day: a layer for each, unless there are many.
        members = plan(found.members, strategy="one" if strategy == "one" else "each", budget=max(budget // 2, 1))
        left = max(budget - len(members), 1)
        groups = plan(found.wheels, strategy=strategy, budget=left, apart=several, order=order)
        bytecode = BytecodeChoice(mode=recipe.python.bytecode, compiler=compiling.ref if compiling else None)
        return layer_steps(
            (*groups, *members, *([Group(wheels=found.project)] if found.project else [])),
            base.target,
            Anchors.of(base.target, base.tree),
            bytecode=bytecode if compiling else BytecodeChoice(),
            lost=lost_by(conflicts),
            most=recipe.max_unpacked_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class StepsOutline:
    """Steps as far as they are known, and the wheels that would have to be fetched for those that are missing."""

    steps: tuple[LayerStep, ...]
    absent: frozenset[WheelPin]


@dataclass(frozen=True, kw_only=True)
class _Wheels:
    """What is installed: the wheels, those of projects that a lock names, the recipe's own, and the lock's digest."""

    wheels: tuple[Wheel, ...] = ()
    members: tuple[Wheel, ...] = ()
    project: tuple[Wheel, ...] = ()
    lock: Digest | None = None
    fetch: Callable[[Sequence[Wheel]], None] | None = None

    @property
    def all(self) -> tuple[Wheel, ...]:
        return (*self.wheels, *self.members, *self.project)


def _image_lock(source: ImageSource, images: Mapping[str, Digest]) -> LockChange:
    """The lock of a recipe's images, where that of its wheels is another's or there are none."""
    path = source.image_lock
    known = read_image_lock(path) if inputs.is_file(path) else {}
    return LockChange(path=path, text=image_lock_text(images), changes=moves(known, images))


def pinning_of(bases: BaseResolver, target: Target, *, known: Inputs | None = None) -> Pinning:
    """What chooses wheels for a recipe on its base, which promises ``target``; its project, if any, has been built,
    unless what it asks for is ``known``.

    Raises RecipeError and NotFound for what its inputs are, WheelError for the project.
    """
    source, context, policy = bases.source, bases.context, bases.policy
    sources = wheel_sources(source, context, policy)
    return Pinning(
        source=source,
        inputs=known or read_inputs(source, target, sources=sources, context=context),
        target=target,
        elsewhere=bases.target,
        context=context,
        policy=policy,
        base=bases.pin,
        images=bases.others.pins,
    )


def _fetch(pinning: Pinning, target: Target, wheels: Sequence[Wheel]) -> None:
    pinning.fetch([wheel.pin for wheel in wheels], target)


def _named(pins: Sequence[WheelPin], store: Store) -> tuple[Wheel, ...]:
    """The wheels as their pins know them, whether or not they are here; none, where a pin does not know its size."""
    wheels = [Wheel(pin=pin, path=store.path(pin.sha256), size=pin.size) for pin in pins if pin.size is not None]
    return tuple(wheels) if len(wheels) == len(pins) else ()


def _marked(wheels: Sequence[Wheel], unheld: Collection[str]) -> tuple[Wheel, ...]:
    """The wheels, those of the names ``unheld`` as such that are not held to their RECORD."""
    return tuple(replace(wheel, unverified=True) if wheel.pin.name in unheld else wheel for wheel in wheels)


def _project(inputs: Inputs, store: Store) -> tuple[Wheel, ...]:
    return _built((inputs.project,) if inputs.project else (), store)


def _built(pins: Sequence[WheelPin], store: Store) -> tuple[Wheel, ...]:
    """Wheels that were built here and are in the store."""
    return tuple(_wheel(pin, {pin.sha256.hex: store.path(pin.sha256)}) for pin in pins)


def _wheel(pin: WheelPin, files: Mapping[str, Path]) -> Wheel:
    path = files[pin.sha256.hex]
    return Wheel(pin=pin, path=path, size=inputs.size_of(path))
