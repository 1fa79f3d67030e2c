"""The conductor: from recipes to images. Calls every room, computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.executor import LocalExecutor
from oci_builder.assemble.gate import judge, let_through
from oci_builder.assemble.history import remember, remember_inputs
from oci_builder.assemble.plan import BuildPlan
from oci_builder.assemble.planner import Planner
from oci_builder.assemble.proof import file_proof
from oci_builder.assemble.retry import retry_on_corruption, run_again_if_damaged
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError
from oci_builder.export import docker_archive
from oci_builder.gate.finding import GateResult
from oci_builder.image import Image
from oci_builder.inputs import Recording, recording
from oci_builder.layer import Layer, LayerKey
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.store import Store
from oci_builder.wheels.pins import WheelPin

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image, and the wheels it was made from. ``sources`` says in which repository blobs of its base can be had."""

    image: Image
    wheels: tuple[WheelPin, ...]
    sources: Mapping[Digest, Reference] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BuildTask:
    """One image that is wanted: a recipe, a platform, and what its user chose; ``noted`` is told what decides it."""

    source: ImageSource
    platform: Platform
    policy: BuildPolicy
    noted: Recording | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.source.recipe.name} ({self.platform})"


def build(source: ImageSource, platform: Platform, *, context: BuildContext, policy: BuildPolicy) -> Built:
    """Make the image of a recipe for one platform; its layers are in the store.

    Raises CheckFailed for one that would not run, and OcibuildError: every room's own kinds.
    """
    (built,) = _build([BuildTask(source=source, platform=platform, policy=policy)], context)
    return built


def carry_out(plan: BuildPlan, context: BuildContext, policy: BuildPolicy) -> Built:
    """Make what is missing of ``plan``, and its image. Raises as ``build``."""
    executor = LocalExecutor(context, [plan])
    layers = _layers(executor, context)
    _remember([plan], executor, context)
    return _finished(BuildTask(source=plan.source, platform=plan.platform, policy=policy), plan, layers, context)


def build_all(tasks: Sequence[BuildTask], context: BuildContext) -> tuple[Built | OcibuildError, ...]:
    """Make several images, each layer that they share once; for one that fails there is its error.

    Where something in the store turns out damaged, that is dropped and all is done again, once.
    """
    return run_again_if_damaged(lambda: _build_what_can_be(tasks, context), context)


def check(source: ImageSource, platform: Platform, *, context: BuildContext, policy: BuildPolicy) -> GateResult:
    """All that the gate finds in the image of a recipe, the imports of every module included; nothing is written.

    Raises OcibuildError: every room's own kinds.
    """

    def work() -> GateResult:
        plan = Planner(context, policy).plan(source, platform)
        image = _assembled(plan, _layers(LocalExecutor(context, [plan]), context), context)
        with context.reporter.stage("check"):
            return judge(source, image, plan.base, context=context, policy=policy, imports=True)

    return retry_on_corruption(work, context)


def write(
    source: ImageSource,
    platform: Platform,
    path: Path,
    *,
    references: Sequence[Reference],
    context: BuildContext,
    policy: BuildPolicy,
) -> tuple[Built, int]:
    """Build, and write the image to ``path``; gives what was built and the file's size in bytes.

    Where something in the store turns out damaged, that is dropped and all is done again, once.
    """
    task = BuildTask(source=source, platform=platform, policy=policy)
    (built,), size = build_and(
        [task], lambda built: write_image(built[0].image, path, references=references, context=context), context
    )
    return built, size


def write_image(
    image: Image, path: Path, *, references: Sequence[Reference], context: BuildContext, verify: bool = False
) -> int:
    """Write an image that was built to ``path``; gives the file's size in bytes.

    With ``verify`` it is read again from its first byte to its last before it appears. Raises FileProblem, CheckFailed.
    """
    with context.reporter.stage("write"):
        return docker_archive.write_file(
            image,
            path,
            references=references,
            store=context.store,
            reporter=context.reporter,
            proof=file_proof(path, context.reporter) if verify else None,
        )


def build_and(
    tasks: Sequence[BuildTask], act: Callable[[tuple[Built, ...]], T], context: BuildContext
) -> tuple[tuple[Built, ...], T]:
    """Make the images of all ``tasks``, and do with them what ``act`` does; gives both.

    Where something in the store turns out damaged, that is dropped and all is done again, once.
    """

    def work() -> tuple[tuple[Built, ...], T]:
        built = _build(tasks, context)
        return built, act(built)

    return retry_on_corruption(work, context)


def _build(tasks: Sequence[BuildTask], context: BuildContext) -> tuple[Built, ...]:
    plans = [_planned(task, context) for task in tasks]
    executor = LocalExecutor(context, plans)
    layers = _layers(executor, context)
    _remember(plans, executor, context)
    return tuple(_finished(task, plan, layers, context) for task, plan in zip(tasks, plans, strict=True))


def _build_what_can_be(tasks: Sequence[BuildTask], context: BuildContext) -> tuple[Built | OcibuildError, ...]:
    plans = [_or_error(partial(_planned, task, context)) for task in tasks]
    whole = [plan for plan in plans if isinstance(plan, BuildPlan)]
    executor = LocalExecutor(context, whole, keep_going=True)
    layers = _layers(executor, context)
    _remember(
        [plan for plan in whole if not any(step.key in executor.failed for step in plan.steps)], executor, context
    )

    def finish(task: BuildTask, plan: BuildPlan) -> Built:
        for step in plan.steps:
            if step.key in executor.failed:
                raise executor.failed[step.key]
        return _finished(task, plan, layers, context)

    return tuple(
        _or_error(partial(finish, task, plan)) if isinstance(plan, BuildPlan) else plan
        for task, plan in zip(tasks, plans, strict=True)
    )


def _planned(task: BuildTask, context: BuildContext) -> BuildPlan:
    with recording(task.noted):
        plan = Planner(context, task.policy).plan(task.source, task.platform)
    return plan if task.noted is None else replace(plan, inputs=task.noted.found(context.environ))


def _or_error(act: Callable[[], T]) -> T | OcibuildError:
    try:
        return act()
    except OcibuildError as error:
        return error


def _layers(executor: LocalExecutor, context: BuildContext) -> dict[LayerKey, Layer]:
    """All layers of wheels that the executor's plans have, each made once."""
    with context.reporter.stage("layers"):
        return {step.key: made for step, made in executor.run(step for plan in executor.plans for step in plan.steps)}


def _remember(plans: Sequence[BuildPlan], executor: LocalExecutor, context: BuildContext) -> None:
    # What this machine did the last time is of no use to others.
    store = Store(context.store.root) if context.store.shared is not None else context.store
    for plan in plans:
        remember(plan, executor.seconds, store)
        remember_inputs(plan, context.environ, store)


def _assembled(plan: BuildPlan, layers: Mapping[LayerKey, Layer], context: BuildContext) -> Image:
    with context.reporter.stage("image"):
        return plan.assemble(layers, context.store)


def _finished(task: BuildTask, plan: BuildPlan, layers: Mapping[LayerKey, Layer], context: BuildContext) -> Built:
    with recording(task.noted):
        image = _assembled(plan, layers, context)
        with context.reporter.stage("check"):
            gated = judge(task.source, image, plan.base, context=context, policy=task.policy)
            let_through(gated, task.source.recipe, context.reporter)
    return Built(image=image, wheels=plan.pins, sources=plan.sources)
