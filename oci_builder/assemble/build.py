"""The conductor: from a recipe to an image. Calls every room, computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from packaging.utils import canonicalize_name

from oci_builder.assemble.foundation import Foundation, Place, bytecode_of, open_foundation, target_on
from oci_builder.assemble.gating import judge, let_through
from oci_builder.assemble.inputs import Inputs, read_inputs
from oci_builder.assemble.mending import mended
from oci_builder.assemble.options import Options
from oci_builder.assemble.pins import LockChange, Pinning, fetch_sources, wheel_sources
from oci_builder.assemble.proof import file_proof
from oci_builder.assemble.provenance import manifest_annotations, provenance
from oci_builder.assemble.top import run_config, top_layer
from oci_builder.bases import Base, keep_interpreter, without_replaced
from oci_builder.check.facts import Gathering
from oci_builder.check.finding import Gated
from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
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
from oci_builder.wheels.layers import wheel_layers
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.opened import MOST_UNPACKED, Opened
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image, and the wheels it was made from. ``sources`` says in which repository blobs of its base can be had."""

    image: Image
    wheels: tuple[WheelPin, ...]
    sources: Mapping[Digest, Reference] = field(default_factory=dict)


def build(source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener) -> Built:
    """Make the image of a recipe for one platform; its layers are in the store.

    Raises CheckFailed for one that would not run, and OcibuildError: every room's own kinds.
    """
    built, base = _composed(source, platform, options=options, store=store, listener=listener)
    with listener.stage("check"):
        gated = judge(source, built.image, base, options=options, store=store)
        let_through(gated, source.recipe, listener)
    return built


def check(source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener) -> Gated:
    """All that the gate finds in the image of a recipe, the imports of every module included; nothing is written.

    Raises OcibuildError: every room's own kinds.
    """

    def work() -> Gated:
        built, base = _composed(source, platform, options=options, store=store, listener=listener)
        with listener.stage("check"):
            return judge(source, built.image, base, options=options, store=store, imports=True)

    return mended(work, store=store, listener=listener)


def _composed(
    source: ImageSource, platform: Platform, *, options: Options, store: Store, listener: Listener
) -> tuple[Built, Base]:
    with listener.stage("base"):
        foundation = open_foundation(source, platform, options=options, store=store, listener=listener)
    base, found = foundation.base, _Wheels()
    if source.has_python:
        found = _wheels(source, foundation, options=options, store=store, listener=listener)
    with listener.stage("layers"):
        base = without_replaced(base, [wheel.pin.name for wheel in found.all], store)
        layers = _wheel_layers(source, found, base, options=options, store=store, listener=listener)
    with listener.stage("image"):
        below = base.tree.overlaid(_entries(layer.tree(store) for layer in layers))
        top = top_layer(source, base, below, store)
        created = base.created if options.epoch is None else options.epoch
        known = provenance(source.recipe, base, lock=found.lock, pins=[wheel.pin for wheel in found.all])
        image = Image(
            platform=platform,
            run=run_config(source.recipe, base, labels=known),
            created=created,
            layers=base.layers,
            inherited=base.inherited,
            annotations=manifest_annotations(source.recipe, known, created=created),
        ).append(*layers, *([top] if top else []))
    _check_unpacked(source, image)
    wheels = tuple(wheel.pin for wheel in found.all)
    return Built(image=image, wheels=wheels, sources=_sources(base)), base


def _check_unpacked(source: ImageSource, image: Image) -> None:
    unpacked = sum(layer.unpacked for layer in image.layers)
    most = source.recipe.max_unpacked_bytes or MOST_UNPACKED
    if unpacked > most:
        why = f"its layers unpack to {unpacked} bytes, and {most} are allowed"
        raise UnsupportedImage(source.recipe.name, why, hint='if that is right, set max-unpacked = "..." in image.toml')


@dataclass(frozen=True, kw_only=True)
class _Wheels:
    """What is installed: the wheels, the project's own, and the digest of the lock that names them."""

    wheels: tuple[Wheel, ...] = ()
    project: tuple[Wheel, ...] = ()
    lock: Digest | None = None
    fetch: Callable[[Sequence[Wheel]], None] | None = None

    @property
    def all(self) -> tuple[Wheel, ...]:
        return (*self.wheels, *self.project)


def _wheels(
    source: ImageSource, foundation: Foundation, *, options: Options, store: Store, listener: Listener
) -> _Wheels:
    target = foundation.base.target
    with listener.stage("resolve"):
        pinning = pinning_of(source, foundation.place, target, options=options, store=store, listener=listener)
        chosen = pinning.choose(target)
    with listener.stage("fetch"):
        wheels, fetch = _named(chosen.pins, store), partial(_fetch, pinning, target)
        # Where others may have made the layers, whoever misses one fetches its wheels.
        if store.shared is None or not wheels:
            wheels = _fetched(pinning, chosen.pins, target)
    return _Wheels(wheels=wheels, project=_project(pinning.inputs, store), lock=chosen.lock, fetch=fetch)


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

    def act(built: tuple[Built, ...]) -> int:
        with listener.stage("write"):
            return docker_archive.write_file(
                built[0].image,
                path,
                references=references,
                store=store,
                listener=listener,
                proof=file_proof(path, options, listener),
            )

    (built,), size = made(source, (platform,), act, options=options, store=store, listener=listener)
    return built, size


