"""``ocibuild report``: an image on one page for a browser."""

from __future__ import annotations

from pathlib import Path

import click

from oci_builder.cli import images, options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import CommandRequest, takes


class ReportRequest(CommandRequest):
    """What ``ocibuild report`` is told: an image, an older one before it, and where the page goes."""

    places: tuple[str, ...]
    platform: str | None = None
    out: Path


@click.command("report")
@click.argument("places", metavar="[OLD] NEW", nargs=-1, required=True)
@images.platform
@images.reaching
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    metavar="FILE",
    help="Where to write. [report.html]",
)
@options.talk
@takes(ReportRequest)
def command(request: ReportRequest) -> None:
    """Write a page that shows an image: sizes, packages, licences, findings.

    The findings are those of `ocibuild verify`, and what of its Python distributions would not run. With OLD, an older
    image named first, as for `ocibuild diff`, also what changed from that one. The page is one file that loads nothing.
    """
    from oci_builder.cli.delivery import stream_path
    from oci_builder.cli.terminal import say
    from oci_builder.export.output import check_target, output
    from oci_builder.report import remarks_of, render

    if len(request.places) > 2:
        raise misused(f"{len(request.places)} images: a page shows one, and what changed from an older one")
    out = stream_path(str(request.out))
    check_target(out)
    looking = images.look_at(request.places[::-1], request, platform=request.platform)
    found, *older = looking.inventories()
    findings = looking.findings(looking.places[0])
    gated = looking.gated(found)
    page = render(found, remarks=remarks_of(findings, gated), before=older[0] if older else None)
    with output(out, note=say) as sink:
        sink.write(page)
    if not request.quiet:
        say(f"{out}: written")
