"""Python wheels in, OCI images out: no Docker, no root, nothing executed that came from a package.

What the command line does, these do for Python: ``load_image`` reads a recipe, ``build`` makes its image, ``write``
makes it and writes it to a file, ``verify_file`` checks any image file. They are loaded when
asked for.
"""

from __future__ import annotations

from oci_builder.version import __version__

# Not from typing, which takes longer to load than all that is here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_builder.assemble.build import Built, build, write
    from oci_builder.assemble.context import BuildContext, BuildPolicy
    from oci_builder.errors import OcibuildError
    from oci_builder.platforms import Platform
    from oci_builder.recipes import ImageSource, load_image
    from oci_builder.reference import Reference
    from oci_builder.reporter import Quiet, Reporter
    from oci_builder.store import Store
    from oci_builder.verify.verify import verify_file

__all__ = [
    "BuildContext",
    "BuildPolicy",
    "Built",
    "ImageSource",
    "OcibuildError",
    "Platform",
    "Quiet",
    "Reference",
    "Reporter",
    "Store",
    "__version__",
    "build",
    "load_image",
    "verify_file",
    "write",
]

_HOMES = {
    "oci_builder.assemble": ("BuildContext", "BuildPolicy", "Built", "build", "write"),
    "oci_builder.verify.verify": ("verify_file",),
    "oci_builder.errors": ("OcibuildError",),
    "oci_builder.reporter": ("Reporter", "Quiet"),
    "oci_builder.platforms": ("Platform",),
    "oci_builder.recipes": ("ImageSource", "load_image"),
    "oci_builder.reference": ("Reference",),
    "oci_builder.store": ("Store",),
}


def __getattr__(name: str) -> object:
    # PEP 562: importing the package stays free of all that its parts need.
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
