"""What a registry can do wrong, and what becomes of it: right in the end, or an error in time that tells no secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, OcibuildError, RegistryError, UnsupportedImage
from oci_builder.image import Image
from oci_builder.listener import Silent
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import INDEX, LAYER_GZIP, MANIFEST
from oci_builder.platforms import AMD64, ARM64
from oci_builder.reference import Reference
from oci_builder.registry.access import Registries
from oci_builder.registry.auth import Login
from oci_builder.registry.pulling import blob_chunks, fetch_blobs, fetch_image, fetch_manifest, resolve
from oci_builder.registry.pushing import Pushed, push
from oci_builder.store import Store
from tests.support.fakeregistry import (
    FakeRegistry,
    Handler,
    break_after,
    drip,
    drip_body,
    error,
    fake_registry,
    give,
    hang_up_reading,
    refuse,
)
from tests.support.images import random_image
from tests.support.registries import PASSWORD, USER, open_registries, quick

SECRET = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
DATA = bytes(range(256)) * 400


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


@pytest.fixture
def registries(registry: FakeRegistry) -> Registries:
    return open_registries(registry.host)


@pytest.fixture
def image(store: Store) -> Image:
    return random_image(store, layers=2, size=30_000)


def blob_of(registry: FakeRegistry, data: bytes = DATA) -> Descriptor:
    """``data``, in the registry."""
    return Descriptor(media_type=LAYER_GZIP, digest=Digest.parse(registry.hold(data)), size=len(data))


def read(registry: FakeRegistry, registries: Registries, blob: Descriptor) -> bytes:
    return b"".join(blob_chunks(registry.reference("team/x:1"), blob, registries))


def pushed(image: Image, registry: FakeRegistry, registries: Registries, store: Store) -> Pushed:
    names = [registry.reference("team/x:1")]
    return push([image], names, registries, blobs=store, store=store, sources={}, jobs=2, listener=Silent())[0]


def ask_for_basic(request: Handler) -> None:
    """Want a password; with the right one, do what was asked."""
    if request.headers.get("Authorization") == SECRET:
        request.registry.serve(request)
        return
    request.body()
    request.say(401, error("UNAUTHORIZED", "who are you?"), WWW_Authenticate='Basic realm="x"')


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
    patience = quick()
    registries = open_registries(registry.host, patience=type(patience)(sleep=waits.append))
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
        fetch_blobs(registry.reference("team/x:1"), [blob], registries, store=store, jobs=1, listener=Silent())
    assert not store.has(blob.digest)
    assert [path.name for path in store.path(blob.digest).parent.iterdir()] == []


def test_an_empty_blob_is_read(registry: FakeRegistry, registries: Registries) -> None:
    assert read(registry, registries, blob_of(registry, b"")) == b""


def test_blobs_that_are_here_are_not_fetched(registry: FakeRegistry, registries: Registries, store: Store) -> None:
    blob, other = blob_of(registry), blob_of(registry, b"other")
    store.put_bytes(DATA)
    reference = registry.reference("team/x:1")
    assert fetch_blobs(reference, [blob, other, other], registries, store=store, jobs=2, listener=Silent()) == 5
    assert registry.methods() == [f"GET /v2/team/x/blobs/{other.digest}"]


def test_a_failure_stops_the_other_downloads_and_is_the_one_that_is_raised(
    registry: FakeRegistry, registries: Registries, store: Store
) -> None:
    blobs = [blob_of(registry, f"blob {number}".encode()) for number in range(20)]
    registry.does(f"GET .*{blobs[3].digest}", refuse(403), lasting=True)
    with pytest.raises(RegistryError, match="403"):
        fetch_blobs(registry.reference("team/x:1"), blobs, registries, store=store, jobs=2, listener=Silent())


def test_an_answer_that_drips_is_given_up_in_time(registry: FakeRegistry) -> None:
    registries = open_registries(registry.host, patience=quick(total=0.4, slowest=1e9))
    registry.does("HEAD", drip)
    with pytest.raises(RegistryError, match="no complete answer within 0 s"):
        resolve(registry.reference("team/x:1"), registries)


def test_a_body_that_drips_is_given_up_in_time(registry: FakeRegistry) -> None:
    registries = open_registries(registry.host, patience=quick(total=0.4, slowest=1e9))
    blob = Descriptor(media_type=LAYER_GZIP, digest=Digest.of(b""), size=100_000)
    registry.does("GET .*/blobs/", drip_body)
    with pytest.raises(RegistryError, match="not finished within 0 s"):
        read(registry, registries, blob)


def test_a_silent_registry_is_an_error_in_time(registry: FakeRegistry) -> None:
    registries = open_registries(registry.host, patience=quick(silence=0.1, attempts=2))
    registry.does("HEAD", fall_silent, lasting=True)
    with pytest.raises(RegistryError, match="no answer in time"):
        resolve(registry.reference("team/x:1"), registries)


def test_nobody_there_is_an_error_that_says_so() -> None:
    registries = open_registries("127.0.0.1:1", patience=quick(attempts=2))
    with pytest.raises(RegistryError, match="connection refused"):
        resolve(Reference.parse("127.0.0.1:1/team/x:1"), registries)


def test_a_redirect_to_another_host_is_followed_without_the_password(registry: FakeRegistry) -> None:
    blob = blob_of(registry)
    with fake_registry() as elsewhere:
        elsewhere.does("GET /storage", give(DATA))
        registry.does("GET .*/blobs/", ask_for_basic)
        url = f"http://{elsewhere.host}/storage?signature=1"
        registry.does("GET .*/blobs/", lambda request: request.say(307, Location=url))
        registries = open_registries(registry.host, login=Login(USER, PASSWORD))
        assert read(registry, registries, blob) == DATA
        assert [headers.get("Authorization") for _, path, headers in elsewhere.asked] == [None]


def test_a_place_a_redirect_leads_to_cannot_ask_for_the_password(registry: FakeRegistry) -> None:
    with fake_registry() as elsewhere:
        elsewhere.does("GET /storage", ask_for_basic, lasting=True)
        url = f"http://{elsewhere.host}/storage"
        registry.does("GET .*/blobs/", lambda request: request.say(307, Location=url), lasting=True)
        registries = open_registries(registry.host, login=Login(USER, PASSWORD))
        with pytest.raises(RegistryError, match="401"):
            read(registry, registries, blob_of(registry))
        assert [headers.get("Authorization") for _, _, headers in elsewhere.asked] == [None]


def test_redirects_in_a_circle_end(registry: FakeRegistry, registries: Registries) -> None:
    registry.does("GET .*/blobs/", lambda request: request.say(307, Location=request.path), lasting=True)
    with pytest.raises(RegistryError, match="more than 5 redirects"):
        read(registry, registries, blob_of(registry))


def test_the_password_is_sent_only_when_it_is_asked_for(registry: FakeRegistry) -> None:
    registries = open_registries(registry.host, login=Login(USER, PASSWORD))
    resolve(registry.reference("team/x:1"), registries)
    assert not any("Authorization" in headers for _, _, headers in registry.asked)
    registry.does("HEAD", ask_for_basic, lasting=True)
    assert resolve(registry.reference("team/x:1"), registries) is None
    assert [headers.get("Authorization") for _, _, headers in registry.asked[2:]] == [None, SECRET]


def test_a_netrc_file_is_not_asked(registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    registry.does("HEAD", ask_for_basic, lasting=True)
    registries = open_registries(registry.host, login=Login(USER, PASSWORD))
    resolve(registry.reference("team/x:1"), registries)
    assert [headers.get("Authorization") for _, _, headers in registry.asked[1:]] == [None, SECRET]


def test_a_token_that_has_expired_is_renewed_once(registry: FakeRegistry) -> None:
    tokens = ["first", "second"]

    def guard(request: Handler) -> None:
        if request.headers.get("Authorization") == f"Bearer {tokens[0]}":
            request.registry.serve(request)
            return
        challenge = f'Bearer realm="http://{registry.host}/token",service="s",scope="repository:team/x:pull"'
        request.say(401, error("UNAUTHORIZED", "token expired"), WWW_Authenticate=challenge)

    issued: list[str] = []

    def issue(request: Handler) -> None:
        issued.append(request.headers.get("Authorization", ""))
        request.say(200, json.dumps({"token": tokens[0]}).encode())

    registry.does("/token", issue, lasting=True)
    registry.does("HEAD", guard, lasting=True)
    registries = open_registries(registry.host, login=Login(USER, PASSWORD))
    resolve(registry.reference("team/x:1"), registries)
    resolve(registry.reference("team/x:1"), registries)
    assert issued == [SECRET]
    tokens.pop(0)
    resolve(registry.reference("team/x:1"), registries)
    assert issued == [SECRET, SECRET]


def test_no_error_repeats_what_must_not_be_read(registry: FakeRegistry) -> None:
    # A registry that quotes what it was told.
    def echo(request: Handler) -> None:
        if not request.headers.get("Authorization"):
            request.say(401, WWW_Authenticate="Basic realm=x")
            return
        said = f"no: {request.headers['Authorization']} {PASSWORD}"
        request.say(403, error("DENIED", said))

    registry.does("HEAD", lambda request: echo(request), lasting=True)
    registry.does("GET .*/manifests/", lambda request: echo(request), lasting=True)
    registries = open_registries(registry.host, login=Login(USER, PASSWORD))
    with pytest.raises(RegistryError, match=r"403 no: Basic \*\*\* \*\*\*") as caught:
        fetch_manifest(registry.reference("team/x:1"), registries)
    shown = f"{caught.value!r} {caught.value} {caught.value.hint} {vars(caught.value)}"
    assert PASSWORD not in shown and SECRET.split()[1] not in shown


def test_a_password_is_shown_by_no_repr() -> None:
    assert PASSWORD not in repr(Login(USER, PASSWORD))


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
    (done,) = push([image], names, registries, blobs=store, store=store, sources=sources, jobs=1, listener=Silent())
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
    done = push([image], names, registries, blobs=store, store=store, sources={}, jobs=2, listener=Silent())
    assert [each.blobs for each in done] == [{"sent": 3}, {}, {"mounted": 3}]


def test_what_errors_quote_of_an_address_has_no_query(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    registry.does("PUT .*/uploads/", refuse(400), lasting=True)
    with pytest.raises(RegistryError, match="400") as caught:
        pushed(image, registry, registries, store)
    assert "secret-state" not in str(caught.value)


def test_all_pages_of_tags_are_read(registry: FakeRegistry, registries: Registries) -> None:
    more = give(b'{"tags": ["a"]}', Link='</v2/team/x/tags/list?last=a>; rel="next"')
    registry.does(r"GET /v2/team/x/tags/list\Z", more)
    registry.does(r"GET .*last=a", give(b'{"tags": ["b"]}'))
    client = registries.of(registry.reference("team/x:1"))
    assert client.get_tags(client.get_container(f"{registry.host}/team/x")) == ["a", "b"]
