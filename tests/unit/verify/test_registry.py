"""Images of registries: read through the cache, and checked byte by byte as they are served."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from oci_builder.errors import DigestMismatch, RegistryError, UnsupportedImage
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.reading import read_parts
from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.platforms import AMD64, ARM64, Platform
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.registry import open_served
from oci_builder.verify.results import Report
from oci_builder.verify.verify import verify_reference
from tests.support.archives import folder, make_tar, member
from tests.support.fakeregistry import FakeRegistry, fake_registry, give, refuse
from tests.support.imported import config_of
from tests.support.registries import close_opened, open_registries
from tests.support.served import serve, serve_index

ONE = make_tar(folder("a"), member("a/f", data=b"one"))
TWO = make_tar(member("g", data=b"two"))
ARM = config_of([TWO], architecture="arm64", variant="v8")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found
        close_opened()


def read(registry: FakeRegistry, name: str, store: Store, platform: Platform | None = None) -> ImageContents:
    registries = open_registries(registry.host)
    reference = registry.reference(name)
    with open_served(reference, platform, registries, store=store, jobs=1, reporter=Quiet()) as parts:
        return read_parts(parts)


def verified(registry: FakeRegistry, name: str, store: Store, platform: Platform | None = None) -> Report:
    return verify_reference(registry.reference(name), platform, open_registries(registry.host), store=store)


def layers_fetched(registry: FakeRegistry) -> int:
    return sum(line.startswith("GET ") and "/blobs/" in line for line in registry.methods())


def test_an_image_of_a_registry_is_read_like_a_file(registry: FakeRegistry, store: Store) -> None:
    descriptor = serve(registry, "team/x:1", [ONE, TWO], config_of([ONE, TWO]))
    contents = read(registry, "team/x:1", store)
    assert set(contents.tree) == {"a", "a/f", "g"}
    assert contents.references == (f"{registry.host}/team/x:1",) == (contents.name,)
    assert str(contents.manifest_digest) == descriptor["digest"]


def test_a_second_look_downloads_no_layer(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE, TWO], config_of([ONE, TWO]))
    first = read(registry, "team/x:1", store)
    before = layers_fetched(registry)
    assert read(registry, "team/x:1", store) == first
    # The configuration, and that is all.
    assert layers_fetched(registry) - before == 1


def test_an_index_gives_the_platform_asked_for(registry: FakeRegistry, store: Store) -> None:
    serve_index(registry, "team/x:1", [([ONE], config_of([ONE])), ([TWO], ARM)])
    assert set(read(registry, "team/x:1", store, AMD64).tree) == {"a", "a/f"}
    assert set(read(registry, "team/x:1", store, ARM64).tree) == {"g"}
    with pytest.raises(UnsupportedImage, match="holds images for linux/amd64, linux/arm64/v8") as caught:
        read(registry, "team/x:1", store)
    assert caught.value.hint == "choose one with --platform"


def test_an_index_of_one_image_needs_no_platform(registry: FakeRegistry, store: Store) -> None:
    serve_index(registry, "team/x:1", [([TWO], ARM)])
    assert read(registry, "team/x:1", store).platform == "linux/arm64/v8"


def test_a_layer_that_is_another_one_is_refused(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE], config_of([ONE]))
    for digest, blob in registry.blobs.items():
        if blob[:2] == b"\x1f\x8b":
            registry.blobs[digest] = blob[:-1] + bytes([blob[-1] ^ 1])
    with pytest.raises(DigestMismatch):
        read(registry, "team/x:1", store)


@pytest.mark.parametrize("docker", [False, True])
def test_what_is_served_right_holds(registry: FakeRegistry, store: Store, docker: bool) -> None:
    descriptor = serve(registry, "team/x:1", [ONE, TWO], config_of([ONE, TWO]), docker=docker)
    report = verified(registry, "team/x:1", store)
    assert (report.findings, report.remarks) == ((), ())
    assert str(report.manifest_digest) == descriptor["digest"]
    assert [layer.entries for layer in report.layers] == [2, 1]


def test_all_images_of_an_index_are_checked_or_the_one_asked_for(registry: FakeRegistry, store: Store) -> None:
    serve_index(registry, "team/x:1", [([ONE], config_of([ONE])), ([TWO], ARM)])
    assert [image.platform for image in verified(registry, "team/x:1", store).images] == [
        "linux/amd64",
        "linux/arm64/v8",
    ]
    assert [image.platform for image in verified(registry, "team/x:1", store, ARM64).images] == ["linux/arm64/v8"]


def test_what_the_cache_has_is_asked_for_all_the_same(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE], config_of([ONE]))
    read(registry, "team/x:1", store)
    for digest, blob in list(registry.blobs.items()):
        registry.blobs[digest] = blob[:-1] + bytes([blob[-1] ^ 1])
    assert len(verified(registry, "team/x:1", store).findings) == 2


def test_what_was_checked_needs_no_second_download(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE, TWO], config_of([ONE, TWO]))
    verified(registry, "team/x:1", store)
    before = layers_fetched(registry)
    read(registry, "team/x:1", store)
    assert layers_fetched(registry) - before == 1


def test_every_changed_and_every_missing_blob_is_named(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE, TWO], config_of([ONE, TWO]))
    for digest, blob in list(registry.blobs.items()):
        for changed in (blob[:-1] + bytes([blob[-1] ^ 1]), blob[:-1], blob + b"x"):
            registry.blobs[digest] = changed
            assert digest in "".join(verified(registry, "team/x:1", store).findings)
        del registry.blobs[digest]
        assert f"blob {digest}: the registry does not have it" in verified(registry, "team/x:1", store).findings
        registry.blobs[digest] = blob
    assert verified(registry, "team/x:1", store).findings == ()


def test_a_manifest_that_the_index_names_and_nobody_has_is_named(registry: FakeRegistry, store: Store) -> None:
    serve_index(registry, "team/x:1", [([ONE], config_of([ONE])), ([TWO], ARM)])
    del registry.manifests["team/x:hidden1"]
    digest = json.loads(registry.manifests["team/x:1"][0])["manifests"][1]["digest"]
    del registry.manifests[f"team/x:{digest}"]
    (line,) = verified(registry, "team/x:1", store).findings
    assert line.endswith(f"names an image that the registry does not have: linux/arm64/v8 ({digest})")


def test_a_manifest_served_as_something_else_is_named(registry: FakeRegistry, store: Store) -> None:
    serve_index(registry, "team/x:1", [([ONE], config_of([ONE]))])
    digest = json.loads(registry.manifests["team/x:1"][0])["manifests"][0]["digest"]
    raw, _ = registry.manifests[f"team/x:{digest}"]
    registry.manifests[f"team/x:{digest}"] = raw + b" ", MANIFEST
    assert verified(registry, "team/x:1", store).findings
    registry.manifests[f"team/x:{digest}"] = raw, "application/vnd.docker.distribution.manifest.v2+json"
    assert "was given as a" in "".join(verified(registry, "team/x:1", store).findings)


def test_a_configuration_that_does_not_fit_is_named(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE], config_of([TWO]))
    assert "its content has the diff ID" in "".join(verified(registry, "team/x:1", store).findings)


def test_a_registry_that_fails_is_an_error_and_no_verdict(registry: FakeRegistry, store: Store) -> None:
    serve(registry, "team/x:1", [ONE], config_of([ONE]))
    registry.does("GET .*/blobs/", refuse(403), lasting=True)
    with pytest.raises(RegistryError, match="403"):
        verified(registry, "team/x:1", store)


def test_a_name_that_leads_to_nothing_is_an_error(registry: FakeRegistry, store: Store) -> None:
    with pytest.raises(RegistryError, match="404"):
        verified(registry, "team/x:none", store)
    registry.does("GET .*/manifests/", give(b"{}", Content_Type="text/html"), lasting=True)
    assert verified(registry, "team/x:1", store).findings
