"""Contexts as the command line makes them, of a cache folder of a test's own."""

from __future__ import annotations

from pathlib import Path

from oci_builder.assemble.context import BuildContext
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Logins
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Quiet
from oci_builder.store import Store


def context_of(cache: Path, *, project: Path, jobs: int = 2, now: int = 0) -> BuildContext:
    """A silent one, without logins and without an environment."""
    return BuildContext(
        store=Store(cache),
        reporter=Quiet(),
        registries=Registries(Access(logins=Logins({}))),
        project=project,
        jobs=jobs,
        now=now,
    )
