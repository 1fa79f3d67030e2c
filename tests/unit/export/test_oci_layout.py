"""An OCI image layout in a folder: what is there stays, what is new is added, and others can read it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.errors import CorruptBlob, UnsupportedImage
from oci_builder.export.oci_layout import write_folder
from oci_builder.image import Image
from oci_builder.platforms import ARM64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.engines import call
from tests.support.images import random_image
from tests.support.real import need, oracles
from tests.support.registries import docker_registry

ONE, TWO = Reference.parse("team/x:1"), Reference.parse("team/x:2")


@pytest.fixture
def image(store: Store) -> Image:
    return random_image(store, layers=2)


def write(folder: Path, store: Store, *images: Image, name: Reference = ONE) -> int:
    return write_folder(images, folder, references=[name], blobs=store, reporter=Quiet())


def index(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "index.json").read_bytes())["manifests"]
    return found


def blobs(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "blobs" / "sha256").iterdir()}


def test_the_folder_is_a_layout_of_the_image(image: Image, store: Store, tmp_path: Path) -> None:
    written = write(tmp_path / "x", store, image)
    assert json.loads((tmp_path / "x" / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert [entry["digest"] for entry in index(tmp_path / "x")] == [str(image.digest)]
    assert index(tmp_path / "x")[0]["annotations"] == {
        "io.containerd.image.name": "docker.io/team/x:1",
        "org.opencontainers.image.ref.name": "1",
    }
    names = {image.digest.hex, image.id.hex, *(layer.descriptor.digest.hex for layer in image.layers)}
    assert set(blobs(tmp_path / "x")) == names
    assert written == sum(path.stat().st_size for path in (tmp_path / "x" / "blobs" / "sha256").iterdir())


def test_writing_again_writes_nothing(image: Image, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "x", store, image)
    before = blobs(tmp_path / "x"), (tmp_path / "x" / "index.json").stat().st_mtime_ns
    assert write(tmp_path / "x", store, image) == 0
    assert (blobs(tmp_path / "x"), (tmp_path / "x" / "index.json").stat().st_mtime_ns) == before


def test_another_image_joins_and_one_of_the_same_name_takes_its_place(
    image: Image, store: Store, tmp_path: Path
) -> None:
    newer = replace(image, created=image.created + 1)
    write(tmp_path / "x", store, image)
    write(tmp_path / "x", store, newer, name=TWO)
    assert [entry["digest"] for entry in index(tmp_path / "x")] == [str(image.digest), str(newer.digest)]
    write(tmp_path / "x", store, newer, name=ONE)
    assert [entry["digest"] for entry in index(tmp_path / "x")] == [str(newer.digest)] * 2


def test_a_blob_that_is_damaged_there_is_written_anew(image: Image, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "x", store, image)
    layer = image.layers[1].descriptor
    path = tmp_path / "x" / "blobs" / "sha256" / layer.digest.hex
    path.write_bytes(b"x" * layer.size)
    assert write(tmp_path / "x", store, image) == layer.size
    assert path.read_bytes() == store.path(layer.digest).read_bytes()


def test_several_platforms_are_an_index_in_it(image: Image, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "x", store, image, replace(image, platform=ARM64))
    (entry,) = index(tmp_path / "x")
    inner = json.loads((tmp_path / "x" / "blobs" / "sha256" / str(entry["digest"])[7:]).read_bytes())
    assert [each["platform"] for each in inner["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]


@pytest.mark.parametrize("file", ["notes.txt", "index.json", "oci-layout"])
def test_a_folder_of_something_else_is_left_alone(image: Image, store: Store, tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("{}")
    with pytest.raises(UnsupportedImage, match="not empty"):
        write(tmp_path, store, image)
    assert not (tmp_path / "blobs").exists()


def test_a_damaged_layer_leaves_the_index_as_it_was(image: Image, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "x", store, image)
    before = (tmp_path / "x" / "index.json").read_bytes()
    other = random_image(store, layers=2)
    store.path(other.layers[1].descriptor.digest).write_bytes(b"x")
    with pytest.raises(CorruptBlob):
        write(tmp_path / "x", store, other)
    assert (tmp_path / "x" / "index.json").read_bytes() == before


@pytest.mark.real
def test_skopeo_and_umoci_read_it(image: Image, store: Store, tmp_path: Path) -> None:
    need("skopeo", "umoci")
    write(tmp_path / "x", store, random_image(store), name=TWO)
    write(tmp_path / "x", store, image)
    call("skopeo", "--insecure-policy", "copy", f"oci:{tmp_path}/x:1", f"dir:{tmp_path}/copy")
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == image.manifest
    call("umoci", "unpack", "--image", f"{tmp_path}/x:1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "bin" / "hello").is_file()


@pytest.mark.real
def test_crane_pushes_it(image: Image, store: Store, tmp_path: Path) -> None:
    crane = oracles("crane") / "crane"
    write(tmp_path / "x", store, image)
    with docker_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/x:1"
        assert str(image.digest) in call(crane, "push", tmp_path / "x", name).stdout
        assert call(crane, "validate", "--remote", name).stdout.startswith("PASS")
