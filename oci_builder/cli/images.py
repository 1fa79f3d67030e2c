"""The images that commands look at: files and folders, named in the words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oci_builder.cli.options import together

if TYPE_CHECKING:
    from oci_builder.check.packages import Inventory

_DOCUMENTS = ("index.json", "manifest.json")

image = click.argument("image", metavar="IMAGE")

platform = click.option(
    "--platform", metavar="PLATFORM", help="Which one, where there are several: linux/amd64 or linux/arm64."
)

one_image = together(image, platform)


def find_image_file(text: str) -> Path:
    """The file or folder that ``text`` names; ``mypy`` also means ``mypy.tar``, as builds write it. Raises NotFound."""
    from oci_builder.errors import NotFound

    path = Path(text)
    if path.is_file() or (path.is_dir() and any((path / name).is_file() for name in _DOCUMENTS)):
        return path
    built = Path(f"{text}.tar")
    if built.is_file():
        return built
    hint = "name a docker archive or an OCI layout, packed or as a folder; `ocibuild NAME` builds NAME.tar"
    raise NotFound("image file", text, searched=[str(path), str(built)], hint=hint)


def read_inventory(text: str, platform_text: str | None) -> Inventory:
    """What is in the image that ``text`` names. Raises NotFound, InvalidValue, UnsupportedImage and more."""
    from oci_builder.check.packages import inventory
    from oci_builder.check.reading import read_image
    from oci_builder.platforms import Platform

    chosen = Platform.parse(platform_text) if platform_text else None
    return inventory(read_image(find_image_file(text), platform=chosen))
