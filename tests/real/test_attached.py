"""Bills beside images in real registries, with the list of referrers and without, as other people's tools see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.assemble.sbom import attach_bills
from oci_builder.image import Image
from oci_builder.oci.documents import Descriptor
from oci_builder.registry.pulling import fetch_manifest
from oci_builder.registry.referrers import Attached, fallback_tag
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.engines import call
from tests.support.images import fresh_nonce, random_image
from tests.support.real import oracles
from tests.support.registries import KINDS, DockerRegistry, close_opened, one_of, push

pytestmark = pytest.mark.real

BILL = b'{"bomFormat":"CycloneDX"}\n'


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_opened()


@pytest.fixture(scope="module", params=KINDS)
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    folder = tmp_path_factory.mktemp("registry")
    with one_of(request.param, folder) as found:
        yield found


@pytest.fixture
def image(store: Store) -> Image:
    return random_image(store, layers=1)


def attached(registry: DockerRegistry, name: str, image: Image, store: Store, bill: bytes = BILL) -> Attached:
    """The image pushed, with a bill beside it."""
    registries, reference = registry.registries(), registry.reference(name)
    push([image], [reference], registries, store)
    (found,) = attach_bills([(image, bill)], "cyclonedx", [reference], registries, reporter=Quiet())
    return found


def test_oras_and_regctl_find_the_bill(registry: DockerRegistry, image: Image, store: Store, tmp_path: Path) -> None:
    name = f"team/{fresh_nonce()}:1"
    place = oracles("oras", "regctl")
    done = attached(registry, name, image, store)
    reference = f"{registry.host}/{name}"
    found = json.loads(call(place / "oras", "discover", "--plain-http", "--format", "json", reference).stdout)
    assert [each["digest"] for each in found["referrers"]] == [str(done.digest)]
    regctl: list[str | Path] = [place / "regctl", "--host", f"reg={registry.host},tls=disabled"]
    listed = json.loads(call(*regctl, "artifact", "list", "--format", "{{jsonPretty .}}", reference).stdout)
    assert [each["digest"] for each in listed["descriptors"]] == [str(done.digest)]
    call(place / "oras", "pull", "--plain-http", "--output", tmp_path, f"{registry.host}/{name[:-2]}@{done.digest}")
    assert (tmp_path / "sbom.cdx.json").read_bytes() == BILL


def test_the_same_again_writes_nothing(registry: DockerRegistry, image: Image, store: Store) -> None:
    name = f"team/{fresh_nonce()}:1"
    first = attached(registry, name, image, store)
    before = len(registry.requests)
    second = attached(registry, name, image, store)
    assert second == replace(first, sent=0, was_there=True)
    assert {line.partition(" ")[0] for line in registry.requests[before:]} <= {"HEAD", "GET"}


def test_what_oras_attached_stays_and_oras_adds_to_ours(
    registry: DockerRegistry, image: Image, store: Store, tmp_path: Path
) -> None:
    name = f"team/{fresh_nonce()}:1"
    oras = oracles("oras") / "oras"
    registries, reference = registry.registries(), registry.reference(name)
    push([image], [reference], registries, store)
    (tmp_path / "note").write_text("x")
    attach = ["attach", "--plain-http", "--disable-path-validation", "--artifact-type"]
    call(oras, *attach, "text/first", f"{registry.host}/{name}", tmp_path / "note")
    done = attached(registry, name, image, store)
    call(oras, *attach, "text/last", f"{registry.host}/{name}", tmp_path / "note")
    said = call(oras, "discover", "--plain-http", "--format", "json", f"{registry.host}/{name}").stdout
    found = [each["digest"] for each in json.loads(said)["referrers"]]
    assert len(found) == 3 and str(done.digest) in found


def test_the_list_under_a_tag_is_there_only_where_the_registry_has_none(
    registry: DockerRegistry, image: Image, store: Store
) -> None:
    name = f"team/{fresh_nonce()}:1"
    done = attached(registry, name, image, store)
    tag = registry.reference(f"{name[:-2]}:{fallback_tag(image.digest)}")
    if done.listed == "api":
        return
    document = json.loads(fetch_manifest(tag, registry.registries()).raw)
    named = Descriptor(media_type=image.descriptor.media_type, digest=image.digest, size=image.descriptor.size)
    (entry,) = document["manifests"]
    assert entry["digest"] == str(done.digest)
    raw = json.loads(fetch_manifest(replace(tag, tag="", digest=done.digest), registry.registries()).raw)
    assert raw["subject"] == named.to_json()
