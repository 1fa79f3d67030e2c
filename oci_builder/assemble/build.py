"""The conductor: from a recipe to an image. Calls every room, computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oci_builder.assemble.gating import judge, let_through
from oci_builder.assemble.inputs import Inputs, read_inputs
from oci_builder.assemble.options import Options
from oci_builder.assemble.pins import LockChange, Pinning, fetch_sources, wheel_sources
from oci_builder.assemble.provenance import manifest_annotations, provenance
from oci_builder.assemble.top import run_config, top_layer
from oci_builder.bases import Base, interpreter, open_base
from oci_builder.catalog import find_layer
from oci_builder.check.finding import Gated
from oci_builder.errors import (
    CorruptBlob,
    DamagedElf,
    DigestMismatch,
    MissingLibrary,
    PackageError,
    ToolFailed,
    UnsafePath,
    WheelError,
)
from oci_builder.export import docker_archive
from oci_builder.image import Image
from oci_builder.layer import Layer
from oci_builder.listener import Listener
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.store import Store
from oci_builder.tree.entry import Entry
from oci_builder.tree.tree import Tree
from oci_builder.wheels.claims import lost_by, settle
from oci_builder.wheels.fetch import fetch_wheels
from oci_builder.wheels.layering import Group, Wheel, plan
from oci_builder.wheels.layers import Bytecode, wheel_layers
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target

_DAMAGE = (DamagedElf, DigestMismatch, MissingLibrary, PackageError, ToolFailed, UnsafePath, WheelError)
"""What a damaged blob of the store may look like to whoever reads it."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image, and the wheels it was made from."""

    image: Image
    wheels: tuple[WheelPin, ...]


def build(source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener) -> Built:
    """Make the image of a recipe for one platform; its layers are in the store.

    Raises CheckFailed for one that would not run, and OcibuildError: every room's own kinds.
    """
    built, base = _composed(source, platform, options=options, store=store, listener=listener)
    with listener.stage("check"):
        let_through(judge(source.recipe, built.image, base, store=store), source.recipe, listener)
    return built


def check(source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener) -> Gated:
    """All that the gate finds in the image of a recipe, the imports of every module included; nothing is written.

    Raises OcibuildError: every room's own kinds.
    """
    built, base = _composed(source, platform, options=options, store=store, listener=listener)
    with listener.stage("check"):
        return judge(source.recipe, built.image, base, store=store, imports=True)


def _composed(
    source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener
) -> tuple[Built, Base]:
    with listener.stage("base"):
        base = _base(source, platform, options=options, store=store, listener=listener)
    with listener.stage("resolve"):
        pinning = pinning_of(source, base.target, options=options, store=store, listener=listener)
        chosen = pinning.choose(base.target)
    with listener.stage("fetch"):
        wheels = _fetched(pinning, chosen.pins, base.target)
    with listener.stage("layers"):
        project = _project(pinning.inputs, store)
        layers = _wheel_layers(source, wheels, project, base, options=options, store=store, listener=listener)
    with listener.stage("image"):
        below = base.tree.overlaid(_entries(layer.tree(store) for layer in layers))
        top = top_layer(source, below, store)
        created = base.created if options.epoch is None else options.epoch
        known = provenance(source.recipe, base, lock=chosen.lock)
        image = Image(
            platform=platform,
            run=run_config(source.recipe, base, labels=known),
            created=created,
            layers=base.layers,
            annotations=manifest_annotations(source.recipe, known, created=created),
        ).append(*layers, *([top] if top else []))
    return Built(image=image, wheels=tuple(wheel.pin for wheel in (*wheels, *project))), base


def write(
    source: ImageSource,
    platform: Platform,
    path: Path,
    *,
    references: Sequence[Reference],
    options: Options,
    store: Store,
    listener: Listener,
) -> tuple[Built, int]:
    """Build, and write the image to ``path``; gives what was built and the file's size in bytes.

    Where something in the store turns out damaged, that is dropped and all is done again, once.
    """
    for last in (False, True):
        try:
            built = build(source, platform, options=options, store=store, listener=listener)
            with listener.stage("write"):
                size = docker_archive.write_file(
                    built.image, path, references=references, store=store, listener=listener
                )
            return built, size
        except _DAMAGE as error:
            dropped = [f"cached blob {digest}" for digest in store.drop_damaged()]
            # That one has been dropped by whoever found it.
            dropped += [error.what] if isinstance(error, CorruptBlob) else []
            if last or not dropped:
                raise
            listener.note(f"{', '.join(dropped)} damaged; made again")
    raise AssertionError("the second round returns or raises")


