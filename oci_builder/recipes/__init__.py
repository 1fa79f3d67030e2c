"""``image.toml``: what an image is made of, as values that hold. Below this room nothing of it is checked again."""

from oci_builder.recipes.files import CopyRecipe, FetchRecipe, FolderRecipe, LinkRecipe
from oci_builder.recipes.image import (
    VERBS,
    AllowRecipe,
    ChecksRecipe,
    ConfigRecipe,
    HealthcheckRecipe,
    ImageToml,
    LayeringRecipe,
    PythonRecipe,
    UserRecipe,
)
from oci_builder.recipes.source import (
    BASE,
    DEBS,
    FETCHED,
    FILE,
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
    "FETCHED",
    "FILE",
    "VERBS",
    "WHEELS",
    "AllowRecipe",
    "ChecksRecipe",
    "ConfigRecipe",
    "CopyRecipe",
    "FetchRecipe",
    "FolderRecipe",
    "HealthcheckRecipe",
    "ImageSource",
    "ImageToml",
    "LayeringRecipe",
    "LinkRecipe",
    "Overrides",
    "PythonRecipe",
    "UserRecipe",
    "image_schema",
    "load_image",
    "read_recipe",
    "with_overrides",
]
