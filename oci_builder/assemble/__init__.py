"""From a recipe to an image: the conductor and what it puts on top.

Bills of materials, downloads and the gate of other people's images are in modules of their own, and loaded from there.
"""

from oci_builder.assemble.build import Built, build, build_and, check, lock, write
from oci_builder.assemble.options import Options

__all__ = ["Built", "Options", "build", "build_and", "check", "lock", "write"]
