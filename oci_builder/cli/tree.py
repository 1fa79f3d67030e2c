"""``ocibuild tree``: what is large in an image."""

from __future__ import annotations

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import LookRequest, takes


class TreeRequest(LookRequest):
    """What ``ocibuild tree`` is told besides: how deep to go, and from how many percent on."""

    depth: int
    at_least: float


@click.command("tree")
@images.one_image
@click.option("--depth", type=click.IntRange(1, 20), default=3, help="How many levels to show. [3]")
@click.option(
    "--at-least",
    type=click.FloatRange(0, 100),
    default=1.0,
    metavar="PERCENT",
    help="Leave out what is smaller than this part of the image. [1]",
)
@options.as_json
@options.talk
@takes(TreeRequest)
def command(request: TreeRequest) -> None:
    """Show what is large in an image: by layer, package and folder.

    Bytes are unpacked ones. Files that a later layer deletes or replaces are counted where they are: they are shipped.
    """
    from oci_builder.cli.terminal import printable, tell, tell_json
    from oci_builder.inspect.sizes import as_json as document
    from oci_builder.inspect.sizes import size_tree, walk

    found = images.read_inventory(request)
    root = size_tree(found)
    floor = int(root.size * request.at_least / 100)
    if request.as_json:
        tell_json(document(root, depth=request.depth, at_least=floor))
        return
    made = {f"layer {layer.number}": layer.created_by for layer in found.contents.layers}
    for level, node in walk(root, depth=request.depth, at_least=floor):
        note = made.get(node.name, "") if node.kind == "layer" else ""
        name = f"{node.name}  {note}" if note else f"{node.name}/" if node.kind == "folder" else node.name
        tell(_line(level, printable(name, 70), node.size, root.size, node.shadowed))


def _line(level: int, name: str, size: int, whole: int, shadowed: int) -> str:
    from oci_builder.cli.progress import human_bytes

    lost = f"  ({human_bytes(shadowed)} of it not seen)" if shadowed else ""
    return f"{human_bytes(size):>10} {100 * size / (whole or 1):>5.1f} %  {'  ' * level}{name}{lost}"
