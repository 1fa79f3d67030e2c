"""``ocibuild why``: how a package came into an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import images, options

if TYPE_CHECKING:
    from oci_builder.check.why import Reason

_CHAINS = 10
"""Ways to a package that are shown."""


@click.command("why")
@images.image
@click.argument("package")
@images.platform
@images.reaching
@options.as_json
@options.talk
def command(image: str, package: str, platform: str | None, as_json: bool, **flags: Any) -> None:
    """Say who requires PACKAGE in an image, which layer holds it, and its size.

    IMAGE is a file, a folder or an image of a registry; NAME also means NAME.tar. PACKAGE is a Python distribution or a
    Debian package.
    """
    from oci_builder.check.why import reason
    from oci_builder.cli.tables import tell_json

    found = reason(images.read_inventory(image, platform, **flags), package)
    if as_json:
        tell_json(found.to_json())
    else:
        _tell(found)


def _tell(found: Reason) -> None:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.tables import printable

    asked = ", asked for by name" if found.package.requested else ""
    click.echo(f"{printable(found.package.label)}: {human_bytes(found.size)}{asked}")
    for number, size in sorted(found.layers.items()):
        click.echo(f"  layer {number}: {human_bytes(size)}  {printable(found.created_by[number], 70)}")
    active = [each for each in found.required_by if each.active]
    click.echo("\nrequired by" if active else "\nrequired by nothing in the image")
    for each in active:
        click.echo(f"  {printable(each.package.label)}  ({printable(each.need.text)})")
    if found.chains:
        click.echo("\ncomes with")
    for chain in found.chains[:_CHAINS]:
        click.echo(f"  {' → '.join(printable(package.name) for package in chain)}")
    if len(found.chains) > _CHAINS:
        click.echo(f"  and {len(found.chains) - _CHAINS} more")
