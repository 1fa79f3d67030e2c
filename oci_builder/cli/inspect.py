"""``ocibuild inspect``: what is in an image, ours or anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import LookRequest, takes

if TYPE_CHECKING:
    from oci_builder.inspect.contents import ImageContents
    from oci_builder.inspect.packages import Inventory


@click.command("inspect")
@images.one_image
@options.as_json
@options.talk
@takes(LookRequest)
def command(request: LookRequest) -> None:
    """Show configuration, layers and packages of an image.

    IMAGE is a docker archive or an OCI layout, packed or a folder, or an image of a registry, whoever made it. Nothing
    in it is run.
    """
    from oci_builder.cli.terminal import tell_json
    from oci_builder.inspect.inspect import describe

    found = images.read_inventory(request)
    if request.as_json:
        tell_json(describe(found))
    else:
        _tell(found)


def _tell(found: Inventory) -> None:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.tables import tell_facts, tell_table
    from oci_builder.cli.terminal import tell

    tell_facts(_facts(found.contents))
    tell()
    tell_table(
        ("layer", "stored", "unpacked", "files", "created by"),
        (
            (
                str(layer.number),
                human_bytes(layer.size),
                human_bytes(layer.unpacked),
                str(sum(record.kind != "directory" for record in layer.files)),
                layer.created_by,
            )
            for layer in found.contents.layers
        ),
        right=("layer", "stored", "unpacked", "files"),
    )
    for kind, heading in (("python", "distribution"), ("debian", "package")):
        tell()
        tell_table(
            (heading, "version", "size", "layer", "licence"),
            (
                (
                    package.name,
                    package.version,
                    human_bytes(found.size(package)),
                    ",".join(map(str, found.layers(package))),
                    package.licence.text,
                )
                for package in found.packages
                if package.kind == kind
            ),
            right=("size", "layer"),
        )


def _facts(contents: ImageContents) -> list[tuple[str, str]]:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.inspect.inspect import run_facts

    return [
        ("image", contents.name),
        ("names", ", ".join(contents.references)),
        ("id", str(contents.config_digest)),
        ("digest", str(contents.manifest_digest or "")),
        ("platform", contents.platform),
        ("created", contents.created),
        ("system", contents.os_release.get("PRETTY_NAME", "")),
        ("size", f"{human_bytes(contents.size)} stored, {human_bytes(contents.unpacked)} unpacked"),
        *((name.lower(), text) for name, text in run_facts(contents.run)),
    ]
