"""What became of an image in an engine of this machine, as lines for a person and as JSON for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oci_builder.cli.progress import human_bytes
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.assemble.loading import EngineLoad
    from oci_builder.image import Image

_LOADED = "Loaded image"
"""How lines of an engine begin that matter here; it also tells of blobs, and of the image that had the name."""


def told_of_loaded(loaded: EngineLoad, image: Image) -> list[str]:
    """What the engine said, what travelled, and what it calls the image where that is not what we call it."""
    lines = [said(loaded)]
    sizes = f"{human_bytes(loaded.travelled)} went there"
    if loaded.left_out:
        count = sum(layer.descriptor.digest in loaded.left_out for layer in image.layers)
        total = counted(len(image.layers), "layer")
        sizes += f" instead of {human_bytes(loaded.whole)}: {count} of {total} {'was' if count == 1 else 'were'} there"
    if loaded.id != image.id:
        sizes += f"; it goes by the manifest, and calls the image {loaded.id.hex[:12]}"
    return [*lines, sizes]


def said(loaded: EngineLoad) -> str:
    """The engine's words."""
    lines = [line.strip() for line in loaded.said.splitlines() if line.strip()]
    return f"{loaded.engine}: {'; '.join([line for line in lines if line.startswith(_LOADED)] or lines)}"


def as_document(loaded: EngineLoad) -> dict[str, Any]:
    """The same for a program; sizes are bytes, ``id`` is what the engine calls the image."""
    return {
        "engine": loaded.engine,
        "id": str(loaded.id),
        "travelled": loaded.travelled,
        "whole": loaded.whole,
        "left_out": sorted(map(str, loaded.left_out)),
    }
