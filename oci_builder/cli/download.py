"""``ocibuild download``: everything an image is made from, beside its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.request import RecipeRequest, takes
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.assemble.download import Downloaded


class DownloadRequest(RecipeRequest):
    """What ``ocibuild download`` is told besides: where the folders are, and whether strangers in them go."""

    dest: Path | None = None
    prune: bool = False


@click.command("download")
@options.image_name
@click.option(
    "--dest",
    type=options.FOLDER,
    metavar="DIR",
    help="Where wheels/, debs/, base/ and copied/ are. [the image's own folder]",
)
@click.option(
    "--platform", "platforms", multiple=True, help="linux/amd64 or linux/arm64; repeatable. [all of the recipe's]"
)
@click.option("--prune", is_flag=True, help="Remove files there that no lock names.")
@options.find_links
@options.debian
@options.layers
@options.locking
@options.registry
@options.project
@options.cache
@options.jobs
@options.talk
@takes(DownloadRequest)
def command(request: DownloadRequest) -> None:
    """Fetch all that an image is made from.

    The wheels and Debian packages that the locks of the image NAME name come to wheels/ and debs/ beside its recipe,
    an image that it stands on to base/, images that files are copied out of to copied/: there, `ocibuild NAME` builds
    the very same file on a machine without network.
    """
    from oci_builder.assemble import download
    from oci_builder.cli.progress import shown
    from oci_builder.cli.recipe import make_policy, open_source
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.terminal import say
    from oci_builder.platforms import Platform

    settings = make_settings(request)
    source = open_source(settings, request)
    registries = make_registries(settings, base_references(source.recipe), request)
    wanted = tuple(dict.fromkeys(Platform.parse(text) for text in request.platforms))
    folder = request.dest or source.folder
    with shown(settings) as reporter:
        context, policy = settings.context(registries, reporter), make_policy(settings, request)
        found = download.download(source, dest=folder, platforms=wanted, context=context, policy=policy)
    if request.prune:
        download.prune(found)
    if not settings.quiet:
        for line in _summary(found, folder, pruned=request.prune):
            say(line)


def _summary(found: Downloaded, folder: Path, *, pruned: bool) -> list[str]:
    from oci_builder.cli.progress import human_bytes

    end = "removed" if pruned else "no lock names it; --prune removes it"
    lines = [f"{path}: {end}" for path in found.strangers]
    size = human_bytes(sum(path.stat().st_size for path in found.added))
    count = len(found.added) + len(found.kept)
    return [*lines, f"{folder}: {counted(count, 'file')}, {len(found.added)} of them new ({size})"]
