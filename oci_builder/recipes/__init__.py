"""``image.toml``: what an image is made of, as values that hold. Below this room nothing of it is checked again."""

from oci_builder.recipes.image import (
    VERBS,
    AllowRecipe,
    ChecksRecipe,
    ConfigRecipe,
    CopyRecipe,
    HealthcheckRecipe,
    ImageToml,
    LayeringRecipe,
    PythonRecipe,
    UserRecipe,
)
from oci_builder.recipes.source import (
    BASE,
    DEBS,
    WHEELS,
    ImageSource,
    Overrides,
    image_schema,
    load_image,
    read_recipe,
    with_overrides,
)

__all__ = [
    "BASE",
    "DEBS",
    "VERBS",
    "WHEELS",
    "AllowRecipe",
    "ChecksRecipe",
    "ConfigRecipe",
    "CopyRecipe",
    "HealthcheckRecipe",
    "ImageSource",
    "ImageToml",
    "LayeringRecipe",
    "Overrides",
    "PythonRecipe",
    "UserRecipe",
    "image_schema",
    "load_image",
    "read_recipe",
    "with_overrides",
]
