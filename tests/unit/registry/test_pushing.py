"""What registries are given: what they lack, whole and once, the name last."""

from __future__ import annotations

import threading

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, OcibuildError, RegistryError
from oci_builder.image import Image
from oci_builder.platforms import AMD64
from oci_builder.registry.pulling import fetch_image
from oci_builder.registry.registries import Registries
from oci_builder.store import Store
from tests.support.fakeregistry import (
    FakeRegistry,
    Handler,
    hang_up_reading,
    refuse,
)
from tests.support.images import random_image
from tests.support.registries import open_registries, push, quick
from tests.unit.registry.acting import pushed


def test_an_upload_that_breaks_is_sent_again(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    registry.does("PUT .*/uploads/", hang_up_reading(1000))
    registry.does("PUT .*/uploads/", refuse(503))
    registry.does("PUT .*/manifests/", refuse(500))
    assert pushed(image, registry, registries, store).blobs == {"sent": 3}
    assert fetch_image(registry.reference("team/x:1"), AMD64, registries).config == image.config


def test_a_push_that_failed_goes_on_with_what_is_missing(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    registry.does(r"PUT .*/manifests/1\Z", refuse(403))
    with pytest.raises(RegistryError, match="403"):
        pushed(image, registry, registries, store)
    assert registry.manifests == {}
    assert pushed(image, registry, registries, store).blobs == {"there": 3}


@pytest.mark.parametrize("how", ["asks", "refuses"])
def test_a_registry_that_wants_pieces_gets_pieces(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store, how: str
) -> None:
    registry.smallest_chunk, registry.whole = (1, True) if how == "asks" else (0, False)
    assert pushed(image, registry, registries, store).blobs == {"sent": 3}
    patches = [headers["Content-Range"] for method, _, headers in registry.asked if method == "PATCH"]
    assert sorted(patches)[0].startswith("0-")
    assert all(str(layer.descriptor.digest) in registry.blobs for layer in image.layers)


def test_a_registry_that_does_not_mount_is_sent_the_blob(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    registry.mounts = False
    sources = {layer.descriptor.digest: registry.reference("team/base:1") for layer in image.layers}
    registry.does("POST .*mount=", refuse(403))
    names = [registry.reference("team/x:1")]
    (done,) = push([image], names, registries, store, sources=sources)
    assert done.blobs == {"sent": 3}


def test_a_layer_damaged_in_the_store_is_not_pushed(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    layer = image.layers[1].descriptor
    store.path(layer.digest).write_bytes(b"x" * layer.size)
    with pytest.raises(OcibuildError, match=f"cached blob {layer.digest}"):
        pushed(image, registry, registries, store)
    assert registry.manifests == {} and str(layer.digest) not in registry.blobs


def test_a_registry_that_keeps_something_else_is_noticed(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    def keep(request: Handler) -> None:
        request.body()
        request.say(201, Docker_Content_Digest=str(Digest.of(b"other")))

    registry.does("PUT .*/uploads/", keep)
    with pytest.raises(DigestMismatch, match="blob pushed to"):
        pushed(image, registry, registries, store)


def test_the_second_name_in_a_registry_costs_no_bytes(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    names = [registry.reference(name) for name in ("team/x:1", "team/x:2", "team/y:1")]
    done = push([image], names, registries, store)
    assert [each.blobs for each in done] == [{"sent": 3}, {}, {"mounted": 3}]


def test_pieces_that_break_are_sent_again(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    registry.smallest_chunk = 1
    registry.does("PATCH", hang_up_reading(1000))
    registry.does("PATCH", refuse(503))
    assert pushed(image, registry, registries, store).blobs == {"sent": 3}
    assert fetch_image(registry.reference("team/x:1"), AMD64, registries).config == image.config


def test_a_registry_that_stops_listening_is_given_up_in_time(registry: FakeRegistry, store: Store) -> None:
    # More than what the sockets between hold.
    image = random_image(store, layers=2, size=20_000_000)
    registries = open_registries(registry.host, retry_policy=quick(total=0.5, slowest=1e9))
    over = threading.Event()

    def stop_reading(request: Handler) -> None:
        over.wait(60)

    registry.does("PUT .*/uploads/", stop_reading)
    try:
        with pytest.raises(RegistryError, match="no complete answer within"):
            pushed(image, registry, registries, store)
    finally:
        over.set()
    assert registry.manifests == {}
