"""Python wheels in, OCI images out: no Docker, no root, nothing executed that came from a package."""

from __future__ import annotations

__version__ = "0.1.0"
