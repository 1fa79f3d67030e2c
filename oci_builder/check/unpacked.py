"""Moved to ``foreign``."""

from oci_builder.foreign.unpacked import (
    GZIP_MAGIC,
    Hashed,
    Inflated,
    Section,
)

__all__ = ["GZIP_MAGIC", "Hashed", "Inflated", "Section"]
