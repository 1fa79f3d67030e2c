from __future__ import annotations

import json

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.image import MAX_LAYERS, Image
from oci_builder.oci.documents import Healthcheck, RunConfig
from oci_builder.platforms import AMD64, ARM64
from oci_builder.store import Store
from tests.support.images import random_image

EMPTY = Image(platform=AMD64, run=RunConfig(), created=0)


def test_the_configuration_describes_the_layers_in_order(store: Store) -> None:
    image = random_image(store, layers=3)
    config = json.loads(image.config)
    assert config["rootfs"] == {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in image.layers]}
    assert [step["created_by"] for step in config["history"]] == ["test layer 0", "test layer 1", "test layer 2"]
    assert config["created"] == "2023-11-14T22:13:20Z"


def test_the_manifest_names_the_configuration_and_the_layers(store: Store) -> None:
    image = random_image(store, layers=2)
    manifest = json.loads(image.manifest)
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": str(Digest.of(image.config)),
        "size": len(image.config),
    }
    assert [layer["digest"] for layer in manifest["layers"]] == [str(la.descriptor.digest) for la in image.layers]
    assert image.descriptor.digest == image.digest == Digest.of(image.manifest)


def test_an_empty_field_is_left_out_rather_than_null() -> None:
    assert json.loads(EMPTY.config)["config"] == {}
    assert b"null" not in EMPTY.config + EMPTY.manifest
    assert b"annotations" not in EMPTY.manifest


def test_only_arm64_says_its_variant() -> None:
    assert "variant" not in json.loads(EMPTY.config)
    assert json.loads(Image(platform=ARM64, run=RunConfig(), created=0).config)["variant"] == "v8"


def test_the_same_values_in_another_order_are_the_same_image() -> None:
    one = RunConfig(env={"A": "1", "B": "2"}, labels={"x": "1", "y": "2"})
    two = RunConfig(env={"B": "2", "A": "1"}, labels={"y": "2", "x": "1"})
    assert EMPTY.with_run(one).id == EMPTY.with_run(two).id != EMPTY.id


def test_what_is_run_reaches_the_configuration() -> None:
    run = RunConfig(
        user="1000:1000",
        env={"B": "2", "A": "1=1"},
        exposed_ports=("80/tcp",),
        volumes=("/data",),
        healthcheck=Healthcheck(test=("CMD", "x"), interval=5, retries=2),
    )
    assert json.loads(EMPTY.with_run(run).config)["config"] == {
        "User": "1000:1000",
        "Env": ["A=1=1", "B=2"],
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5, "Retries": 2},
    }


def test_an_image_never_changes(store: Store) -> None:
    image = random_image(store)
    before = image.id
    assert image.append(image.layers[0]).id != before
    assert image.with_run(RunConfig()).id != before
    assert image.id == before


def test_docker_mounts_125_layers_and_no_more(store: Store) -> None:
    (layer,) = random_image(store, layers=1).layers
    full = EMPTY.append(*[layer] * MAX_LAYERS)
    assert len(full.layers) == MAX_LAYERS == 125
    with pytest.raises(UnsupportedImage, match="126 layers"):
        full.append(layer)


def test_annotations_change_the_manifest_and_not_the_image_id() -> None:
    annotated = Image(platform=AMD64, run=RunConfig(), created=0, annotations={"b": "2", "a": "1"})
    assert json.loads(annotated.manifest)["annotations"] == {"a": "1", "b": "2"}
    assert (annotated.id == EMPTY.id, annotated.digest == EMPTY.digest) == (True, False)
