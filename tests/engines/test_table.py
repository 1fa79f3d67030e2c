"""Our reading against the table of engines: what docker loads is built upon, as the same tree; what it refuses, is not.

Debian's docker decides about layers, because an image built on one has to load there. An odd archive around sound
layers is read where any engine reads it: what is built is another archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from oci_builder.verify.verify import verify_file
from tests.engines.archives import corpus
from tests.engines.reading import ours
from tests.engines.table import read

ENGINES = ("docker", "newest docker", "podman")
"""Those that people run images with; containerd's answers are kept for who wants to know."""

TABLE = read()
CORPUS = dict(corpus())

_IMPLIED = "folder 0755 0:0"

NOT_AS_DOCKER = {
    "links: with a slash": "20.10 forgets the mode, as no engine does that came after it",
}
"""Trees that are read as another engine has them."""

STILL_FOUND = {
    "archive: configuration that was changed": "its name is a digest",
    "archive: configuration of another name": "its name should be a digest",
    "archive: manifest.json twice": "engines differ in which they take",
    "archive: layer twice in the archive": "engines differ in which they take",
    "archive: configuration without a type of rootfs": "the specification demands it",
}
"""What docker loads and verify finds: an image that loads may be another one elsewhere."""


def test_the_table_is_of_this_corpus() -> None:
    assert TABLE.keys() == CORPUS.keys()
    for name, row in TABLE.items():
        assert row.sha256 == hashlib.sha256(CORPUS[name]()).hexdigest(), f"{name}: `make engines` asks anew"
        assert set(ENGINES) <= row.answers.keys()


def same(one: Mapping[str, str], two: Mapping[str, str]) -> bool:
    """Whether two trees are, but for devices, marks of aufs, and folders that only one of them lists."""
    return _listed(one, two) == _listed(two, one)


def _listed(tree: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    return {
        path: line
        for path, line in tree.items()
        if line != "device" and not path.startswith(".wh..wh.") and (line != _IMPLIED or path in other)
    }


def loaded_by(name: str) -> dict[str, Mapping[str, str]]:
    """The trees of the engines that load an archive."""
    answers = TABLE[name].answers
    return {engine: tree for engine in ENGINES if (tree := answers[engine].tree) is not None}


@pytest.mark.parametrize("name", CORPUS)
def test_what_docker_loads_is_built_upon_and_verified_and_nothing_else(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "odd.tar"
    archive.write_bytes(CORPUS[name]())
    answer, trees = ours(archive), loaded_by(name)
    report = verify_file(archive)
    wanted = "docker" in trees
    if name.startswith("archive: ") and not wanted and trees:
        wanted = answer.tree is not None  # as one likes: engines differ
    if not wanted:
        assert answer.tree is None, "no engine loads it, or docker does not"
        assert answer.why and report.findings
        if not name.startswith("archive: "):
            assert "layer " in answer.why
        return
    assert answer.tree is not None, answer.why
    decisive = [trees["docker"]] if "docker" in trees and name not in NOT_AS_DOCKER else list(trees.values())
    assert any(same(answer.tree, tree) for tree in decisive)
    if len(trees) == len(ENGINES) or not name.startswith("archive: "):
        assert (not report.findings) != (name in STILL_FOUND), report.findings
