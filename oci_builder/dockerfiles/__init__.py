"""Dockerfiles as recipes: what is translated, what is not needed here, and what has to be done otherwise."""

from oci_builder.dockerfiles.draft import Row, Verdict
from oci_builder.dockerfiles.translating import Translation, translate

__all__ = ["Row", "Translation", "Verdict", "translate"]
