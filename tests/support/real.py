"""Whether somebody else's program is here, and what to do when it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REQUIRED = "OCIBUILD_REQUIRE_REAL"
"""Set to 1 where the tests with other people's programs must run: what is missing fails then."""

ORACLES = "OCIBUILD_ORACLES"
"""Names a folder with the newest engines, built from source. No distribution has them, so nothing demands them."""


def need(*programs: str, root: bool = True) -> None:
    """Skip the test unless all ``programs`` are here (and this is root); fail it where they are demanded."""
    # Engines live in sbin, which is not on everybody's PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if root and os.geteuid() != 0:
        missing.append("root's rights")
    if missing:
        skip(f"needs {', '.join(missing)}")


def skip(why: str) -> None:
    """Skip the test, or fail it where OCIBUILD_REQUIRE_REAL demands that it runs."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{why}, and {REQUIRED} is set")
    pytest.skip(why)


def oracles(*programs: str) -> Path:
    """The folder of the newest engines; skips the test without it, or without one of ``programs`` in it."""
    folder = os.environ.get(ORACLES)
    if not folder:
        pytest.skip(f"{ORACLES} names no folder with the newest engines")
    missing = [program for program in programs if not (Path(folder) / program).is_file()]
    if missing or os.geteuid() != 0:
        pytest.skip(f"{folder} has no {', '.join(missing)}, or this is not root")
    return Path(folder)
