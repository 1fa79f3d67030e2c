"""Registries that are busy, slow, silent or gone: asked again as they wish, and given up in time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oci_builder.errors import RegistryError
from oci_builder.reference import Reference
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Logins
from oci_builder.registry.client import Client
from oci_builder.registry.pulling import resolve
from oci_builder.registry.registries import Registries
from tests.support.fakeregistry import (
    FakeRegistry,
    Handler,
    drip,
    refuse,
)
from tests.support.registries import OPENED, open_registries, quick
from tests.unit.registry.acting import DATA, blob_of, read


def fall_silent(request: Handler) -> None:
    """Wait for something that nobody sends."""
    request.rfile.read(1)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_registry_that_is_busy_is_asked_again(registry: FakeRegistry, registries: Registries, status: int) -> None:
    registry.does("GET .*/blobs/", refuse(status))
    registry.does("GET .*/blobs/", refuse(status))
    assert read(registry, registries, blob_of(registry)) == DATA


def test_the_wait_is_what_retry_after_says(registry: FakeRegistry) -> None:
    waits: list[float] = []
    retry_policy = quick()
    registries = open_registries(registry.host, retry_policy=type(retry_policy)(sleep=waits.append))
    registry.does("GET .*/blobs/", refuse(429, Retry_After="17"))
    until = {"Retry_After": "Wed, 21 Oct 2026 07:28:09 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    registry.does("GET .*/blobs/", lambda request: request.say(503, b"", **until))
    assert read(registry, registries, blob_of(registry)) == DATA
    assert waits[0] == 17
    assert len(waits) == 2


def test_a_wait_longer_than_there_is_time_is_an_error_at_once(registry: FakeRegistry, registries: Registries) -> None:
    registry.does("HEAD", refuse(429, Retry_After="86400"))
    with pytest.raises(RegistryError, match="429 ") as caught:
        resolve(registry.reference("team/x:1"), registries)
    assert "86400 s" in (caught.value.hint or "")
    assert len(registry.methods()) == 1


def test_a_registry_that_stays_busy_is_an_error(registry: FakeRegistry, registries: Registries) -> None:
    registry.does("HEAD", refuse(503), lasting=True)
    with pytest.raises(RegistryError, match="503") as caught:
        resolve(registry.reference("team/x:1"), registries)
    assert caught.value.status == 503 and "tried 6 times" in (caught.value.hint or "")


def test_an_answer_that_drips_is_given_up_in_time(registry: FakeRegistry) -> None:
    registries = open_registries(registry.host, retry_policy=quick(total=0.4, slowest=1e9))
    registry.does("HEAD", drip)
    with pytest.raises(RegistryError, match="no complete answer within 0 s"):
        resolve(registry.reference("team/x:1"), registries)


def test_a_silent_registry_is_an_error_in_time(registry: FakeRegistry) -> None:
    registries = open_registries(registry.host, retry_policy=quick(silence=0.1, attempts=2))
    registry.does("HEAD", fall_silent, lasting=True)
    with pytest.raises(RegistryError, match="no answer in time"):
        resolve(registry.reference("team/x:1"), registries)


def test_nobody_there_is_an_error_that_says_so() -> None:
    registries = open_registries("127.0.0.1:1", retry_policy=quick(attempts=2))
    with pytest.raises(RegistryError, match="connection refused"):
        resolve(Reference.parse("127.0.0.1:1/team/x:1"), registries)


def test_redirects_in_a_circle_end(registry: FakeRegistry, registries: Registries) -> None:
    registry.does("GET .*/blobs/", lambda request: request.say(307, Location=request.path), lasting=True)
    with pytest.raises(RegistryError, match="more than 5 redirects"):
        read(registry, registries, blob_of(registry))


def test_a_host_without_dot_and_port_is_a_registry_all_the_same() -> None:
    for registry, repository in (("localhost", "team/x"), ("localhost:5000", "a.b/c"), ("[::1]:5000", "x")):
        client = Client(registry, "http", Access(logins=Logins({})))
        OPENED.append(client)
        reference = Reference(registry, repository, "1")
        assert client.address(reference, "manifests/1") == f"http://{registry}/v2/{repository}/manifests/1"
        assert client.address(reference, "blobs/sha256:0") == f"http://{registry}/v2/{repository}/blobs/sha256:0"
        assert client.address(reference, "uploads") == f"http://{registry}/v2/{repository}/blobs/uploads/"
        assert client.address(reference, "tags/7") == f"http://{registry}/v2/{repository}/tags/list?n=7"


def test_speaking_to_a_registry_loads_no_more_of_oras_than_addresses() -> None:
    code = "import sys, oci_builder.registry.client; print(*sorted(name for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "jsonschema" not in done.stdout and "oras.provider" not in done.stdout
    assert "oras.container" in done.stdout.split()
