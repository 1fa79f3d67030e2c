"""Images in the registry of a test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from oci_builder.oci.mediatypes import DOCKER_MANIFEST, INDEX, MANIFEST
from tests.support.fakeregistry import FakeRegistry
from tests.support.imported import blobs_of


def serve(
    registry: FakeRegistry, name: str, layers: Sequence[bytes], config: Mapping[str, Any], *, docker: bool = False
) -> dict[str, Any]:
    """Have an image under ``team/x:1``; the descriptor of its manifest."""
    blobs, descriptor, manifest = blobs_of(layers, config, docker=docker)
    registry.blobs |= {digest: blob for digest, blob in blobs.items() if digest != descriptor["digest"]}
    media_type = DOCKER_MANIFEST if docker else MANIFEST
    registry.hold_manifest(name, manifest, media_type)
    registry.hold_manifest(f"{name.rpartition(':')[0]}:{descriptor['digest']}", manifest, media_type)
    return descriptor


def serve_index(registry: FakeRegistry, name: str, images: Sequence[tuple[Sequence[bytes], Mapping[str, Any]]]) -> None:
    """Have an index of images under ``team/x:1``, which are found by their digests alone."""
    repository = name.rpartition(":")[0]
    listed = []
    for number, (layers, config) in enumerate(images):
        descriptor = serve(registry, f"{repository}:hidden{number}", layers, config)
        platform = {key: config[key] for key in ("os", "architecture", "variant") if key in config}
        listed.append({**descriptor, "platform": platform})
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    registry.hold_manifest(name, json.dumps(document).encode(), INDEX)
