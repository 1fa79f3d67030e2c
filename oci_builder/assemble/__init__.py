"""From a recipe to an image: the conductor and what it puts on top.

Bills of materials, downloads and the gate of other people's images are in modules of their own, and loaded from there.
"""

from oci_builder.assemble.build import BuildTask, Built, build, build_all, build_and, check, write, write_image
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.executor import Executor, LocalExecutor
from oci_builder.assemble.plan import BuildPlan
from oci_builder.assemble.planner import Planner

__all__ = [
    "BuildContext",
    "BuildPlan",
    "BuildPolicy",
    "BuildTask",
    "Built",
    "Executor",
    "LocalExecutor",
    "Planner",
    "build",
    "build_all",
    "build_and",
    "check",
    "write",
    "write_image",
]
