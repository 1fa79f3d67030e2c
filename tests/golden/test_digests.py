"""Digests that users have written down: they move only on purpose (``make update-golden``).

Diff IDs and image IDs alone: the digest of a compressed blob may change with the compressor's version.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.image import Image
from oci_builder.layer import write_layer
from oci_builder.oci.documents import Healthcheck, RunConfig
from oci_builder.platforms import AMD64, ARM64
from oci_builder.store import Store
from oci_builder.tree.entry import directory, file, symlink
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree
from tests.support.images import base_tree, random_entries, random_image
from tests.support.readers import read_back

GOLDEN = Path(__file__).with_name("digests.json")

RUN = RunConfig(
    user="1000:1000",
    env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    entrypoint=("python3",),
    cmd=("-V",),
    workdir="/home/user",
    labels={"b": "2", "a": "1"},
    exposed_ports=("80/tcp",),
    volumes=("/data",),
    stop_signal="SIGTERM",
    healthcheck=Healthcheck(test=("CMD", "true"), interval=1_000_000_000, retries=2),
)


def diff_id(tree: Tree) -> Callable[[Store], str]:
    def made(store: Store) -> str:
        layer = write_layer(tree, store, created_by="golden", holds=())
        read_back(layer, store)
        return str(layer.diff_id)

    return made


CASES: dict[str, Callable[[Store], str]] = {
    "diff ID of no entries": diff_id(Tree()),
    "diff ID of one file": diff_id(Tree([file("f", b"content", origin="t")])),
    "diff ID of a small base": diff_id(base_tree("golden")),
    "diff ID of entries of every kind": diff_id(place(random_entries("golden"), base_tree("golden"))),
    "diff ID of long and foreign names": diff_id(
        Tree([file("x" * 120, b"", origin="t"), file("größe", b"", origin="t"), symlink("l", "y" * 120, origin="t")])
    ),
    "diff ID of large owners": diff_id(Tree([directory("d", uid=2**31, gid=2**31, origin="t")])),
    "image ID of nothing": lambda store: str(Image(platform=AMD64, run=RunConfig(), created=0).id),
    "image ID for arm64": lambda store: str(Image(platform=ARM64, run=RunConfig(), created=0).id),
    "image ID with all that can be run": lambda store: str(Image(platform=AMD64, run=RUN, created=1).id),
    "image ID of three layers": lambda store: str(random_image(store, layers=3, nonce="golden").id),
}


@pytest.mark.parametrize("name", CASES)
def test_the_digest_is_what_it_was(name: str, store: Store, request: pytest.FixtureRequest) -> None:
    known: dict[str, str] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    found = CASES[name](store)
    if request.config.getoption("--update-golden"):
        known = {case: digest for case, digest in known.items() if case in CASES} | {name: found}
        GOLDEN.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")
    assert found == known[name]
