"""``ocibuild rebase``: another base below an image whose recipe is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import CommandRequest, takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_builder.assemble.rebasing import DeliveredRebase, RebasedImage, RebaseTarget
    from oci_builder.reference import Reference


class RebaseRequest(CommandRequest):
    """What ``ocibuild rebase`` is told: an image, the base it is to stand on, and where the result goes."""

    image: str
    onto: str
    base: str | None = None
    kept: tuple[str, ...] = ()
    out: str | None = None
    pushes: tuple[str, ...] = ()
    since: str | None = None
    tags: tuple[str, ...] = ()
    platform: str | None = None
    force: bool = False
    verify: bool = False
    offline: bool = False
    mirrors: tuple[str, ...] = ()
    layers: tuple[Path, ...] = ()


@click.command("rebase")
@images.image
@click.option("--onto", required=True, metavar="LAYER|IMAGE", help="The base it is to stand on.")
@click.option(
    "--base",
    metavar="LAYER|IMAGE",
    help="The base it stands on, in the very version it was made on. [what the image says of it]",
)
@click.option(
    "--keep",
    "kept",
    multiple=True,
    metavar="PATH",
    help="What the image's own layers have at PATH, or delete there, is right, whatever the new base has; repeatable.",
)
@click.option("-o", "--out", metavar="FILE", help="Where to write: .tar, or .tar.gz or .tgz; - is stdout.")
@click.option(
    "--push",
    "pushes",
    multiple=True,
    metavar="REFERENCE",
    help="Push the image there; repeatable. Without --out no file is written.",
)
@click.option(
    "--since", metavar="OLD", help="Write what brings a target that has image OLD up to it, as `ocibuild update`."
)
@click.option("--force", is_flag=True, help="With --since: write it also where it saves less than 10 %.")
@click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="REFERENCE",
    help="What the image is called; repeatable. [as IMAGE is]",
)
@click.option("--verify", is_flag=True, help="Read again what was written before it appears.")
@images.platform
@click.option("--offline", is_flag=True, help="Use no network, for packages or bases.")
@options.debian
@options.layers
@options.project
@images.reaching
@options.as_json
@options.talk
@takes(RebaseRequest)
def command(request: RebaseRequest) -> None:
    """Put IMAGE onto another base, where it runs there as it did.

    IMAGE is a file, a folder or an image of a registry, whoever made it. Its own layers stay what they are, byte for
    byte; the old base's below them are replaced by the new one's, and so is what the configuration has from it. All
    that would not be as it was is said at once, and the exit code is 3: Python, libraries and symbols, users and
    groups, programs and paths that are named, and what the image's own layers replace or delete. Without --out and
    --push that is all that is done.
    """
    from oci_builder.assemble.context import BuildPolicy
    from oci_builder.assemble.rebasing import RebaseTask, deliver, put_onto, refusal
    from oci_builder.cli.progress import shown
    from oci_builder.cli.terminal import say, tell_json
    from oci_builder.cli.userconfig import user_config

    _expect_sense(request)
    pushes = tuple(map(_pushed_to, request.pushes))
    named = [request.image, *([request.since] if request.since else [])]
    bases = [_base(text, request) for text in (request.onto, request.base) if text]
    looking = images.look_at([*named, *bases, *pushes], request, platform=request.platform)
    settings = looking.settings
    _expect_here(request, looking.places[: len(named)])
    task = RebaseTask(
        image=looking.places[0],
        onto=bases[0],
        base=bases[1] if request.base else None,
        platform=looking.platform,
        kept=frozenset(f"/{path.strip('/')}" for path in request.kept),
    )
    target = _target(request, pushes, since=looking.places[1] if request.since else None)
    policy = BuildPolicy(
        offline=request.offline,
        mirrors=request.mirrors or user_config(settings.environ).mirrors,
        layer_path=tuple(path.absolute() for path in request.layers),
    )
    with shown(settings) as reporter:
        context = settings.context(looking.registries, reporter)
        found = put_onto(task, context, policy)
        done = None if found.findings else deliver(found, target, context)
    if request.as_json:
        tell_json(_document(found, target, done))
    if done is None:
        raise refusal(found)
    if not settings.quiet:
        for line in _told(found, target, done):
            say(line)


def _expect_sense(request: RebaseRequest) -> None:
    """See that what was asked for goes together, before anything is read. Raises click.UsageError, FileProblem."""
    from oci_builder.cli.delivery import SUFFIXES, check_streams, stream_path
    from oci_builder.cli.messages import misused
    from oci_builder.export.output import check_target, stream_of

    if request.since and request.out is None:
        raise misused("--since: an update is a file: name one with --out")
    if request.force and not request.since:
        raise misused("--force goes with --since: it is about what an update saves")
    if request.offline and request.pushes:
        raise misused("--offline and --push exclude each other: a registry is a network")
    if request.verify and request.out is None:
        raise misused("--verify reads a file again before it appears: name one with --out")
    if request.out is None:
        return
    path = stream_path(request.out)
    if not (stream_of(path) or request.out.endswith(SUFFIXES)):
        raise misused(f"--out {request.out}: a file name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    check_target(path)
    check_streams([path], as_json=request.as_json, verify=request.verify)


def _expect_here(request: RebaseRequest, places: Sequence[Path | Reference]) -> None:
    """See that no image has to be asked for where no network is used. Raises click.UsageError."""
    from oci_builder.cli.messages import misused

    image = next((place for place in places if not isinstance(place, Path)), None)
    if request.offline and image is not None:
        raise misused(f"--offline: {image} is in a registry; bring it as a file: ocibuild pull {image} --out FILE")


def _pushed_to(text: str) -> Reference:
    from oci_builder.cli.messages import misused
    from oci_builder.reference import Reference

    name = Reference.parse(text)
    if name.digest is not None:
        raise misused(f"--push {name}: a name to push to has a tag, and no digest")
    return name


def _base(text: str, request: RebaseRequest) -> Path | Reference:
    """What a base is called where one stands: a file, a folder, a layer, an image of a registry. Raises NotFound."""
    from oci_builder import inputs
    from oci_builder.catalog import find_base
    from oci_builder.cli.messages import misused

    path = Path(text)
    if inputs.is_file(path) or any(inputs.is_file(path / name) for name in ("index.json", "manifest.json")):
        return path
    project = request.project_dir or Path()
    found = find_base(text, recipe_folder=Path(), project_dir=project, extra=request.layers)
    if found is None:
        raise misused(f"{text} is nothing that an image could be put onto")
    return found


def _target(request: RebaseRequest, pushes: tuple[Reference, ...], *, since: Path | Reference | None) -> RebaseTarget:
    from oci_builder.assemble.rebasing import RebaseTarget
    from oci_builder.cli.delivery import stream_path
    from oci_builder.reference import Reference
    from oci_builder.updates.update import UpdatePolicy

    return RebaseTarget(
        file=stream_path(request.out) if request.out is not None else None,
        pushes=pushes,
        references=tuple(Reference.parse(text) for text in request.tags),
        since=since,
        policy=UpdatePolicy(force=request.force),
        verify=request.verify,
    )


def _told(found: RebasedImage, target: RebaseTarget, done: DeliveredRebase) -> list[str]:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.registries import told as told_push
    from oci_builder.cli.updated import told as told_update
    from oci_builder.wording import counted

    layers = f"{counted(found.own, 'layer')} of its own on {counted(found.below, 'layer')} of {found.new}"
    lines = [f"{layers} instead of {found.old}: image {found.image.id.hex[:12]}"]
    if target.file is not None and done.update is not None:
        lines += told_update(done.update, target.file, done.size)
    elif target.file is not None:
        lines.append(f"{target.file}: {human_bytes(done.size)}")
    lines += [told_push(each) for each in done.pushed]
    if target.file is None and not target.pushes:
        lines.append("nothing speaks against it; --out and --push write it")
    return lines


def _document(found: RebasedImage, target: RebaseTarget, done: DeliveredRebase | None) -> dict[str, Any]:
    """All of it, for programs; sizes are bytes."""
    import msgspec

    from oci_builder.cli.registries import as_document
    from oci_builder.cli.updated import document

    known: dict[str, Any] = {
        "old": found.old,
        "new": found.new,
        "id": str(found.image.id),
        "digest": str(found.image.digest),
        "layers": [str(layer.descriptor.digest) for layer in found.image.layers],
        "below": found.below,
        "own": found.own,
        "findings": [msgspec.to_builtins(finding) for finding in found.findings],
    }
    if done is None:
        return known
    if target.file is not None:
        known["file"], known["size"] = str(target.file), done.size
        known["update"] = document(done.update, target.file, done.size) if done.update is not None else None
    return {**known, "pushed": [as_document(each) for each in done.pushed]}
