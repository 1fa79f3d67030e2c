"""``ocibuild sbom``: what an image is made of, for programs that judge it."""

from __future__ import annotations

from pathlib import Path

import click

from oci_builder.cli import images, options


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
@options.talk
def command(image: str, platform: str | None, out: Path | None, form: str | None, **_: object) -> None:
    """Write the bill of materials of an image.

    Wheels, the shared libraries in them, and Debian packages. The same image gives the same bytes. `ocibuild build
    --sbom` knows the digest of each wheel as well.
    """
    from oci_builder import __version__
    from oci_builder.check.sbom import bill_of_materials, format_of
    from oci_builder.store import atomic

    if out is not None and form is not None:
        raise click.UsageError("--out and --format exclude each other: the file's name says the format")
    chosen = format_of(out) if out is not None else "spdx" if form == "spdx" else "cyclonedx"
    data = bill_of_materials(images.read_inventory(image, platform), chosen, tool_version=__version__)
    if out is None:
        click.echo(data.decode(), nl=False)
        return
    with atomic(out) as sink:
        sink.write(data)
