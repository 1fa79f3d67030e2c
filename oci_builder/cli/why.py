"""``ocibuild why``: how a package came into an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import LookRequest, takes

if TYPE_CHECKING:
    from oci_builder.inspect.why import Reason

_LABEL = 100
"""Letters of a name."""

_CHAINS = 10
"""Ways to a package that are shown."""


class WhyRequest(LookRequest):
    """What ``ocibuild why`` is told besides: which package is meant."""

    package: str


@click.command("why")
@images.image
@click.argument("package")
@images.platform
@images.reaching
@options.as_json
@options.talk
@takes(WhyRequest)
def command(request: WhyRequest) -> None:
    """Say who requires PACKAGE in an image, which layer holds it, and its size.

    IMAGE is a file, a folder or an image of a registry; NAME also means NAME.tar. PACKAGE is a Python distribution or a
    Debian package.
    """
    from oci_builder.cli.terminal import tell_json
    from oci_builder.inspect.why import reason

    found = reason(images.read_inventory(request), request.package)
    if request.as_json:
        tell_json(found.to_json())
    else:
        _tell(found)


def _tell(found: Reason) -> None:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.terminal import printable, tell

    asked = ", asked for by name" if found.package.requested else ""
    tell(f"{printable(found.package.label, _LABEL)}: {human_bytes(found.size)}{asked}")
    for number, size in sorted(found.layers.items()):
        tell(f"  layer {number}: {human_bytes(size)}  {printable(found.created_by[number], 70)}")
    active = [each for each in found.required_by if each.active]
    tell()
    tell("required by" if active else "required by nothing in the image")
    for each in active:
        tell(f"  {printable(each.package.label, _LABEL)}  ({printable(each.need.text, _LABEL)})")
    if found.chains:
        tell()
        tell("comes with")
    for chain in found.chains[:_CHAINS]:
        tell(f"  {' → '.join(printable(package.name, _LABEL) for package in chain)}")
    if len(found.chains) > _CHAINS:
        tell(f"  and {len(found.chains) - _CHAINS} more")
