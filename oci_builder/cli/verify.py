"""``ocibuild verify``: is something the image it says it is, and does its recipe give the same bytes again?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import images, options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import RecipeRequest, takes
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.cli.images import Looking
    from oci_builder.verify.locked import LockReport
    from oci_builder.verify.reproduce import Identity
    from oci_builder.verify.results import CheckedImage, Report

_REMARKS = 10
"""Remarks that are said; --json has all."""

_NOT_THERE = " is not there"
_LEFT_OUT = "an update leaves out layers that its target has: it is checked with --since OLD"

_BUILDING = options.together(
    options.run_config,
    options.recipe_inputs,
    options.sources,
    options.locking,
    options.project,
    options.cache,
    options.jobs,
)


class VerifyRequest(RecipeRequest):
    """What ``ocibuild verify`` is told: an image, what to compare it with, and for --rebuild what a build is told."""

    image: str
    platform: str | None = None
    lock: Path | None = None
    since: str | None = None
    rebuild: bool = False


@click.command("verify")
@images.image
@click.argument("name", required=False)
@images.platform
@images.limits
@click.option("--lock", "lock", type=options.FILE, metavar="FILE", help="Compare with this lock too.")
@click.option(
    "--since", metavar="OLD", help="IMAGE is an update of the image OLD: prove from the bytes of both what it makes."
)
@click.option("--rebuild", is_flag=True, help="Build NAME again, from nothing but its inputs, and compare.")
@options.registry
@_BUILDING
@options.as_json
@options.talk
@takes(VerifyRequest)
def command(request: VerifyRequest) -> None:
    """Check that an image is what it says it is.

    IMAGE is a file, a folder or an image of a registry, whoever made it. Every digest, size and reference in it is
    checked, and every byte that a registry serves of it; the exit code is 3 when one does not hold. With --lock every
    file has to belong to a wheel of that lock, to the base or to ocibuild, none missing or changed. With --since an
    update is checked with the layers that it leaves out. With --rebuild the image is built once more, no layer taken
    from the cache, for the platform, names and date of the file IMAGE, and the first difference is named. NAME is by
    default what IMAGE is called; the options of the build are those of `ocibuild build` and have to be repeated.
    """
    from oci_builder.cli.terminal import tell_json
    from oci_builder.errors import CheckFailed

    image, lock, rebuild = request.image, request.lock, request.rebuild
    if request.name and not rebuild:
        raise misused("an image's NAME goes with --rebuild")
    # Whatever is there can be checked, also where it does not look like an image any more.
    looking = images.look_at([Path(image) if _is_there(image) else image], request, platform=request.platform)
    (place,) = looking.places
    if rebuild and not (isinstance(place, Path) and place.is_file()):
        raise misused("--rebuild compares files: write the image to one first, with `ocibuild pull`")
    report = _since(request, looking) if request.since is not None else looking.verify(place)
    compared = _compared(looking, lock) if lock is not None and not report.findings else None
    findings = [*report.findings, *(compared.findings if compared else ())]
    if request.as_json:
        tell_json(_document(str(place), report, compared))
    if findings:
        lacks = request.since is None and any(line.endswith(_NOT_THERE) for line in report.findings)
        what = f"{place} is not what {lock} says" if not report.findings else str(place)
        raise CheckFailed(what, findings, hint=_LEFT_OUT if lacks else None)
    if rebuild and isinstance(place, Path):
        _rebuild(place, request)
    if not request.quiet:
        _tell(str(place), report, compared, lock, rebuilt=rebuild)


def _is_there(text: str) -> bool:
    return Path(text).exists() and not Path(f"{text}.tar").is_file()


def _since(request: VerifyRequest, looking: Looking) -> Report:
    from oci_builder.assemble.updates import verify
    from oci_builder.cli.progress import shown

    (place,) = looking.places
    if request.rebuild or request.lock is not None:
        raise misused("--since goes alone: what --lock and --rebuild compare is a whole image")
    if not isinstance(place, Path):
        raise misused("--since goes with a file: what a registry serves is whole")
    before = images.look_at([request.since or ""], request)
    (old,) = before.places
    with shown(looking.settings) as reporter, reporter.stage("verify"):
        context = looking.settings.context(before.registries, reporter)
        return verify(place, old, platform=looking.platform, context=context)


def _compared(looking: Looking, lock: Path) -> LockReport:
    from oci_builder.store import Store
    from oci_builder.verify.compiled import BytecodeWatcher
    from oci_builder.verify.locked import compare_with_lock, environment_of, wheel_at_hand

    at_hand = wheel_at_hand(Store(looking.settings.cache), lock.parent / "wheels")
    bytecode = BytecodeWatcher()
    (contents,) = looking.contents(watch=bytecode)
    return compare_with_lock(contents, bytecode, images.read_lock(lock, environment_of(contents)), at_hand)


def _tell(place: str, report: Report, compared: LockReport | None, lock: Path | None, *, rebuilt: bool) -> None:
    from oci_builder.cli.terminal import say
    from oci_builder.projects.packages import is_foreign

    for line in report.remarks[:_REMARKS]:
        say(f"remark: {line}")
    if len(report.remarks) > _REMARKS:
        say(f"remark: and {len(report.remarks) - _REMARKS} more; --json has all")
    if compared is not None:
        counts = ", ".join(f"{counted(count, 'file')} of {whose}" for whose, count in sorted(compared.files.items()))
        say(f"{place}: as {lock} says: {counts}; {counted(compared.wheels, 'wheel')} compared")
        if compared.bytecode and not rebuilt:
            say(f"{compared.bytecode} .pyc files fit the sources beside them by their headers; --rebuild compares code")
        if compared.built:
            say(f"built from folders, so their files were only compared with RECORD: {', '.join(compared.built)}")
        if lock is not None and is_foreign(lock):
            say(f"{lock} does not say which extras and groups were chosen: what the image lacks of it was not missed")
        if compared.unseen:
            names = ", ".join(compared.unseen)
            say(f"not on this machine, so their files were only compared with RECORD: {names}")
    several = f" ({len(report.images)} images)" if len(report.images) > 1 else ""
    say(f"{place}: {'holds, and its recipe gives the same bytes' if rebuilt else 'holds'}{several}")


def _document(place: str, report: Report, compared: LockReport | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "image": place,
        "holds": not report.findings and not (compared and compared.findings),
        "findings": list(report.findings),
        "remarks": list(report.remarks),
        "images": [_image(each) for each in report.images],
    }
    if compared is not None:
        document["lock"] = {
            "findings": compared.findings,
            "files": compared.files,
            "wheels": compared.wheels,
            "unseen": compared.unseen,
            "built": compared.built,
            "bytecode": compared.bytecode,
        }
    return document


def _image(image: CheckedImage) -> dict[str, Any]:
    return {
        "id": str(image.id) if image.id else None,
        "digest": str(image.digest) if image.digest else None,
        "platform": image.platform,
        "layers": [
            {
                "digest": str(layer.digest),
                "size": layer.size,
                "diff_id": str(layer.diff_id) if layer.diff_id else None,
                "entries": layer.entries,
            }
            for layer in image.layers
        ],
    }


def _rebuild(file: Path, request: VerifyRequest) -> None:
    from oci_builder.assemble import build
    from oci_builder.cli.progress import shown
    from oci_builder.cli.recipe import make_policy, open_source
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import CheckFailed
    from oci_builder.layer import RECORDS
    from oci_builder.platforms import Platform
    from oci_builder.reference import Reference
    from oci_builder.store import Store
    from oci_builder.verify.reproduce import first_difference, identity

    known = identity(file)
    references = [Reference.parse(text) for text in known.references]
    settings = make_settings(request, epoch=known.created)
    source = open_source(settings, request.but(name=request.name or _called(known)))
    registries = make_registries(settings, base_references(source.recipe), request)
    policy = make_policy(settings, request, update_lock=False)
    policy = replace(policy, base_pin=known.base, copied_pins=known.copied)
    with (
        shown(settings) as reporter,
        tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".rebuilt-") as folder,
        Store(settings.cache).without(RECORDS) as store,
    ):
        again = Path(folder) / file.name
        platform = Platform.parse(known.platform)
        context = replace(settings.context(registries, reporter), store=store)
        build.write(source, platform, again, references=references, context=context, policy=policy)
        difference = first_difference(file, again)
    if difference:
        raise CheckFailed(f"{file} is not what {source.recipe.name} gives", [difference])


def _called(known: Identity) -> str:
    """The name of an image from its first tag. Raises click.UsageError where it has none."""
    from oci_builder.reference import Reference

    if not known.references:
        raise click.UsageError("this file has no tag: say which image it is, as NAME", ctx=click.get_current_context())
    return Reference.parse(known.references[0]).repository.rpartition("/")[2]
