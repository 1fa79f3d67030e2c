"""Python wheels in, OCI images out: no Docker, no root, nothing executed that came from a package.

    from oci_builder import Builder, ImageRecipe, open_image

    Builder().plan("build/mypy").build().write("mypy.tar")
    open_image("mypy.tar").verify()

What the command line does, ``Builder`` does for Python; docs/how-to/from-python.md shows how. All is loaded when it is
asked for.
"""

from __future__ import annotations

from oci_builder.version import __version__

# Not from typing, which takes longer to load than all that is here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_builder.api.builder import Builder, PlannedImage, open_image
    from oci_builder.api.images import AnyImage, BuiltImage, OpenedImage
    from oci_builder.api.progress import ProgressBars
    from oci_builder.api.recipe import ImageRecipe
    from oci_builder.assemble.context import BuildContext, BuildPolicy
    from oci_builder.assemble.executor import Executor, LocalExecutor
    from oci_builder.assemble.plan import BuildPlan
    from oci_builder.digest import Digest
    from oci_builder.errors import OcibuildError
    from oci_builder.image import Image
    from oci_builder.layer import Layer
    from oci_builder.platforms import Platform
    from oci_builder.reference import Reference
    from oci_builder.reporter import Quiet, Reporter
    from oci_builder.wheels.steps import LayerStep

_HOMES = {
    "api.builder": ("Builder", "PlannedImage", "open_image"),
    "api.images": ("AnyImage", "BuiltImage", "OpenedImage"),
    "api.progress": ("ProgressBars",),
    "api.recipe": ("ImageRecipe",),
    "assemble.context": ("BuildContext", "BuildPolicy"),
    "assemble.executor": ("Executor", "LocalExecutor"),
    "assemble.plan": ("BuildPlan",),
    "digest": ("Digest",),
    "errors": ("OcibuildError",),
    "image": ("Image",),
    "layer": ("Layer",),
    "platforms": ("Platform",),
    "reference": ("Reference",),
    "reporter": ("Quiet", "Reporter"),
    "wheels.steps": ("LayerStep",),
}

__all__ = [
    "AnyImage",
    "BuildContext",
    "BuildPlan",
    "BuildPolicy",
    "Builder",
    "BuiltImage",
    "Digest",
    "Executor",
    "Image",
    "ImageRecipe",
    "Layer",
    "LayerStep",
    "LocalExecutor",
    "OcibuildError",
    "OpenedImage",
    "PlannedImage",
    "Platform",
    "ProgressBars",
    "Quiet",
    "Reference",
    "Reporter",
    "__version__",
    "open_image",
]


def __getattr__(name: str) -> object:
    # PEP 562: importing the package stays free of all that its parts need.
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"oci_builder.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # What completes in a notebook.
    return sorted(__all__)
