"""Any base, opened: its layers, what lies in them, and what they promise."""

from __future__ import annotations

from pathlib import Path

from oci_builder.bases.base import Base
from oci_builder.bases.compiling import Compiling, compiling, lend_compiler, near_layer
from oci_builder.bases.copies import blobs_of, find_copy, find_named
from oci_builder.bases.glance import BaseGlance, glance_base
from oci_builder.bases.host import find_python
from oci_builder.bases.images import open_nothing, open_path, without_replaced
from oci_builder.bases.interpreter import keep_interpreter
from oci_builder.bases.layers import (
    Packages,
    base_files,
    base_target,
    fetch_base,
    library_supplier,
    open_layers,
    update_base,
    update_libraries,
)
from oci_builder.bases.layers import own_interpreter as interpreter
from oci_builder.bases.packages import (
    absent_locales,
    archives_of,
    check_localizable,
    check_packaged,
    extra_files,
    fetch_extras,
    glance_packages,
    release_of,
    with_packages,
)
from oci_builder.bases.pulled import LayoutDownload, Pulling, fetch_copy, open_reference
from oci_builder.debian.archives import Archives
from oci_builder.debian.recipe import Suite, is_layer
from oci_builder.debian.running import host_platform
from oci_builder.debian.supply import Supply
from oci_builder.debian.wanted import WantedPackages
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.store import Store

__all__ = [
    "Archives",
    "Base",
    "BaseGlance",
    "Compiling",
    "LayoutDownload",
    "Packages",
    "Pulling",
    "Suite",
    "Supply",
    "WantedPackages",
    "absent_locales",
    "archives_of",
    "base_files",
    "base_target",
    "blobs_of",
    "check_localizable",
    "check_packaged",
    "compiling",
    "extra_files",
    "fetch_base",
    "fetch_copy",
    "fetch_extras",
    "find_copy",
    "find_named",
    "find_python",
    "glance_base",
    "glance_packages",
    "host_platform",
    "interpreter",
    "keep_interpreter",
    "lend_compiler",
    "library_supplier",
    "near_layer",
    "open_base",
    "release_of",
    "update_base",
    "update_libraries",
    "with_packages",
    "without_replaced",
]


def open_base(
    place: Path | Reference | None,
    platform: Platform,
    *,
    store: Store,
    supply: Supply | None = None,
    pulling: Pulling | None = None,
    reporter: Reporter,
) -> Base:
    """The base at ``place``, on ``platform``; all its layers are in the store afterwards.

    A folder with a layer.toml is built if the store does not have it: a package that was superseded since its lock was
    made is replaced by its successor, and the reporter told, unless the ``supply`` of packages, which it needs, is
    locked. Any other path is an image's archive or OCI layout, a reference an image of a registry (then there is a
    ``pulling``), None is nothing. Raises what each of them raises.
    """
    if place is None:
        return open_nothing(platform)
    if isinstance(place, Reference):
        assert pulling is not None, "a registry is spoken to in some way"
        return open_reference(place, platform, pulling=pulling, store=store, reporter=reporter)
    if not is_layer(place):
        return open_path(place, platform, store=store, reporter=reporter)
    assert supply is not None, "packages come from somewhere"
    return open_layers(place, platform, store=store, supply=supply, reporter=reporter)
