"""The interpreters of this machine, asked for their version; the only Python that runs for a base made elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from oci_builder import inputs
from oci_builder.debian.interpreter import Interpreter

_ASKED = "import platform, sys; print(sys.implementation.name, platform.python_version())"
_PATIENCE = 20
"""Seconds an interpreter may take to say its version."""


def find_interpreter(version: str, environ: Mapping[str, str]) -> Interpreter | None:
    """A CPython of exactly ``version`` ("3.11.9"): this process's own, or one on the PATH of ``environ``."""
    minor = ".".join(version.split(".")[:2])
    folders = [Path(folder) for folder in (inputs.variable(environ, "PATH") or "").split(os.pathsep)]
    places = [str(folder / f"python{minor}") for folder in folders if folder.is_absolute()]
    for program in dict.fromkeys([sys.executable, *places]):
        inputs.note(program)
        if program and os.access(program, os.X_OK) and _identity(program) == f"cpython {version}":
            # Isolated and without site: neither this machine's settings nor its packages reach it.
            env = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
            return Interpreter(argv=(program, "-I", "-S"), env=env)
    return None


def _identity(program: str) -> str:
    command = [program, "-I", "-S", "-c", _ASKED]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
