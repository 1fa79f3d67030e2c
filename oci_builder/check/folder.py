"""Moved to ``foreign``."""

from oci_builder.foreign.folder import (
    Folder,
    open_folder,
)

__all__ = ["Folder", "open_folder"]
