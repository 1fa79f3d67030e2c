"""This project as its users have it: a wheel, installed apart from the checkout, on every Python there is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.tiny import CHECKOUT

MINORS = range(11, 15)
_SAY = "import sys; print(*sys.version_info[:2], sep='.')"


def build_wheel(source: Path, folder: Path) -> Path:
    """The wheel of the project in ``source`` (a checkout, or an sdist), in the new folder ``folder``."""
    # Not isolated: the build backend comes from this environment, so no index is asked.
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def checkout_wheel(shared: Path) -> Path:
    """The checkout's wheel, built once for all who have ``shared``."""
    folder = shared / "checkout-wheel"
    with FileLock(f"{folder}.lock"):
        return next(folder.glob("*.whl"), None) or build_wheel(CHECKOUT, folder)


def pythons(*, user: int | None = None) -> dict[str, Path]:
    """The interpreters of this machine that can run us (as ``user``), one of each minor version: ``{"3.12": ...}``."""
    found: dict[str, Path] = {}
    for version in (f"3.{minor}" for minor in MINORS):
        name = f"python{version}"
        places = [shutil.which(name), f"/usr/bin/{name}", *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
        # What is on PATH may be somebody's wrapper that runs nothing.
        running = (Path(place) for place in places if place and _version(Path(place), user) == version)
        if (python := next(running, None)) is not None:
            found[version] = python
    return found


def _version(python: Path, user: int | None) -> str:
    try:
        said = subprocess.run([python, "-I", "-c", _SAY], capture_output=True, text=True, check=False, user=user)
    except OSError:
        return ""
    return said.stdout.strip()


def install(wheel: Path, python: Path, folder: Path, *, borrowing: bool = False) -> Path:
    """``wheel`` in a new environment of ``python`` in ``folder``; the environment's Python.

    What it needs comes from pip's index, or, ``borrowing``, stays where it is in the environment that runs this.
    """
    ours = folder / "bin" / "python"
    with FileLock(f"{folder}.lock"):
        if not ours.exists():
            subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
            pip("--python", str(ours), "install", "--no-compile", *(["--no-deps"] if borrowing else []), str(wheel))
        if borrowing:
            # Behind its own, as a .pth file is: whatever is in both is its own. Of an editable install only the
            # dependencies are of use.
            (site,) = folder.glob("lib/python*/site-packages")
            (site / "borrowed.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    return ours


def pip(*words: str) -> None:
    """Run this environment's pip; fails the test with what it said."""
    done = subprocess.run([sys.executable, "-m", "pip", "-q", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
