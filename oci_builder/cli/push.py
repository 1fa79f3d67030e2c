"""``ocibuild push``: an image file to a registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import CommandRequest, takes

if TYPE_CHECKING:
    from oci_builder.oci.contracts import ImageDocuments
    from oci_builder.reference import Reference
    from oci_builder.registry.referrers import Attached
    from oci_builder.sbom import Format


class PushRequest(CommandRequest):
    """What ``ocibuild push`` is told: a file or folder, the names it gets, and a bill to attach."""

    file: Path
    references: tuple[str, ...]
    sbom: str | None = None


@click.command("push")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.argument("references", metavar="REFERENCE...", nargs=-1, required=True)
@click.option(
    "--sbom",
    metavar="FILE|FORMAT",
    help="Attach a bill of materials to the image in the registry: the one in FILE, or one made now, of the format "
    "cyclonedx or spdx.",
)
@options.registry
@options.cache
@options.jobs
@options.as_json
@options.talk
@takes(PushRequest)
def command(request: PushRequest) -> None:
    """Push an image file to a registry.

    FILE is what `ocibuild build`, `docker save` or skopeo wrote: an archive, or an OCI image layout's folder. All of a
    layout goes, whatever its images run on, and an index as it is; images side by side become one index. What the
    registry has is not sent. A bill of materials is an
    artifact that has the image as its subject: `oras discover` and `regctl artifact list` show it.
    """
    from oci_builder.assemble.delivery import push_file
    from oci_builder.cli.bills import as_document_of, told_of
    from oci_builder.cli.progress import shown
    from oci_builder.cli.registries import as_document, make_registries, told
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.terminal import say, tell_json
    from oci_builder.reference import Reference

    settings = make_settings(request)
    names = [Reference.parse(text) for text in request.references]
    bills = _bills(request.file, request.sbom) if request.sbom is not None else None
    registries = make_registries(settings, names, request)
    attached: tuple[Attached, ...] = ()
    with shown(settings) as reporter:
        pushed = push_file(request.file, names, settings.context(registries, reporter))
        if bills is not None:
            from oci_builder.assemble.sbom import attach_bills

            attached = attach_bills(*bills, names, registries, reporter=reporter)
    if not settings.quiet:
        for line in (*map(told, pushed), *map(told_of, attached)):
            say(line)
    if request.as_json:
        found = {name: [as_document_of(each) for each in attached if _is_beside(each, name)] for name in names}
        tell_json([{**as_document(each), "attached": found[each.reference]} for each in pushed])


def _is_beside(attached: Attached, name: Reference) -> bool:
    place = attached.repository
    return (place.registry, place.repository) == (name.registry, name.repository)


def _bills(file: Path, sbom: str) -> tuple[Sequence[tuple[ImageDocuments, bytes]], Format]:
    """The bill of each image in ``file``. Raises click.UsageError, InvalidValue, UnsupportedImage, FileProblem."""
    from oci_builder.assemble.delivery import read_images
    from oci_builder.assemble.sbom import bill_of_file, load_bill
    from oci_builder.sbom import SUFFIXES, format_of

    images = read_images(file)
    for form in SUFFIXES:
        if sbom == form:
            several = len(images) > 1
            return [(image, bill_of_file(file, image, form, several=several)) for image in images], form
    if len(images) > 1:
        raise misused(f"--sbom {sbom}: {len(images)} images, and one bill; name a format, and each gets its own")
    return [(images[0], load_bill(Path(sbom)))], format_of(Path(sbom))
