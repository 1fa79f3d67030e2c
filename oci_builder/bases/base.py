"""A base as a value: its layers, what lies in them, and what they promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.digest import Digest
from oci_builder.errors import NoPython
from oci_builder.layer import Layer, LayerKey
from oci_builder.oci.inherited import Inherited
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import PythonEnvironment, Target


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base that is in the store. ``created`` is in seconds since 1970.

    ``folder`` is where its recipe is; an image made elsewhere has none, but what it said of itself in ``inherited``,
    and with a registry's ``reference`` the repository that has its layers, by digest. ``digest`` is that of the lock or
    of the image's manifest; nothing has none. ``python`` is what tells two interpreters apart that compile differently,
    ``key`` what the layer is kept under that holds the base's own.
    """

    name: str
    layers: tuple[Layer, ...]
    tree: Tree
    platform: Platform
    promise: PythonEnvironment | None
    python: str = ""
    key: LayerKey | None = None
    compiler: str = ""
    """Who made the bytecode of its standard library, where it was made here."""
    created: int = 0
    digest: Digest | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    inherited: Inherited | None = None
    reference: Reference | None = None
    skipped_scripts: tuple[str, ...] = ()
    """Debian packages over it that are there without what their maintainer scripts would do."""
    missing: str = ""
    """Why there is no promise."""

    @property
    def target(self) -> Target:
        """Its Python, for which wheels are chosen and installed. Raises NoPython."""
        if self.promise is None:
            hint = "take an image with Python in it, such as docker.io/library/python:3.11-slim, or a base of layers/"
            raise NoPython(self.name, self.missing, hint=hint)
        return Target(platform=self.platform, promise=self.promise)