def made(
    source: ImageSource,
    platforms: Sequence[Platform],
    act: Callable[[tuple[Built, ...]], T],
    *,
    options: Options,
    store: Store,
    listener: Listener,
) -> tuple[tuple[Built, ...], T]:
    """Build for every platform, and do with the images what ``act`` does; gives both.

    Where something in the store turns out damaged, that is dropped and all is done again, once.
    """

    def work() -> tuple[tuple[Built, ...], T]:
        built = tuple(build(source, each, options=options, store=store, listener=listener) for each in platforms)
        return built, act(built)

    return mended(work, store=store, listener=listener)


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
        first = source.recipe.targets[0]
        foundation = open_foundation(source, first, options=options, store=store, listener=listener)
    with listener.stage("resolve"):
        target = foundation.base.target
        pinning = pinning_of(source, foundation.place, target, options=options, store=store, listener=listener)
        return pinning.relock(upgrade=upgrade, upgrade_packages=upgrade_packages)


def pinning_of(
    source: ImageSource, place: Place, target: Target, *, options: Options, store: Store, listener: Listener
) -> Pinning:
    """What chooses wheels for a recipe on its base, which promises ``target``; its project, if any, has been built.

    Raises RecipeError and NotFound for what its inputs are, WheelError for the project.
    """
    inputs = read_inputs(source, target, sources=wheel_sources(source, options), store=store, listener=listener)
    return Pinning(
        source=source,
        inputs=inputs,
        target=target,
        elsewhere=partial(target_on, place, source, options=options, store=store, listener=listener),
        options=options,
        store=store,
        listener=listener,
        base=str(place) if isinstance(place, Reference) else "",
    )


def _fetched(pinning: Pinning, pins: Sequence[WheelPin], target: Target) -> tuple[Wheel, ...]:
    options, store = pinning.options, pinning.store
    sources = fetch_sources(pinning.source, pinning.inputs, options)
    files = fetch_wheels(pins, target, sources=sources, store=store, jobs=options.jobs, listener=pinning.listener)
    return tuple(_wheel(pin, files) for pin in pins)


def _fetch(pinning: Pinning, target: Target, wheels: Sequence[Wheel]) -> None:
    _fetched(pinning, [wheel.pin for wheel in wheels], target)


def _named(pins: Sequence[WheelPin], store: Store) -> tuple[Wheel, ...]:
    """The wheels as their pins know them, whether or not they are here; none, where a pin does not know its size."""
    wheels = [Wheel(pin=pin, path=store.path(pin.sha256), size=pin.size) for pin in pins if pin.size is not None]
    return tuple(wheels) if len(wheels) == len(pins) else ()


def _project(inputs: Inputs, store: Store) -> tuple[Wheel, ...]:
    pin = inputs.project
    return (_wheel(pin, {pin.sha256.hex: store.path(pin.sha256)}),) if pin else ()


def _wheel(pin: WheelPin, files: Mapping[str, Path]) -> Wheel:
    path = files[pin.sha256.hex]
    return Wheel(pin=pin, path=path, size=path.stat().st_size)


def _sources(base: Base) -> Mapping[Digest, Reference]:
    if base.reference is None:
        return {}
    return {layer.descriptor.digest: base.reference for layer in base.layers if layer.foreign}


def _wheel_layers(
    source: ImageSource, found: _Wheels, base: Base, *, options: Options, store: Store, listener: Listener
) -> tuple[Layer, ...]:
    """The layers of the wheels, and above them that of the project: the one that changes every day."""
    if not found.all:
        return ()
    recipe, wheels, project = source.recipe, found.wheels, found.project
    named = map(canonicalize_name, recipe.python.unverified)
    most = recipe.max_unpacked_bytes
    opened = Opened(base.target, fetch=found.fetch, most=most, unverified=frozenset(named))
    listing = Listing(opened=opened, store=store, jobs=options.jobs)
    losses = settle((*wheels, *project), listing, policy=recipe.python.conflicts)
    for loss in losses:
        listener.note(f"/{loss.path} is {loss.winner}'s; {loss.loser} has other bytes there")
    # The base's layers, the project's and the top one count as well.
    budget = max(recipe.layering.budget - len(base.layers) - len(project) - 1, 1)
    several = len(recipe.targets) > 1
    groups = plan(wheels, strategy=recipe.layering.strategy, budget=budget, apart=several)
    layers = wheel_layers(
        (*groups, *([Group(wheels=project)] if project else [])),
        listing,
        base.tree,
        bytecode=bytecode_of(source, base, options=options, store=store, listener=listener),
        lost=lost_by(losses),
        listener=listener,
        # The gate asks for these facts: here, all processors gather them, from contents that are at hand.
        examine=Gathering,
    )
    keep_interpreter(base, layers)
    return layers


def _entries(trees: Iterable[Tree]) -> Iterator[Entry]:
    for tree in trees:
        yield from tree