def lock(
    source: ImageSource,
    *,
    options: Options,
    upgrade: bool,
    upgrade_packages: Sequence[str],
    store: Store,
    listener: Listener,
) -> LockChange:
    """Resolve a recipe's requirements for all its platforms; gives the lock to write. Raises OcibuildError."""
    with listener.stage("base"):
        base = _base(source, source.recipe.targets[0], options=options, store=store, listener=listener)
    with listener.stage("resolve"):
        pinning = pinning_of(source, base.target, options=options, store=store, listener=listener)
        return pinning.relock(upgrade=upgrade, upgrade_packages=upgrade_packages)


def pinning_of(source: ImageSource, target: Target, *, options: Options, store: Store, listener: Listener) -> Pinning:
    """What chooses wheels for a recipe on ``target``; its project, if it has one, has been built.

    Raises RecipeError and NotFound for what its inputs are, WheelError for the project.
    """
    # Every platform the recipe's lock speaks for, and the one that is built now.
    platforms = dict.fromkeys((*source.recipe.targets, target.platform))
    inputs = read_inputs(source, target, sources=wheel_sources(source, options), store=store, listener=listener)
    return Pinning(
        source=source,
        inputs=inputs,
        targets=tuple(Target(platform=each, promise=target.promise) for each in platforms),
        options=options,
        store=store,
        listener=listener,
    )


def base_folder(source: ImageSource, options: Options) -> Path:
    """Where the recipe of the base is. Raises NotFound."""
    name = source.recipe.base
    return find_layer(name, recipe_folder=source.folder, project_dir=options.project, extra=options.layers)


def _base(source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener) -> Base:
    return open_base(
        base_folder(source, options),
        platform,
        store=store,
        mirrors=options.mirrors,
        offline=wheel_sources(source, options).offline,
        locked=options.locked,
        debs=_debs(source),
        now=options.now,
        listener=listener,
    )


def _debs(source: ImageSource) -> Path | None:
    return source.debs if source.debs.is_dir() else None


def _fetched(pinning: Pinning, pins: Sequence[WheelPin], target: Target) -> tuple[Wheel, ...]:
    options, store = pinning.options, pinning.store
    sources = fetch_sources(pinning.source, pinning.inputs, options)
    files = fetch_wheels(pins, target, sources=sources, store=store, jobs=options.jobs, listener=pinning.listener)
    return tuple(_wheel(pin, files) for pin in pins)


def _project(inputs: Inputs, store: Store) -> tuple[Wheel, ...]:
    pin = inputs.project
    return (_wheel(pin, {pin.sha256.hex: store.path(pin.sha256)}),) if pin else ()


def _wheel(pin: WheelPin, files: Mapping[str, Path]) -> Wheel:
    path = files[pin.sha256.hex]
    return Wheel(pin=pin, path=path, size=path.stat().st_size)


def _wheel_layers(
    source: ImageSource,
    wheels: Sequence[Wheel],
    project: tuple[Wheel, ...],
    base: Base,
    *,
    options: Options,
    store: Store,
    listener: Listener,
) -> tuple[Layer, ...]:
    """The layers of the wheels, and above them that of the project: the one that changes every day."""
    recipe = source.recipe
    losses = settle((*wheels, *project), base.target, policy=recipe.python.conflicts, store=store)
    for loss in losses:
        listener.note(f"/{loss.path} is {loss.winner}'s; {loss.loser} has other bytes there")
    # The base's layers, the project's and the top one count as well.
    budget = max(recipe.layering.budget - len(base.layers) - len(project) - 1, 1)
    groups = plan(wheels, strategy=recipe.layering.strategy, budget=budget)
    return wheel_layers(
        (*groups, *([Group(wheels=project)] if project else [])),
        base.target,
        base.tree,
        bytecode=Bytecode(
            mode=recipe.python.bytecode,
            compiler=base.python,
            start=partial(
                interpreter,
                base,
                store=store,
                mirrors=options.mirrors,
                offline=wheel_sources(source, options).offline,
                debs=_debs(source),
                now=options.now,
                listener=listener,
            ),
        ),
        lost=lost_by(losses),
        store=store,
        jobs=options.jobs,
        listener=listener,
    )


def _entries(trees: Iterable[Tree]) -> Iterator[Entry]:
    for tree in trees:
        yield from tree
