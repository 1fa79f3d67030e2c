"""``ocibuild schema``: the JSON Schema of a recipe, for editors."""

from __future__ import annotations

import json
from typing import Any

import click

from oci_builder.cli.terminal import tell_document


@click.command("schema")
@click.argument("kind", type=click.Choice(["image", "layer"]), default="image")
def command(kind: str) -> None:
    """Print the JSON Schema of image.toml, or of layer.toml."""
    tell_document(schema_text(kind).encode())


def schema_text(kind: str) -> str:
    """The schema as a file holds it: the same text every time."""
    return json.dumps(_schema(kind), indent=2, ensure_ascii=False) + "\n"


def _schema(kind: str) -> dict[str, Any]:
    if kind == "image":
        from oci_builder.recipes import image_schema

        return image_schema()
    from oci_builder.debian.recipe import LayerRecipe
    from oci_builder.tomlschema import json_schema

    return json_schema(LayerRecipe, title="layer.toml")
