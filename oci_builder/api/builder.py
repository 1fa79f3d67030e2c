"""The builder: one object with a cache, a folder and a policy, that plans and builds whatever it is given."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from oci_builder.api.images import BuiltImage, OpenedImage
from oci_builder.api.recipe import ImageRecipe
from oci_builder.assemble.build import BuildTask, Built, build_all, build_and
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.plan import BuildPlan
from oci_builder.assemble.planner import Planner
from oci_builder.errors import ImagesFailed, OcibuildError
from oci_builder.gate.finding import GateResult
from oci_builder.inputs import Recording, recording
from oci_builder.machine import cpu_count
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Logins
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Quiet, Reporter
from oci_builder.store import Store
from oci_builder.surroundings import default_cache, with_home
from oci_builder.wheels.steps import LayerStep


@dataclass(frozen=True, repr=False)
class Builder:
    """Builds images. ``project`` is the folder that holds ``build/`` and ``layers/``; ``cache`` is the user's.

    ``jobs`` are processes at once, by default one per CPU; ``policy`` is what the command line's flags say besides.
    ``registries`` are spoken to with the logins that docker left, unless others are given.
    """

    project: str | Path = "."
    cache: str | Path | None = None
    jobs: int | None = None
    reporter: Reporter = field(default_factory=Quiet)
    policy: BuildPolicy = field(default_factory=BuildPolicy)
    registries: Registries | None = None

    def __repr__(self) -> str:
        return f"Builder(project={str(self.project)!r}, cache={str(self.context.store.root)!r})"

    @cached_property
    def context(self) -> BuildContext:
        """The world that it builds in. Raises FileProblem where no cache can be had."""
        cache = Path(self.cache).absolute() if self.cache is not None else default_cache()[0]
        environ = with_home(os.environ, cache)
        now = int(time.time())
        return BuildContext(
            store=Store(cache, now=now),
            reporter=self.reporter,
            registries=self.registries or Registries(Access(logins=Logins(environ))),
            project=Path(self.project).absolute(),
            jobs=self.jobs or cpu_count(),
            now=now,
            environ=environ,
        )

    def plan(self, what: str | Path | ImageRecipe, *, platform: str | None = None) -> PlannedImage:
        """What the image of a recipe is made of: its folder, its name under ``build/``, or a recipe as a value.

        Versions are chosen, wheels are fetched, no layer is made. Raises OcibuildError.
        """
        context = self.context
        noted = Recording(clock=time.time_ns, apart=(context.store.root,))
        with recording(noted):
            source = self._source(what)
            wanted = Platform.parse(platform) if platform else source.recipe.targets[0]
            plan = Planner(context, self.policy).plan(source, wanted)
        return PlannedImage(replace(plan, inputs=noted.found(context.environ)), self)

    def build(self, what: str | Path | ImageRecipe, *, platform: str | None = None) -> BuiltImage:
        """The image of a recipe. Raises CheckFailed for one that would not run, and OcibuildError."""
        source = self._source(what)
        task = self._task(source, Platform.parse(platform) if platform else source.recipe.targets[0])
        (built,), _ = build_and([task], lambda built: None, self.context)
        return BuiltImage(source, built, self.context)

    def build_all(self, recipes: Sequence[str | Path | ImageRecipe]) -> tuple[BuiltImage, ...]:
        """The images of several recipes, for their first platforms; a layer that they share is made once.

        Raises ImagesFailed, when all that can be made is made, with the error of each that could not.
        """
        sources = [self._source(each) for each in recipes]
        tasks = [self._task(source, source.recipe.targets[0]) for source in sources]
        results = build_all(tasks, self.context)
        failed: Mapping[str, OcibuildError] = {
            source.recipe.name: result
            for source, result in zip(sources, results, strict=True)
            if isinstance(result, OcibuildError)
        }
        made = [
            BuiltImage(source, result, self.context)
            for source, result in zip(sources, results, strict=True)
            if isinstance(result, Built)
        ]
        if failed:
            raise ImagesFailed(failed, made=len(made))
        return tuple(made)

    def check(self, what: str | Path | ImageRecipe, *, platform: str | None = None) -> GateResult:
        """All that the gate finds in the image of a recipe; nothing is written. Raises OcibuildError."""
        from oci_builder.assemble.build import check

        source = self._source(what)
        wanted = Platform.parse(platform) if platform else source.recipe.targets[0]
        return check(source, wanted, context=self.context, policy=self.policy)

    def lock(self, what: str | Path, *, upgrade: bool = False, packages: Sequence[str] = ()) -> tuple[str, ...]:
        """Write down which wheels an image is made of; gives what moved, in words. Raises OcibuildError."""
        source = self._source(what)
        change = Planner(self.context, self.policy).lock(source, upgrade=upgrade, upgrade_packages=packages)
        change.keep()
        return change.changes

    def open(self, place: str | Path, *, platform: str | None = None) -> OpenedImage:
        """The image in a file, a folder or a registry. Raises NotFound, InvalidValue."""
        return OpenedImage.at(place, self.context, platform=platform)

    def _task(self, source: ImageSource, platform: Platform) -> BuildTask:
        return BuildTask(source=source, platform=platform, policy=self.policy)

    def _source(self, what: str | Path | ImageRecipe) -> ImageSource:
        from oci_builder.assemble.choosing import with_base

        found = self._written(what)
        return with_base(found, project_dir=self.context.project, extra=self.policy.layer_path)

    def _written(self, what: str | Path | ImageRecipe) -> ImageSource:
        from oci_builder.catalog import find_image
        from oci_builder.recipes import load_image

        if isinstance(what, ImageRecipe):
            return what.written(Path(tempfile.mkdtemp(dir=self._folder)))
        project = self.context.project
        place = Path(what)
        found = place if place.is_dir() else project / place
        return load_image(found if found.is_dir() else find_image(str(what), project), project=project)

    @cached_property
    def _folder(self) -> Path:
        """Where recipes that are values stand while this object lives."""
        folder = Path(tempfile.mkdtemp(prefix="ocibuild-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


@dataclass(frozen=True, repr=False)
class PlannedImage:
    """A plan, and who made it: look at its steps, or build it."""

    plan: BuildPlan
    builder: Builder

    def __repr__(self) -> str:
        missing = len(self.missing)
        return f"PlannedImage({self.plan.source.recipe.name}, {self.plan.platform}, {missing} layers to make)"

    @property
    def steps(self) -> tuple[LayerStep, ...]:
        """The layers of wheels, from the lowest to the highest."""
        return self.plan.steps

    @property
    def missing(self) -> tuple[LayerStep, ...]:
        """Those that have to be made."""
        return self.plan.missing(self.builder.context.store)

    @property
    def moved(self) -> tuple[str, ...]:
        """What was read to make the plan and is not as it was, in words; nothing while the plan holds."""
        inputs = self.plan.inputs
        found = inputs.moved(self.builder.context.environ) if inputs is not None else ()
        return tuple(dict.fromkeys(f"{what} {how}" for what, how in found))

    def build(self) -> BuiltImage:
        """Make what is missing; gives the image. Raises CheckFailed for one that would not run, and OcibuildError."""
        from oci_builder.assemble.build import carry_out

        builder, plan = self.builder, self.plan
        built = carry_out(plan, builder.context, builder.policy)
        return BuiltImage(plan.source, built, builder.context)


def open_image(place: str | Path, *, platform: str | None = None) -> OpenedImage:
    """The image in a file, a folder or a registry, with the user's cache and logins. Raises NotFound, InvalidValue."""
    return Builder().open(place, platform=platform)
