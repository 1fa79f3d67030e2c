"""``ocibuild build``: recipes to files that docker, podman and containerd load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.messages import misused
from oci_builder.cli.recipe import make_policy, open_source
from oci_builder.cli.request import BuildRequest, takes
from oci_builder.errors import ImagesFailed, NotFound, OcibuildError
from oci_builder.wording import called

if TYPE_CHECKING:
    from oci_builder.assemble.context import BuildContext
    from oci_builder.cli.delivery import Job
    from oci_builder.cli.progress import Timed
    from oci_builder.cli.result import Result
    from oci_builder.cli.settings import Settings


class ManyRequest(BuildRequest):
    """The same of several images, or of ``every`` one that there is."""

    names: tuple[str, ...] = ()
    every: bool = False


@click.command("build")
@options.image_names_or_all
@click.option(
    "-o",
    "--out",
    metavar="FILE|DIR/",
    help="Where to write: .tar, or .tar.gz or .tgz to compress the whole file too; with a slash at its end, the folder "
    "of an OCI image layout, for all platforms; - is stdout, and pipes are written to; {name}, {version} and "
    "{arch} are filled in. [NAME.tar]",
)
@click.option(
    "--load",
    is_flag=True,
    help="Hand the image to `docker load`, or to `podman load` where there is no docker. Without --out no file is "
    "written.",
)
@click.option(
    "--out-dir", type=options.FOLDER, metavar="DIR", help="Write NAME.tar there; with --format oci-dir, a folder NAME."
)
@click.option(
    "--since",
    metavar="OLD",
    help="Write to --out what brings a target that has the image OLD up to this one, as `ocibuild update` does.",
)
@options.out_format
@options.push
@click.option(
    "--sbom",
    metavar="FILE|FORMAT",
    help="Write the bill of materials there as well: .cdx.json is CycloneDX, .spdx.json SPDX; {version} and {arch} are "
    "filled in. With --push it is also attached to the image in the registry; cyclonedx or spdx alone writes no file.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Read what was written from its first byte to its last, as `ocibuild verify` does, before it appears under "
    "its name; and what was pushed, as the registry serves it.",
)
@options.image_config
@options.recipe
@options.sources
@options.locking
@options.shared_cache
@options.registry
@options.project
@options.cache
@options.cache_limit
@options.jobs
@options.as_json
@options.talk
@takes(ManyRequest)
def command(request: ManyRequest) -> None:
    """Build images and write them to files, a folder or a registry.

    NAME is a folder under build/, or a path to such a folder. Of several, what they share is made once; one that fails
    does not stop the others.
    """
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.uptodate import is_done

    settings = make_settings(request)
    requests = one_by_one(request, settings)
    left = [each for each in requests if not is_done(each, settings)]
    if left:
        _build(left, settings, several=len(requests) > 1)


def one_by_one(request: ManyRequest, settings: Settings) -> list[BuildRequest]:
    """What is asked for of each image. Raises click.UsageError where several would be written to one place."""
    names = tuple(dict.fromkeys(request.names))
    if request.every:
        from oci_builder.catalog import known_images

        if names:
            raise misused("--all builds every image of build/: leave out the names")
        names = known_images(settings.project)
        if not names:
            raise NotFound("image", "*", searched=[str(settings.project / "build")], hint=_instead_of_all(settings))
    if not names:
        raise misused("which image? name one, or several, or write --all for all of build/")
    if len(names) > 1:
        places = [("--out", request.out), ("--sbom", request.sbom), *(("--push", each) for each in request.pushes)]
        for option, place in places:
            if place is not None and "{name}" not in place and place not in ("cyclonedx", "spdx"):
                raise misused(f"{option} {place}: {len(names)} images need {{name}} in it")
        if request.tags:
            raise misused(f"--tag {request.tags[0]}: {len(names)} images cannot have one name")
    common = {name: getattr(request, name) for name in BuildRequest.fields()}
    return [BuildRequest(**{**common, "name": name}) for name in names]


def _instead_of_all(settings: Settings) -> str:
    from oci_builder.catalog import is_project

    if is_project(settings.project):
        return f"a project is here: ocibuild {called(settings.project)} builds it"
    return "write build/NAME/requirements.txt, or name the folder that holds build/ with --project-dir"


def _build(requests: Sequence[BuildRequest], settings: Settings, *, several: bool) -> None:
    from oci_builder.cli.progress import shown
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.remote_cache import cache_repositories, fill, open_cache
    from oci_builder.pruning import parse_size, prune
    from oci_builder.reference import Reference

    first = requests[0]
    limit = parse_size(first.cache_max_size) if first.cache_max_size else None
    opened = [_Opened.of(request, settings) for request in requests]
    caches = cache_repositories((*first.cache_from, *first.cache_to))
    pushes = tuple(place for each in opened for place in each.job.wanted.pushes)
    bases = [place for each in opened for place in base_references(each.job.source.recipe)]
    bases += [each.job.since for each in opened if isinstance(each.job.since, Reference)]
    registries = make_registries(settings, pushes or caches or bases, first)
    with shown(settings) as reporter:
        context = settings.context(registries, reporter)
        cache = open_cache(registries, settings, reporter, sources=first.cache_from, targets=first.cache_to)
        store = context.store.sharing(cache) if cache else context.store
        context = replace(context, store=store)
        made = _made_each(opened, context, reporter) if several else {0: _made_one(opened[0], context, reporter)}
        results = {each: made[number] for number, each in enumerate(opened) if number in made}
        if cache and first.cache_to:
            images = [result.image for found in results.values() for result in found]
            fill(cache, store, reporter, images=images, pushes=pushes)
    for each, found in results.items():
        for result in found:
            following = "" if several else _next_step(result, settings)
            result.tell(as_json=first.as_json, quiet=settings.quiet, following=following)
        each.keep(settings, found, notes=reporter.notes)
    if limit is not None:
        # Others that build now are let be; whoever ends last prunes.
        prune(store, now=settings.now, max_size=limit)
    failed = {each.request.name: each.failure[0] for each in opened if each.failure}
    if failed:
        raise ImagesFailed(failed, made=len(results))


def _next_step(result: Result, settings: Settings) -> str:
    """What to type next: docker's words, unless podman alone is here."""
    from oci_builder.bases import host_platform
    from oci_builder.errors import LoadFailed
    from oci_builder.export.loading import ENGINES, find_engine

    try:
        engine = find_engine(settings.environ).name
    except LoadFailed:
        engine = ENGINES[0]
    return result.next_step(engine, host_platform())


