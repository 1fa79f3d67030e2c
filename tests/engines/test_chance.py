"""Layers by chance, loaded by a real docker and read by us: the same trees, the same refusals.

``make engines`` tries more of them: OCIBUILD_CHANCES says how many, from which number on OCIBUILD_CHANCE.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from oci_builder.verify.verify import verify_file
from tests.engines import chance
from tests.engines.archives import saved
from tests.engines.asking import ask_docker
from tests.engines.reading import ours
from tests.engines.test_table import same
from tests.support.engines import DockerLike

pytestmark = pytest.mark.real

FIRST = int(os.environ.get("OCIBUILD_CHANCE", "0"))
CHANCES = int(os.environ.get("OCIBUILD_CHANCES", "12"))


def test_layers_by_chance_are_read_as_docker_reads_them(docker: DockerLike, tmp_path: Path) -> None:
    archive = tmp_path / "odd.tar"
    wrong = []
    for seed in range(FIRST, FIRST + CHANCES):
        archive.write_bytes(saved(chance.layers(Random(seed))))
        theirs, answer, report = ask_docker(docker, archive), ours(archive), verify_file(archive)
        if theirs.tree is None or answer.tree is None:
            if (theirs.tree is None) != (answer.tree is None) or not report.findings:
                wrong.append((seed, theirs, answer, report.findings))
        elif not same(answer.tree, theirs.tree) or report.findings:
            wrong.append((seed, theirs, answer, report.findings))
    assert not wrong, f"numbers {[seed for seed, *_ in wrong]}: {wrong[0]}"
