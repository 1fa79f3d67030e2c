"""Artifacts beside images: listed by the registry, or under a tag where it lists nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import RegistryError, UnsupportedImage
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import INDEX, MANIFEST
from oci_builder.registry.referrers import Artifact, Attached, attach, fallback_tag
from oci_builder.reporter import Quiet
from tests.support.fakeregistry import FakeRegistry, Handler, fake_registry, refuse
from tests.support.registries import open_registries

IMAGE = b'{"an":"image"}'
SUBJECT = Descriptor(media_type=MANIFEST, digest=Digest.of(IMAGE), size=len(IMAGE))
BILL = Artifact(media_type="application/spdx+json", data=b'{"spdxVersion":"SPDX-2.3"}', title="sbom.spdx.json")
TAG = f"team/x:{fallback_tag(SUBJECT.digest)}"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        found.hold_manifest("team/x:1", IMAGE)
        yield found


def attached(registry: FakeRegistry, artifact: Artifact = BILL) -> Attached:
    registries = open_registries(registry.host)
    return attach(artifact, SUBJECT, registry.reference("team/x:1"), registries, reporter=Quiet())


def listed(registry: FakeRegistry) -> list[dict[str, Any]]:
    return list(json.loads(registry.manifests[TAG][0])["manifests"])


def with_api(registry: FakeRegistry, *, says_so: bool = True) -> None:
    """Let it list whatever names a subject, as the specification asks for."""

    def answer(request: Handler) -> None:
        subject = request.path.rpartition("/")[2]
        found = []
        for raw, media_type in dict.fromkeys(registry.manifests.values()):
            if json.loads(raw).get("subject", {}).get("digest") == subject:
                found.append({"mediaType": media_type, "digest": str(Digest.of(raw)), "size": len(raw)})
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode()
        request.say(200, body, Content_Type=INDEX)

    def accept(request: Handler) -> None:
        raw = request.body()
        digest = str(Digest.of(raw))
        registry.manifests[f"team/x:{digest}"] = raw, request.headers["Content-Type"]
        request.say(201, OCI_Subject=json.loads(raw)["subject"]["digest"], Docker_Content_Digest=digest)

    registry.does("GET .*/referrers/", answer, lasting=True)
    if says_so:
        registry.does("PUT .*/manifests/", accept, lasting=True)


def test_an_artifact_names_its_subject_and_what_it_is(registry: FakeRegistry) -> None:
    done = attached(registry)
    raw, media_type = registry.manifests[f"team/x:{done.digest}"]
    document = json.loads(raw)
    assert media_type == MANIFEST == document["mediaType"]
    assert document["subject"] == {"mediaType": MANIFEST, "digest": str(SUBJECT.digest), "size": len(IMAGE)}
    assert document["artifactType"] == "application/spdx+json" == document["layers"][0]["mediaType"]
    assert document["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert registry.blobs[document["config"]["digest"]] == b"{}"
    assert registry.blobs[document["layers"][0]["digest"]] == BILL.data
    assert done.sent == len(BILL.data) + 2


def test_a_registry_without_the_api_gets_the_tag(registry: FakeRegistry) -> None:
    done = attached(registry)
    assert (done.listed, done.was_there) == ("tag", False)
    assert registry.manifests[TAG][1] == INDEX
    raw = registry.manifests[f"team/x:{done.digest}"][0]
    entry = {
        "artifactType": "application/spdx+json",
        "digest": str(done.digest),
        "mediaType": MANIFEST,
        "size": len(raw),
    }
    assert listed(registry) == [entry]


@pytest.mark.parametrize("says_so", [True, False])
def test_a_registry_with_the_api_gets_no_tag(registry: FakeRegistry, says_so: bool) -> None:
    with_api(registry, says_so=says_so)
    assert attached(registry).listed == "api"
    assert TAG not in registry.manifests


@pytest.mark.parametrize("api", [True, False])
def test_the_same_again_sends_nothing(registry: FakeRegistry, api: bool) -> None:
    if api:
        with_api(registry)
    first = attached(registry)
    before = len(registry.methods())
    second = attached(registry)
    assert (second.was_there, second.sent, second.digest) == (True, 0, first.digest)
    assert {line.partition(" ")[0] for line in registry.methods()[before:]} <= {"HEAD", "GET"}


def test_what_others_have_attached_stays_as_it_is(registry: FakeRegistry) -> None:
    theirs = {"mediaType": MANIFEST, "digest": "sha256:" + "1" * 64, "size": 7, "annotations": {"a": "b"}, "odd": [1]}
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [theirs], "annotations": {"kept": "too"}}
    registry.hold_manifest(TAG, json.dumps(document).encode(), INDEX)
    done = attached(registry)
    assert [entry["digest"] for entry in listed(registry)] == ["sha256:" + "1" * 64, str(done.digest)]
    assert listed(registry)[0] == theirs
    assert json.loads(registry.manifests[TAG][0])["annotations"] == {"kept": "too"}


def test_two_bills_of_one_image_are_both_listed(registry: FakeRegistry) -> None:
    one = attached(registry)
    two = attached(registry, replace(BILL, media_type="application/vnd.cyclonedx+json"))
    assert [entry["digest"] for entry in listed(registry)] == [str(one.digest), str(two.digest)]


def test_a_push_that_broke_before_the_list_is_mended_by_the_next(registry: FakeRegistry) -> None:
    attached(registry)
    del registry.manifests[TAG]
    again = attached(registry)
    assert (again.sent, again.was_there) == (0, False)
    assert [entry["digest"] for entry in listed(registry)] == [str(again.digest)]


def test_a_list_that_somebody_else_writes_at_the_same_time_has_both(registry: FakeRegistry) -> None:
    theirs = {"mediaType": MANIFEST, "digest": "sha256:" + "2" * 64, "size": 7}

    def overtaken(request: Handler) -> None:
        body = request.body()
        other = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [theirs]}).encode()
        registry.hold_manifest(TAG, other, INDEX)
        request.say(201, Docker_Content_Digest=str(Digest.of(body)))

    registry.does(f"PUT .*/manifests/{fallback_tag(SUBJECT.digest)}", overtaken)
    done = attached(registry)
    assert [entry["digest"] for entry in listed(registry)] == ["sha256:" + "2" * 64, str(done.digest)]


def test_a_list_that_is_overwritten_every_time_is_given_up(registry: FakeRegistry) -> None:
    def lost(request: Handler) -> None:
        request.say(201, Docker_Content_Digest=str(Digest.of(request.body())))

    registry.does(f"PUT .*/manifests/{fallback_tag(SUBJECT.digest)}", lost, lasting=True)
    with pytest.raises(RegistryError, match="was changed by others"):
        attached(registry)


def test_a_tag_that_is_something_else_is_left_alone(registry: FakeRegistry) -> None:
    registry.hold_manifest(TAG, b'{"schemaVersion":2,"config":{},"layers":[]}', MANIFEST)
    with pytest.raises(UnsupportedImage):
        attached(registry)


@pytest.mark.parametrize("status", [400, 405])
def test_other_ways_to_have_no_api_are_understood(registry: FakeRegistry, status: int) -> None:
    registry.does("GET .*/referrers/", refuse(status), lasting=True)
    assert attached(registry).listed == "tag"


def test_a_registry_that_refuses_is_an_error(registry: FakeRegistry) -> None:
    registry.does("GET .*/referrers/", refuse(403), lasting=True)
    with pytest.raises(RegistryError, match="403"):
        attached(registry)
