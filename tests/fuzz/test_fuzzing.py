"""Inputs nobody thought of: guided by coverage where atheris is, and by hypothesis everywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.harness import signature
from tests.fuzz.known import KNOWN
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = os.environ.get("FUZZ_SECONDS", "60")
"""For all targets together."""

Told = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the guided run says of each target; the same code makes the same inputs."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has no wheel for this Python or machine")
    out = tmp_path_factory.mktemp("fuzz")
    command = [sys.executable, "-m", "tests.fuzz.guided", str(out), SECONDS]
    environ = {"FUZZ_SEED": "1", **os.environ}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line["target"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", TARGETS)
def test_guided_inputs_break_nothing(name: str, told: Told) -> None:
    found = told[name]
    assert not set(found["crashes"].values()) - set(KNOWN.get(name, {})), "`make fuzz` keeps the inputs"
    assert (found["status"], found["stopped"]) == (0, [])
    assert found["runs"] > 0 and found["edges"] > 0


@st.composite
def _inputs(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few pieces of it changed, or anything."""
    data = draw(st.one_of(st.binary(max_size=300), st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.one_of(st.binary(max_size=4), st.sampled_from(_PIECES)))
        data = data[:at] + piece + data[at + draw(st.integers(0, 8)) :]
    return data


_PIECES = [b"\0", b"\n", b"\xff\xff\xff\xff", "²".encode(), b"\xed\xa0\x80", b"9" * 30, b"-1", b"../", b'"', b"[", b"{"]


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_break_nothing(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(_inputs([path.read_bytes() for path in target.corpus]))
    def feed(data: bytes) -> None:
        try:
            target.feed(data)
        except Exception as error:
            if signature(error) not in KNOWN.get(name, {}):
                raise

    feed()
