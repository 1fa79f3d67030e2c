"""What a build would do, without doing it: which layers are there, which are to be made and why, what is to be fetched.

Nothing is made or fetched for it but documents: where the base or a wheel is not here, what hangs on it is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from oci_builder.assemble.base import BaseResolver
from oci_builder.assemble.context import BuildContext
from oci_builder.assemble.history import PastPlan, reasons, recall, recall_inputs
from oci_builder.assemble.planner import Planner, pinning_of
from oci_builder.bases import Base, glance_base, glance_packages
from oci_builder.inputs import InputSet
from oci_builder.layer import find
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.steps import LayerStep
from oci_builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class LayerOutline:
    """One layer: ``there`` or to be made, ``why``, and what that takes; ``key`` is empty where it is not known yet."""

    label: str
    holds: tuple[str, ...]
    key: str = ""
    there: bool = False
    why: tuple[str, ...] = ()
    fetch: int = 0
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What the build of one image would do. ``fetch`` is in bytes, ``seconds`` as the last time has it.

    ``moved`` says which of its inputs are not as they were when it was built last; None where nobody knows.
    """

    name: str
    platform: Platform
    base: LayerOutline
    layers: tuple[LayerOutline, ...] = ()
    moved: tuple[str, ...] | None = None

    @property
    def fetch(self) -> int:
        """Bytes to fetch, of the base and of wheels."""
        return self.base.fetch + sum(layer.fetch for layer in self.layers)

    @property
    def missing(self) -> tuple[LayerOutline, ...]:
        """The layers to make."""
        return tuple(layer for layer in (self.base, *self.layers) if not layer.there)

    @property
    def seconds(self) -> float | None:
        """What making the layers should take, one after the other; None where one was never timed."""
        found = [layer.seconds for layer in self.missing]
        return None if None in found else sum(each for each in found if each is not None)


def outline(planner: Planner, source: ImageSource, platform: Platform) -> Outline:
    """What a build of ``source`` for ``platform`` would do. Raises what resolving raises."""
    store = planner.context.store
    # What moved, before anything is read, which may make files.
    moved = _moved(recall_inputs(source, platform, store), planner.context)
    return replace(_outline(planner, source, platform, recall(source, platform, store)), moved=moved)


def _moved(known: InputSet | None, context: BuildContext) -> tuple[str, ...] | None:
    if known is None:
        return None
    found = [f"{_short(what, context.project)} {how}" for what, how in known.moved(context.environ)]
    return tuple(dict.fromkeys(found))


def _short(path: str, project: Path) -> str:
    return path.removeprefix(f"{project}/")


def _outline(planner: Planner, source: ImageSource, platform: Platform, past: PastPlan | None) -> Outline:
    context = planner.context
    bases = BaseResolver(source, context, planner.policy)
    with context.reporter.stage("base"):
        glanced = glance_base(bases.place, platform, store=context.store, supply=bases.supply, pulling=bases.pulling)
    base = LayerOutline(
        label=glanced.name,
        holds=(glanced.name,),
        there=glanced.there,
        why=() if glanced.there else (glanced.why,),
        fetch=glanced.fetch,
    )
    if not glanced.there:
        layers = _unknown(bases, platform, f"the base {glanced.name} is not here yet") if source.has_python else ()
        return Outline(name=source.recipe.name, platform=platform, base=base, layers=layers)
    opened = bases.opened(platform)
    layers = _packages(bases, opened)
    if source.has_python:
        # Packages that are not here yet are not made for this: of what wheels land on they change next to nothing.
        opened = bases.open(platform) if all(layer.there for layer in layers) else opened
        plan = planner.outline_steps(bases, opened)
        layers = (*layers, *(_layer(step, plan.absent, past, planner) for step in plan.steps))
    return Outline(name=source.recipe.name, platform=platform, base=base, layers=layers)


def _packages(bases: BaseResolver, base: Base) -> tuple[LayerOutline, ...]:
    """The layers of ``base-packages`` and locales, if there are any."""
    if not bases.needs_packages(base):
        return ()
    lock, wanted = bases.source.base_lock(base.platform), bases.wanted(base)
    found = glance_packages(base, wanted, lock=lock, supply=bases.supply, store=bases.context.store)
    why = () if found.there else (found.why,)
    names = (*wanted.names, *wanted.locales)
    return (LayerOutline(label=found.name, holds=names, there=found.there, why=why, fetch=found.fetch),)


def _layer(step: LayerStep, absent: frozenset[WheelPin], past: PastPlan | None, planner: Planner) -> LayerOutline:
    store = planner.context.store
    missing = [wheel for wheel in step.wheels if wheel.pin in absent]
    there = not missing and find(step.key, store) is not None
    return LayerOutline(
        label=step.label,
        holds=step.holds,
        key=step.key.hex,
        there=there,
        why=() if there else reasons(step, past),
        fetch=sum(wheel.size for wheel in missing),
        seconds=None if past is None or there else past.seconds_for(step),
    )


def _unknown(bases: BaseResolver, platform: Platform, why: str) -> tuple[LayerOutline, ...]:
    """One entry for all wheels, of which nothing can be told without the base."""
    target = bases.promised_target(platform)
    if target is None:
        return ()
    pins = pinning_of(bases, target).choose(target).pins
    store = bases.context.store
    fetch = sum(pin.size or 0 for pin in pins if not store.has(pin.sha256))
    return (LayerOutline(label=counted(len(pins), "wheel"), holds=tuple(map(str, pins)), why=(why,), fetch=fetch),)
