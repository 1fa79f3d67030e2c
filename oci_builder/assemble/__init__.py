"""From a recipe to an image: the conductor and what it puts on top."""

from oci_builder.assemble.bill import write_bill
from oci_builder.assemble.build import Built, build, check, lock, made, write
from oci_builder.assemble.download import Downloaded, download, prune
from oci_builder.assemble.gating import judge_made
from oci_builder.assemble.options import Options
from oci_builder.assemble.pins import LockChange

__all__ = [
    "Built",
    "Downloaded",
    "LockChange",
    "Options",
    "build",
    "check",
    "download",
    "judge_made",
    "lock",
    "made",
    "prune",
    "write",
    "write_bill",
]
