"""From a recipe to an image: the conductor and what it puts on top."""

from oci_builder.assemble.build import Built, build, lock, write
from oci_builder.assemble.options import Options
from oci_builder.assemble.pins import LockChange

__all__ = ["Built", "LockChange", "Options", "build", "lock", "write"]
