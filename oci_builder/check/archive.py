"""Moved to ``foreign``."""

from oci_builder.foreign.archive import (
    Archive,
    open_archive,
)

__all__ = ["Archive", "open_archive"]
