"""Moved to ``foreign``."""

from oci_builder.foreign.tarstream import (
    Damaged,
    Source,
    TarMember,
    TarStream,
)

__all__ = ["Damaged", "Source", "TarMember", "TarStream"]
