"""Telling of builds with nothing to do; what is remembered of those that were made. Imports little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oci_builder.cli.terminal import say, tell_json
from oci_builder.uptodate.memory import Memory, PreviousBuild, RememberedFile, Told

if TYPE_CHECKING:
    from oci_builder.cli.delivery import Job
    from oci_builder.cli.request import BuildRequest
    from oci_builder.cli.result import Result
    from oci_builder.cli.settings import Settings
    from oci_builder.digest import Digest
    from oci_builder.reference import Reference
    from oci_builder.registry.registries import Registries

ASIDE = frozenset({"jobs", "progress", "quiet", "debug", "as_json", "cache_dir", "cache_max_size", "creds_stdin"})
"""What is said of how to work and to tell of it, and neither of what is made nor of where it goes."""

_UNSEEN = {
    "load": "an engine's images",
    "cache_to": "a shared cache",
    "verify": "what was to be read again",
    "since": "an older image",
}
"""What is asked for by these flags is seen by nobody without doing it."""


def is_done(request: BuildRequest, settings: Settings) -> bool:
    """Whether there was nothing to make; what is there was told then, and a file that was missing was written."""
    memory = remembered(request, settings)
    before = memory.find(lambda names: _are_served(names, request, settings))
    if before is None or not _are_served(before.pushed, request, settings):
        return False
    seconds = _written_again(before, memory, settings) if before.changed else {"total": 0.0}
    if seconds is None:
        return False
    if not settings.quiet:
        how = f"{seconds['total']:.1f} s" if before.changed else "nothing to do"
        for line in () if before.changed else before.told.notes:
            say(line)
        for summary in before.told.summaries:
            say(f"{summary}, {how}")
        for name, digest in before.pushed.items():
            say(f"{name}@{digest}: was there")
    if request.as_json:
        for document in before.told.documents:
            tell_json({**document, "seconds": dict(seconds)})
    return True


def keep(job: Job, request: BuildRequest, settings: Settings, results: Sequence[Result], notes: Sequence[str]) -> None:
    """Remember what was made. Last of all: what is told of files is told of them as they are now."""
    from oci_builder.export.output import stream_of
    from oci_builder.wheels.build import RUNS_HERE

    paths = [result.path for result in results if result.path is not None]
    if any(getattr(request, name) for name in _UNSEEN) or any(result.attached for result in results):
        return
    # What went to our stdout is written anew every time.
    if any(stream_of(path) for path in paths):
        return
    pushed = {str(each.reference): str(each.digest) for result in results for each in result.pushed}
    remembered(request, settings).keep(
        job.noted,
        told=Told(
            summaries=[result.brief for result in results],
            documents=[_document(result) for result in results],
            notes=[line for line in notes if not line.endswith(RUNS_HERE)],
        ),
        outputs=[*paths, *job.bills.files.values()],
        images=[_remembered(result) for result in results if result.path is not None and result.path.is_file()],
        pushed=pushed,
    )


def remembered(request: BuildRequest, settings: Settings) -> Memory:
    """What is remembered of the command that ``request`` is."""
    from oci_builder.store import Store

    said = {name: value for name, value in vars(request).items() if name not in ASIDE}
    said["SOURCE_DATE_EPOCH"] = settings.epoch
    return Memory(store=Store(settings.cache, now=settings.now), said=said, environ=settings.environ)


def _are_served(names: Mapping[str, str], request: BuildRequest, settings: Settings) -> bool:
    """Whether every name still has the digest that it had: one request for each."""
    if not names:
        return True
    if request.creds_stdin:
        return False  # what is read from there now could not be read again by a build
    from oci_builder.cli.registries import make_registries
    from oci_builder.digest import Digest
    from oci_builder.reference import Reference
    from oci_builder.registry.serves import still_serves

    wanted = {Reference.parse(name): Digest.parse(digest) for name, digest in names.items()}
    registries = make_registries(settings, wanted, request)
    for name, digest in wanted.items():
        served = still_serves(name, digest, registries.access)
        served = _names_still(name, digest, registries) if served is None else served
        if not served:
            return False
    return True


def _names_still(name: Reference, digest: Digest, registries: Registries) -> bool:
    from oci_builder.errors import OcibuildError
    from oci_builder.registry.pulling import resolve

    try:
        found = resolve(name, registries)
    except OcibuildError:
        return False  # the build says what is the matter
    return found is not None and found.digest == digest


def _written_again(before: PreviousBuild, memory: Memory, settings: Settings) -> dict[str, float] | None:
    files = before.rewritable
    if not files:
        return None
    from oci_builder.cli.progress import shown
    from oci_builder.uptodate.rewriting import write_again

    with shown(settings) as reporter:
        for line in before.told.notes:
            reporter.note(line)
        if not write_again(files, memory.store, reporter):
            return None
        seconds = reporter.lap()
    memory.refresh(before)
    return seconds


def _document(result: Result) -> Mapping[str, Any]:
    """What is told of an image that was there already: nothing is sent then."""
    document = result.document()
    return {**document, "pushed": [{**each, "sent": 0, "blobs": {}} for each in document["pushed"]]}


def _remembered(result: Result) -> RememberedFile:
    assert result.path is not None
    return RememberedFile(
        file=str(result.path.absolute()),
        references=[str(reference) for reference in result.references],
        manifest=result.image.manifest.decode(),
        config=result.image.config.decode(),
    )
