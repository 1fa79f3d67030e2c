"""What pushing an image file takes, counted by the kernel: the file is read once, and nothing of building is loaded."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import make_tar
from tests.support.imported import (
    config_of,
    docker_python,
    files,
    save_layout,
    save_like_new_docker,
    save_like_old_docker,
)
from tests.support.registries import close_opened, docker_registry
from tests.support.tiny import CHECKOUT

pytestmark = pytest.mark.real

BLOBS, BYTES = 12, 2_000_000
PROGRAM = """
import json, sys
from pathlib import Path

def read():
    return int(Path("/proc/self/io").read_text().split()[1])

from oci_builder.cli import main
import oci_builder.assemble.delivery, oci_builder.registry.client
before = read()
code = main(sys.argv[1:])
print(json.dumps({"code": code, "read": read() - before, "modules": sorted(sys.modules)}))
"""
"""``rchar`` of proc(5) counts the bytes that a process asked of files and sockets, cached or not."""


@pytest.mark.parametrize("save", [save_layout, save_like_old_docker, save_like_new_docker])
def test_pushing_reads_a_file_once_and_loads_nothing_that_builds(save: Callable[..., Path], tmp_path: Path) -> None:
    contents = [random.Random(number).randbytes(BYTES) for number in range(BLOBS)]
    layers = [make_tar(*docker_python()), *(make_tar(*files((f"opt/{len(each)}", each))) for each in contents)]
    file = save(tmp_path / "image", layers, config_of(layers))
    with docker_registry(tmp_path / "registry") as registry:
        argv = ["push", str(file), str(registry.reference("a:1")), "--cache-dir", str(tmp_path / "cache"), "--quiet"]
        sent, nothing = told(argv), told(argv)
        close_opened()
    assert sent["code"] == nothing["code"] == 0
    # A second push sends nothing, and reads what else there is: modules, documents, answers.
    assert BLOBS * BYTES < sent["read"] - nothing["read"] < 1.1 * BLOBS * BYTES
    rooms = {name.split(".")[1] for name in sent["modules"] if name.startswith("oci_builder.")}
    assert rooms.isdisjoint({"bases", "debian", "gate", "recipes", "wheels"})


def told(argv: Sequence[str]) -> dict[str, Any]:
    """What PROGRAM says of a command."""
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", PROGRAM, *argv]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
