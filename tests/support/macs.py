"""Running the program as on a Mac: see mac/sitecustomize.py for what is taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.tiny import CHECKOUT

_SHIM = Path(__file__).with_name("mac")


def run_on_mac(*words: str, path: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """``ocibuild`` on the imitated Mac, where PATH is the folder ``path``."""
    search = os.pathsep.join([str(_SHIM), str(CHECKOUT)])
    environ = {"PATH": str(path), "PYTHONPATH": search, "HOME": str(home), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "oci_builder", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)
