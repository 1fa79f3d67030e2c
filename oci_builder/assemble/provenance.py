"""What an image says of where it comes from (OCI image-spec, annotations.md: pre-defined keys first)."""

from __future__ import annotations

from collections.abc import Mapping

from oci_builder import __version__
from oci_builder.bases import Base
from oci_builder.layer import FORMAT
from oci_builder.oci.documents import rfc3339
from oci_builder.recipes import ImageRecipe


def provenance(recipe: ImageRecipe, base: Base, *, epoch: int | None) -> Mapping[str, str]:
    """The manifest's annotations. Nothing in them depends on the machine or the moment of the build."""
    known = {
        "org.opencontainers.image.created": rfc3339(base.created if epoch is None else epoch),
        "org.opencontainers.image.base.name": recipe.base,
        "dev.ocibuild.base.lock": str(base.digest),
        "dev.ocibuild.version": __version__,
        "dev.ocibuild.layer-format": str(FORMAT),
    }
    if recipe.version:
        known["org.opencontainers.image.version"] = recipe.version
    # What the recipe says of itself as labels holds for the manifest too, where registries look for it.
    described = {key: text for key, text in recipe.config.labels.items() if key.startswith("org.opencontainers.image.")}
    return {**known, **described}