def _made_one(each: _Opened, context: BuildContext, reporter: Timed) -> list[Result]:
    from oci_builder.assemble.build import build_and

    job = each.job
    each.expect_takers(context)
    built, done = build_and(job.tasks, lambda built: job.deliver(built, context), context)
    return job.results(built, done, reporter.lap())


def _made_each(opened: Sequence[_Opened], context: BuildContext, reporter: Timed) -> dict[int, list[Result]]:
    """What can be made, by number; each failure is said and kept with its image."""
    from oci_builder.assemble.build import Built, build_all
    from oci_builder.errors import OcibuildError

    for each in opened:
        try:
            each.expect_takers(context)
        except OcibuildError as refused:
            each.fail(refused, reporter)
    able = [each for each in opened if not each.failure]
    made = iter(build_all([task for each in able for task in each.job.tasks], context))
    results: dict[int, list[Result]] = {}
    for number, each in enumerate(opened):
        if each.failure:
            continue
        found = [next(made) for _ in each.job.tasks]
        built = [image for image in found if isinstance(image, Built)]
        try:
            for error in found:
                if isinstance(error, OcibuildError):
                    raise error
            results[number] = each.job.results(built, each.job.deliver(built, context), reporter.lap())
        except OcibuildError as error:
            each.fail(error, reporter)
    return results


@dataclass(frozen=True, eq=False)
class _Opened:
    """One image that is asked for, its recipe read."""

    request: BuildRequest
    job: Job
    failure: list[OcibuildError] = field(default_factory=list)

    @classmethod
    def of(cls, request: BuildRequest, settings: Settings) -> _Opened:
        """Read the recipe. Raises OcibuildError and click.UsageError for what could only fail after the build."""
        from oci_builder.catalog import find_image_file
        from oci_builder.cli.bills import wanted_bills
        from oci_builder.cli.delivery import Job, check_since, outputs
        from oci_builder.export.loading import expect_engine
        from oci_builder.inputs import recording
        from oci_builder.platforms import Platform

        # Before the recipe is read: who edits it meanwhile has edited another.
        noted = settings.recording()
        with recording(noted):
            source = open_source(settings, request)
        platforms = tuple(dict.fromkeys(Platform.parse(text) for text in request.platforms))
        wanted = outputs(source.recipe, platforms, request)
        if wanted.loaded:
            expect_engine(settings.environ)  # before the work, not after it
        if request.since is not None:
            check_since(wanted, request)
        bills = wanted_bills(request.sbom, wanted.platforms, source.recipe, pushes=wanted.pushes)
        # The lock is the recipe's: a build of something else reads it and leaves it as it is.
        as_written = not request.base and not request.requirements and set(platforms) <= set(source.recipe.targets)
        policy = make_policy(settings, request, update_lock=as_written)
        lazy = bool(wanted.pushes) and not wanted.files and wanted.folder is None and wanted.loaded is None
        job = Job(
            source=source,
            wanted=wanted,
            bills=bills,
            policy=replace(policy, lazy_base=lazy),
            verify=request.verify,
            noted=noted,
            since=find_image_file(request.since) if request.since is not None else None,
        )
        return cls(request, job)

    def expect_takers(self, context: BuildContext) -> None:
        """See that the registries would take the image, before it is made. Raises RegistryError, InvalidValue."""
        if self.job.wanted.pushes:
            from oci_builder.registry.admission import check_push

            for reference in self.job.wanted.pushes:
                check_push(reference, context.registries)

    def fail(self, error: OcibuildError, reporter: Timed) -> None:
        """Say that this one cannot be made; the others go on."""
        self.failure.append(error)
        reporter.note(f"{self.request.name}: {error}{f'; {error.hint}' if error.hint else ''}")

    def keep(self, settings: Settings, results: Sequence[Result], *, notes: Sequence[str]) -> None:
        """Remember what was made, if a build could tell that it would make it again."""
        from oci_builder.cli.uptodate import keep

        keep(self.job, self.request, settings, results, notes)
