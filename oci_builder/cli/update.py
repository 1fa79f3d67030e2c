"""``ocibuild update``: what brings a machine that has one image up to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import CommandRequest, takes

if TYPE_CHECKING:
    from pathlib import Path

    from oci_builder.assemble.context import BuildContext
    from oci_builder.assemble.updates import UpdateTask

Store = Literal["graph", "containerd", "registry"]

STORES: tuple[Store, ...] = ("graph", "containerd", "registry")


class UpdateCommand(CommandRequest):
    """What ``ocibuild update`` is told: two images, where the update goes, and what kind of one it is."""

    before: str
    after: str | None = None
    out: str | None = None
    platform: str | None = None
    tags: tuple[str, ...] = ()
    exact: bool = False
    engine: Store | None = None
    force: bool = False
    verify: bool = False


@click.command("update")
@click.argument("before", metavar="OLD")
@click.argument("after", metavar="NEW", required=False)
@click.option("-o", "--out", metavar="FILE", help="Where to write: .tar, or .tar.gz or .tgz; - is stdout.")
@click.option(
    "--exact", is_flag=True, help="Carry the layers of NEW that the target lacks, and keep NEW's ID and digest."
)
@click.option(
    "--engine",
    type=click.Choice(STORES),
    help="With --exact: what the target keeps layers in, a graph driver of docker's, or containerd's store. [what is "
    "right for both] registry: the blobs that a registry lacks which has OLD, for `ocibuild push`; NEW's index and all "
    "its platforms with them.",
)
@click.option("--force", is_flag=True, help="Write it also where it saves less than 10 %, or where patches add up.")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="REFERENCE", help="What the image is called; repeatable. [as NEW is]"
)
@click.option(
    "--verify", is_flag=True, help="Prove it from its bytes and OLD's before it appears, as `ocibuild verify --since`."
)
@images.platform
@images.reaching
@options.as_json
@options.talk
@takes(UpdateCommand)
def command(request: UpdateCommand) -> None:
    """Write what brings a target that has image OLD up to image NEW.

    An ordinary archive, for `docker load` and `podman load`: OLD's layers are named in it and left out, and one layer
    holds what differs. The files are then NEW's, path by path, and so is the configuration; the image's ID is another,
    and the label dev.ocibuild.equals names NEW's. OLD and NEW are files, folders or images of a registry, whoever made
    them. OLD may also be what `docker image inspect` prints of it, where the cache knows its layers, or with --exact.
    """
    from oci_builder.assemble.updates import UpdateTask
    from oci_builder.cli.delivery import SUFFIXES, check_streams, stream_path
    from oci_builder.cli.messages import misused
    from oci_builder.cli.progress import shown
    from oci_builder.cli.terminal import say, tell_json
    from oci_builder.export.output import check_target, stream_of
    from oci_builder.reference import Reference
    from oci_builder.updates.update import UpdatePolicy

    before, after, out = _named(request)
    path = stream_path(out)
    if not (stream_of(path) or out.endswith(SUFFIXES)):
        raise misused(f"--out {out}: a file name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    check_target(path)
    check_streams([path], as_json=request.as_json, verify=request.verify)
    looking = images.look_at([before, after], request, platform=request.platform)
    old, new = looking.places
    task = UpdateTask(
        old=old,
        new=new,
        platform=looking.platform,
        references=tuple(Reference.parse(text) for text in request.tags),
        policy=UpdatePolicy(
            exact=request.exact,
            engine="both" if request.engine is None or request.engine == "registry" else request.engine,
            force=request.force,
        ),
        verify=request.verify,
    )
    settings = looking.settings
    with shown(settings) as reporter:
        context = settings.context(looking.registries, reporter)
        lines, document = (_for_registry if request.engine == "registry" else _for_engine)(task, path, context)
    if not settings.quiet:
        for line in lines:
            say(line)
    if request.as_json:
        tell_json(document)


def _for_engine(task: UpdateTask, path: Path, context: BuildContext) -> tuple[list[str], dict[str, Any]]:
    from oci_builder.assemble.updates import write
    from oci_builder.cli.updated import document, told

    update, size = write(task, path, context)
    return told(update, path, size), document(update, path, size)


def _for_registry(task: UpdateTask, path: Path, context: BuildContext) -> tuple[list[str], dict[str, Any]]:
    from oci_builder.assemble.blob_updates import write
    from oci_builder.cli.updated import blobs_document, told_of_blobs

    update, size = write(task, path, context)
    return told_of_blobs(update, path, size), blobs_document(update, path, size)


def _named(request: UpdateCommand) -> tuple[str, str, str]:
    """Both images and the file. Raises click.UsageError where one is missing, or two things do not go together."""
    from oci_builder.cli.messages import misused

    if request.after is None:
        raise misused(
            f"update {request.before} to which image? two are named, OLD and NEW; newer wheels are taken by `ocibuild "
            f"lock {request.before} --upgrade`, newer Debian packages by `ocibuild base update`"
        )
    if request.out is None:
        raise misused("where to? name the file of the update with --out")
    if request.engine == "registry" and request.verify:
        raise misused("--verify holds files against each other: what goes to a registry, `ocibuild push` checks there")
    if request.engine not in (None, "registry") and not request.exact:
        raise misused("--engine goes with --exact: a patch is the same for every engine")
    return request.before, request.after, request.out
