"""``ocibuild sbom``: what an image is made of, for programs that judge it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import LookRequest, takes
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.inspect.packages import Inventory


class SbomRequest(LookRequest):
    """What ``ocibuild sbom`` is told besides: where the bill goes, in which format, and whose digests are taken."""

    out: Path | None = None
    form: str | None = None
    lock: Path | None = None


@click.command("sbom")
@images.one_image
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write; .cdx.json is CycloneDX 1.6, .spdx.json SPDX 2.3. [stdout]",
)
@click.option("--format", "form", type=click.Choice(["cyclonedx", "spdx"]), help="What to write to stdout. [cyclonedx]")
@click.option("--lock", type=options.FILE, metavar="FILE", help="Take the digests of the wheels from this lock.")
@options.talk
@takes(SbomRequest)
def command(request: SbomRequest) -> None:
    """Write the bill of materials of an image.

    Wheels, the shared libraries in them, and Debian packages. The same image gives the same bytes. An image does not
    keep the digests of its wheels: `ocibuild build --sbom` knows them, and the lock does.
    """
    from oci_builder.cli.terminal import say, tell_document
    from oci_builder.export.output import check_target, output
    from oci_builder.sbom import bill_of_materials, format_of
    from oci_builder.version import __version__

    out, form = None if request.out == Path("-") else request.out, request.form
    if out is not None and form is not None:
        raise click.UsageError("--out and --format exclude each other: the file's name says the format")
    chosen = format_of(out) if out is not None else "spdx" if form == "spdx" else "cyclonedx"
    if out is not None:
        check_target(out)
    found = images.read_inventory(request)
    wheels = _digests(found, request.lock) if request.lock is not None else {}
    data = bill_of_materials(found, chosen, tool_version=__version__, wheels=wheels)
    if out is None:
        tell_document(data)
        return
    with output(out, note=say) as sink:
        sink.write(data)


def _digests(found: Inventory, lock: Path) -> Mapping[tuple[str, str], str]:
    from oci_builder.cli.terminal import say
    from oci_builder.sbom.digests import locked_digests
    from oci_builder.verify.locked import environment_of

    contents = images.read_lock(lock, environment_of(found.contents))
    unnamed = sum(bool(entry.hashes and not entry.wheels) for entry in contents.entries)
    if unnamed:
        how = "ocibuild build NAME --sbom FILE knows them"
        say(f"{lock} does not say which digest is which file's: {counted(unnamed, 'package')} have none here; {how}")
    return locked_digests(contents, found.packages)
