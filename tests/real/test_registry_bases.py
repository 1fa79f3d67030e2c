"""Bases of a registry: their layers keep their bytes, and what is known of them is not asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.bases import Pulling, open_base
from oci_builder.bases.base import Base
from oci_builder.platforms import AMD64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.images import random_image
from tests.support.registries import DockerRegistry, docker_registry, push

pytestmark = pytest.mark.real


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path / "registry") as running:
        yield running


def opened(reference: Reference, registry: DockerRegistry, store: Store, *, lazily: bool = False) -> Base:
    pulling = Pulling(registries=registry.registries(), lazily=lazily)
    return open_base(reference, AMD64, store=store, pulling=pulling, reporter=Quiet())


def test_a_base_is_pulled_once_and_left_there_by_whoever_only_pushes(
    registry: DockerRegistry, tmp_path: Path, store: Store
) -> None:
    image, reference = random_image(store, layers=3), registry.reference("team/base:1")
    known = registry.registries()
    push([image], [reference], known, store)
    other = Store(tmp_path / "other")
    base = opened(reference, registry, other)
    assert [layer.descriptor for layer in base.layers] == [layer.descriptor for layer in image.layers]
    assert base.digest == image.digest
    assert base.reference == replace(reference, digest=image.digest)
    assert set(base.tree.paths) == {entry.path for layer in image.layers for entry in layer.entries}

    exact = replace(reference, digest=image.digest)
    opened(exact, registry, other)
    for layer in image.layers:
        other.drop(layer.descriptor.digest)
    asked = len(registry.requests)
    again = opened(exact, registry, other, lazily=True)
    assert [layer.descriptor for layer in again.layers] == [layer.descriptor for layer in image.layers]
    assert len(registry.requests) == asked
    assert not other.has(image.layers[0].descriptor.digest)

    # Who writes a file needs them after all.
    opened(exact, registry, other)
    assert all(other.has(layer.descriptor.digest, layer.descriptor.size) for layer in image.layers)
