"""What registries give: right in the end, or an error; other bytes than were named are never kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, RegistryError, UnsupportedImage
from oci_builder.image import Image
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import INDEX, LAYER_GZIP, MANIFEST
from oci_builder.platforms import AMD64, ARM64
from oci_builder.registry.pulling import fetch_blobs, fetch_image, fetch_manifest, resolve
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.fakeregistry import (
    FakeRegistry,
    Handler,
    break_after,
    drip_body,
    drip_chunk,
    give,
    refuse,
)
from tests.support.registries import open_registries, quick
from tests.unit.registry.acting import DATA, blob_of, pushed, read


def test_a_download_that_breaks_goes_on_where_it_broke(registry: FakeRegistry, registries: Registries) -> None:
    blob = blob_of(registry)
    registry.does("GET .*/blobs/", break_after(DATA[:1000], promised=len(DATA)))
    assert read(registry, registries, blob) == DATA
    ranges = [headers.get("Range") for method, path, headers in registry.asked if "/blobs/" in path]
    assert ranges[0] is None and ranges[1] is not None and ranges[1].startswith("bytes=")


def test_a_registry_without_ranges_gives_it_all_again(registry: FakeRegistry, registries: Registries) -> None:
    blob = blob_of(registry)
    registry.does("GET .*/blobs/", break_after(DATA[:1000], promised=len(DATA)))
    registry.does("GET .*/blobs/", give(DATA))
    assert read(registry, registries, blob) == DATA


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""])
def test_other_bytes_than_the_digest_names_are_never_kept(
    registry: FakeRegistry, registries: Registries, store: Store, wrong: bytes
) -> None:
    blob = blob_of(registry)
    registry.does("GET .*/blobs/", give(wrong), lasting=True)
    with pytest.raises(DigestMismatch, match="blob sha256"):
        fetch_blobs(registry.reference("team/x:1"), [blob], registries, store=store, jobs=1, reporter=Quiet())
    assert not store.has(blob.digest)
    assert [path.name for path in store.path(blob.digest).parent.iterdir()] == []


def test_an_empty_blob_is_read(registry: FakeRegistry, registries: Registries) -> None:
    assert read(registry, registries, blob_of(registry, b"")) == b""


def test_blobs_that_are_here_are_not_fetched(registry: FakeRegistry, registries: Registries, store: Store) -> None:
    blob, other = blob_of(registry), blob_of(registry, b"other")
    store.put_bytes(DATA)
    reference = registry.reference("team/x:1")
    assert fetch_blobs(reference, [blob, other, other], registries, store=store, jobs=2, reporter=Quiet()) == 5
    assert registry.methods() == [f"GET /v2/team/x/blobs/{other.digest}"]


def test_a_failure_stops_the_other_downloads_and_is_the_one_that_is_raised(
    registry: FakeRegistry, registries: Registries, store: Store
) -> None:
    blobs = [blob_of(registry, f"blob {number}".encode()) for number in range(20)]
    registry.does(f"GET .*{blobs[3].digest}", refuse(403), lasting=True)
    with pytest.raises(RegistryError, match="403"):
        fetch_blobs(registry.reference("team/x:1"), blobs, registries, store=store, jobs=2, reporter=Quiet())


@pytest.mark.parametrize("slowly", [drip_body, drip_chunk])
def test_a_body_that_drips_is_given_up_in_time(registry: FakeRegistry, slowly: Callable[[Handler], None]) -> None:
    registries = open_registries(registry.host, retry_policy=quick(total=0.4, slowest=1e9))
    blob = Descriptor(media_type=LAYER_GZIP, digest=Digest.of(b""), size=100_000)
    registry.does("GET .*/blobs/", slowly)
    began = time.monotonic()
    with pytest.raises(RegistryError, match="not finished within 0 s"):
        read(registry, registries, blob)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("raw", "media_type", "why"),
    [
        (b"<html>", MANIFEST, "not valid JSON"),
        (b"{" + b" " * (5 << 20) + b"}", MANIFEST, "longer than"),
        (b'{"schemaVersion": 1}', MANIFEST, "schema 1"),
        (b'{"schemaVersion": 2, "mediaType": "%s"}' % INDEX.encode(), MANIFEST, "was given as"),
        (b'{"schemaVersion": 2, "config": {"digest": "md5:0", "size": 1, "mediaType": "x"}}', MANIFEST, "digest"),
        (b'{"schemaVersion": 2, "config": {"digest": "sha256:0", "size": -1, "mediaType": "x"}}', MANIFEST, "size"),
        (b'{"schemaVersion": 2, "manifests": {}}', INDEX, "no list"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    registry: FakeRegistry, registries: Registries, raw: bytes, media_type: str, why: str
) -> None:
    registry.hold_manifest("team/x:1", raw, media_type)
    with pytest.raises((UnsupportedImage, RegistryError), match=why):
        fetch_manifest(registry.reference("team/x:1"), registries)


def test_a_manifest_asked_for_by_digest_is_that_one(registry: FakeRegistry, registries: Registries) -> None:
    digest = Digest.of(b"something else")
    registry.hold_manifest(f"team/x:{digest}", b'{"schemaVersion": 2}')
    with pytest.raises(DigestMismatch):
        fetch_manifest(registry.reference(f"team/x@{digest}"), registries)
    with pytest.raises(DigestMismatch):
        resolve(registry.reference(f"team/x@{digest}"), registries)


def test_a_manifest_that_is_not_what_the_registry_says_it_is_is_refused(
    registry: FakeRegistry, registries: Registries
) -> None:
    registry.does("GET .*/manifests/", give(b"{}", Docker_Content_Digest=str(Digest.of(b"other"))))
    with pytest.raises(DigestMismatch):
        fetch_manifest(registry.reference("team/x:1"), registries)


def test_an_image_for_another_platform_is_not_taken(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    pushed(image, registry, registries, store)
    with pytest.raises(UnsupportedImage, match="for linux/amd64, not for linux/arm64"):
        fetch_image(registry.reference("team/x:1"), ARM64, registries)
    assert fetch_image(registry.reference("team/x:1"), None, registries).platform == AMD64


def test_a_download_that_breaks_again_and_again_goes_on_while_it_gets_further(
    registry: FakeRegistry, registries: Registries
) -> None:
    blob = blob_of(registry)

    def a_little(request: Handler) -> None:
        at = int((request.headers.get("Range") or "bytes=0-")[len("bytes=") : -1])
        break_after(DATA[at : at + 9000], promised=len(DATA) - at, status=206 if at else 200)(request)

    registry.does("GET .*/blobs/", a_little, lasting=True)
    # The last piece ends where the blob ends.
    assert read(registry, registries, blob) == DATA
    assert len(registry.methods()) > registries.access.retry_policy.attempts


def without_length(body: bytes) -> Callable[[Handler], None]:
    """Answer without saying how long the answer is: it ends with the connection."""

    def act(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body)

    return act


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""])
def test_bytes_whose_number_nobody_promised_are_verified_all_the_same(
    registry: FakeRegistry, registries: Registries, wrong: bytes
) -> None:
    blob = blob_of(registry)
    registry.does("GET .*/blobs/", without_length(DATA))
    assert read(registry, registries, blob) == DATA
    registry.does("GET .*/blobs/", without_length(wrong))
    with pytest.raises(DigestMismatch):
        read(registry, registries, blob)


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_manifest_that_lies_about_a_size_is_noticed(
    registry: FakeRegistry, registries: Registries, size: int
) -> None:
    registry.does("GET .*/blobs/", without_length(DATA))
    with pytest.raises(DigestMismatch, match="bytes"):
        read(registry, registries, replace(blob_of(registry), size=size))
