"""What engines say of their images: docker's words and podman's, and what is no answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.export.engine_images import inspect_images, recent_images, store_kind
from oci_builder.export.loading import find_engine

ONE, TWO = "1" * 64, "2" * 64


def engine(folder: Path, script: str, name: str = "docker") -> dict[str, str]:
    """An environment whose engine is a script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def says(folder: Path, *images: object) -> str:
    (folder / "said.json").write_text(json.dumps(images))
    return f"/bin/cat {folder}/said.json; exit 1"  # as where one of the images is not there


@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_the_images_that_are_there_are_found_beside_one_that_is_not(tmp_path: Path, prefix: str) -> None:
    said = says(tmp_path, {"Id": prefix + ONE, "RootFS": {"Layers": [f"sha256:{TWO}"]}})
    environ = engine(tmp_path / "bin", said)
    (found,) = inspect_images(find_engine(environ), ["here:1", "gone:1"], environ)
    assert (found.id, found.diff_ids) == (Digest(ONE), (Digest(TWO),))
    assert inspect_images(find_engine(environ), [], environ) == ()


@pytest.mark.parametrize(
    "image",
    [
        {},
        [],
        None,
        {"Id": "short", "RootFS": {"Layers": []}},
        {"Id": ONE, "RootFS": {"Layers": ["sha256:no digest"]}},
        {"Id": 7, "RootFS": 7},
    ],
)
def test_what_is_no_image_is_none(tmp_path: Path, image: object) -> None:
    environ = engine(tmp_path / "bin", says(tmp_path, image))
    found = inspect_images(find_engine(environ), ["it:1"], environ)
    assert found == ()


@pytest.mark.parametrize("script", ["echo nonsense", "exit 3", "echo '{}'", "kill -9 $$", "echo [[[[[["])
def test_an_engine_that_says_nothing_of_use_has_nothing(tmp_path: Path, script: str) -> None:
    environ = engine(tmp_path / "bin", script)
    docker = find_engine(environ)
    assert inspect_images(docker, ["it:1"], environ) == recent_images(docker, environ) == ()
    assert store_kind(docker, environ) == "unknown"


def test_only_ids_are_handed_back_to_an_engine_as_words(tmp_path: Path) -> None:
    script = f'[ "$2" = ls ] && printf "%s\\n" --all sha256:{ONE} -x {TWO} sha256:{ONE} || echo "$@" > {tmp_path}/words'
    environ = engine(tmp_path / "bin", script)
    recent_images(find_engine(environ), environ)
    assert (tmp_path / "words").read_text() == f"image inspect sha256:{ONE} {TWO}\n"


def test_stores_are_told_apart_by_what_docker_says_of_its_driver(tmp_path: Path) -> None:
    graph = """echo '[["Backing Filesystem","extfs"]]'"""
    containerd = """echo '[["driver-type","io.containerd.snapshotter.v1"]]'"""
    for script, kind in ((graph, "graph"), (containerd, "containerd"), ("echo null", "unknown"), ("exit 1", "unknown")):
        environ = engine(tmp_path / "bin", script)
        assert store_kind(find_engine(environ), environ) == kind
    environ = engine(tmp_path / "other", "exit 1", name="podman")
    assert store_kind(find_engine(environ), environ) == "podman"
