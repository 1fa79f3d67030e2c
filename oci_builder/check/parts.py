"""Moved to ``foreign``."""

from oci_builder.foreign.parts import (
    Files,
    ImageParts,
    LayerBlob,
    find_parts,
    open_parts,
)

__all__ = ["Files", "ImageParts", "LayerBlob", "find_parts", "open_parts"]
