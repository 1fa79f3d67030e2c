"""Finished layers shared through a registry, as the flags ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from oci_builder.cli.messages import misused

if TYPE_CHECKING:
    from oci_builder.cli.progress import Timed
    from oci_builder.cli.settings import Settings
    from oci_builder.image import Image
    from oci_builder.reference import Reference
    from oci_builder.registry.cache import RegistryCache
    from oci_builder.registry.registries import Registries
    from oci_builder.store import Store


def cache_repositories(names: Iterable[str]) -> tuple[Reference, ...]:
    """The repositories that ``--cache-from`` and ``--cache-to`` name. Raises InvalidValue, click.UsageError."""
    from oci_builder.reference import Reference

    found = tuple(Reference.parse(name) for name in names)
    for reference in found:
        if reference.digest is not None or reference.tag != "latest":
            raise misused(f"{reference}: a cache is a whole repository; leave out what is behind its name")
    return found


def open_cache(
    registries: Registries, settings: Settings, reporter: Timed, *, sources: Sequence[str], targets: Sequence[str]
) -> RegistryCache | None:
    """The cache that the flags name; None where they name none."""
    if not sources and not targets:
        return None
    from oci_builder.registry.cache import RegistryCache

    cache = RegistryCache(
        registries,
        sources=cache_repositories(sources),
        targets=cache_repositories(targets),
        jobs=settings.jobs,
        reporter=reporter,
    )
    if context := click.get_current_context(silent=True):
        context.call_on_close(cache.close)
    return cache


def fill(
    cache: RegistryCache, store: Store, reporter: Timed, *, images: Sequence[Image], pushes: Sequence[Reference]
) -> None:
    """Give the cache what this build used; what has just been pushed to its registry is mounted from there."""
    pushed = {layer.descriptor.digest: place for image in images for layer in image.layers for place in pushes[:1]}
    with reporter.stage("cache"):
        cache.offer(store, sources=pushed)
