"""Enumerations in a process of their own, as tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.support.real import skip

_PATIENCE = 3600
_CHECKOUT = Path(__file__).parents[2]


def assert_holds(scenario: str, *faults: str, points: int) -> None:
    """A scenario holds against the faults wherever they happen, and there are at least so many ``points``."""
    if why := why_not():
        skip(why)
    command = [sys.executable, "-m", "tests.crash", scenario, *faults]
    environ = {**os.environ, "PYTHONPATH": str(_CHECKOUT)}
    done = subprocess.run(
        command, cwd=_CHECKOUT, env=environ, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["findings"] == []
    assert done.returncode == 0
    assert found["points"] >= points
    # Runs differ a little: threads do not always come in the same order.
    whole = sum(1 for fault in faults if "/" not in fault)
    assert found["tried"] >= whole * (found["points"] - 5)


@cache
def why_not() -> str:
    """What is missing here to stop calls; empty where nothing is."""
    # In a process of its own: whoever watches adopts what is left of those he watches.
    program = "from tests.support.syscalls import why_not; print(why_not())"
    environ = {**os.environ, "PYTHONPATH": str(_CHECKOUT)}
    asked = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    return asked.stdout.strip()
