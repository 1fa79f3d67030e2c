"""The interpreters of this machine, asked for their version; the only Python that runs for a base made elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from oci_builder import inputs
from oci_builder.debian.interpreter import Interpreter
from oci_builder.debian.running import HostPython

_ASKED = "import platform, sys; print(sys.implementation.name, platform.python_version(), sys.executable)"
_ENVIRON = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
_PATIENCE = 20
"""Seconds an interpreter may take to say its version."""


def find_interpreter(version: str, environ: Mapping[str, str]) -> Interpreter | None:
    """A CPython of exactly ``version`` ("3.11.9"): this process's own, or one on the PATH of ``environ``."""
    found = find_python(version, environ)
    return found.interpreter if found is not None and found.version == version else None


def find_python(version: str, environ: Mapping[str, str]) -> HostPython | None:
    """The CPython of this machine that compiles most like ``version``: of several of its minor version the same one."""
    minor = ".".join(version.split(".")[:2])
    folders = [Path(folder) for folder in (inputs.variable(environ, "PATH") or "").split(os.pathsep)]
    places = [str(folder / f"python{minor}") for folder in folders if folder.is_absolute()]
    found: list[HostPython] = []
    for program in dict.fromkeys([sys.executable, *places]):
        inputs.note_file(program)
        python = _identity(program, environ) if program and os.access(program, os.X_OK) else None
        if python is not None and python.version == version:
            return python
        if python is not None and python.version.rpartition(".")[0] == minor:
            found.append(python)
    return found[0] if found else None


def _identity(program: str, environ: Mapping[str, str]) -> HostPython | None:
    # What is found on PATH may be a script that looks for the interpreter, and for that it wants its variables.
    command, env = [program, "-I", "-S", "-c", _ASKED], {**environ, **_ENVIRON}
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name, _, rest = done.stdout.strip().partition(" ")
    version, _, place = rest.partition(" ")
    if name != "cpython" or not place:
        return None
    # Isolated and without site: neither this machine's settings nor its packages reach it.
    return HostPython(version=version, interpreter=Interpreter(argv=(place, "-I", "-S"), env=_ENVIRON))
