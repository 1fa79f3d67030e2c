"""What a file may do besides what its mode says, as the kernel keeps it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CAPABILITY = "security.capability"


def capability(path: Path) -> bytes:
    """The capabilities of a file, as the kernel keeps them; nothing where it has none."""
    found = b""
    if sys.platform == "linux" and _CAPABILITY in os.listxattr(path):
        found = os.getxattr(path, _CAPABILITY)
    return found
