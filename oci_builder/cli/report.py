"""``ocibuild report``: an image on one page for a browser."""

from __future__ import annotations

from pathlib import Path

import click

from oci_builder.cli import images, options


@click.command("report")
@images.image
@click.argument("before", required=False)
@images.platform
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    metavar="FILE",
    help="Where to write. [report.html]",
)
@options.talk
def command(image: str, before: str | None, platform: str | None, out: Path, quiet: bool, **_: object) -> None:
    """Write a page that shows an image: sizes, packages, licences, findings.

    With BEFORE, an older image, also what changed from that one. The page is one file that loads nothing.
    """
    from oci_builder.check.report import remarks_of, render
    from oci_builder.check.verify import verify_file
    from oci_builder.cli.messages import say
    from oci_builder.store import atomic

    found = images.read_inventory(image, platform)
    older = images.read_inventory(before, platform) if before else None
    path = images.find_image_file(image)
    findings = verify_file(path).findings if path.is_file() else ()
    page = render(found, remarks=remarks_of(findings), before=older)
    with atomic(out) as sink:
        sink.write(page)
    if not quiet:
        say(f"{out}: written")
