"""Whatever a registry, a login service or a helper answers is an error in our words, soon, and no secret follows it."""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.errors import DigestMismatch, OcibuildError, RegistryError
from oci_builder.oci.mediatypes import LAYER_GZIP, MANIFEST
from oci_builder.registry.access import RetryPolicy
from oci_builder.registry.auth import Login, Logins
from oci_builder.registry.keepers import ask_helper
from oci_builder.registry.pulling import blob_chunks, fetch_image, fetch_manifest, resolve
from oci_builder.registry.registries import Registries
from oci_builder.store import Store
from tests.support.fakeregistry import FakeRegistry, Handler
from tests.support.images import random_image
from tests.support.registries import open_registries, quick
from tests.unit.registry.acting import pushed

USER, PASSWORD = "me", "hunter2-hunter2"
GIVEN = Login(USER, PASSWORD)


def say(status: int, body: bytes = b"{}", **headers: str) -> Callable[[Handler], None]:
    return lambda request: request.say(status, body, **headers)


def asked(registry: FakeRegistry, *, login: Login | None = GIVEN, attempts: int = 2) -> str:
    """What comes of asking for a manifest, which must not go well."""
    registries = open_registries(registry.host, login=login, retry_policy=quick(attempts=attempts))
    began = time.process_time()
    with pytest.raises(OcibuildError) as raised:
        fetch_manifest(registry.reference("team/x:1"), registries)
    assert time.process_time() - began < 5
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://[",
        "file:///etc/passwd",
        "http://127.0.0.1:99999999/",
        "http://:80/",
        "ftp://x/",
        "//[",
        "a:b",
    ],
)
def test_a_redirect_to_no_address_is_refused_at_once(registry: FakeRegistry, location: str) -> None:
    registry.does("GET /v2/team/", say(307, Location=location), lasting=True)
    assert "redirects to what is no http or https address" in asked(registry)
    assert registry.methods() == ["GET /v2/team/x/manifests/1"]


@pytest.mark.parametrize("location", ["http://a\x00b/", f"http://{'a' * 70}.x/", "http://a..b/", "http://\xe9\xff/"])
def test_a_redirect_to_a_host_that_cannot_be_is_an_error(registry: FakeRegistry, location: str) -> None:
    registry.does("GET /v2/team/", say(307, Location=location), lasting=True)
    asked(registry)


def test_a_redirect_with_an_endless_body_is_followed_without_reading_it(registry: FakeRegistry) -> None:
    sent: list[int] = []

    def endless(request: Handler) -> None:
        request.send_response(307)
        request.send_header("Location", "http://[")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        piece = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        while len(sent) < 2000:  # 131 MB, if anybody took them
            request.wfile.write(piece)
            sent.append(1)

    registry.does("GET /v2/team/", endless, lasting=True)
    assert "redirects to what is no" in asked(registry)
    assert len(sent) < 1000


def test_redirects_without_an_end_end(registry: FakeRegistry) -> None:
    registry.does("GET /v2/team/", say(307, Location="/v2/team/x/manifests/1"), lasting=True)
    assert "more than 5 redirects" in asked(registry)


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-5", "1_0", "0x10", ""])
def test_a_length_that_is_no_number_is_refused_and_not_waited_for(registry: FakeRegistry, length: str) -> None:
    registry.does("GET /v2/team/", say(200, b"{}", Content_Length=length), lasting=True)
    said = asked(registry)
    assert "a Content-Length that is no number" in said or "a header that was sent or came" in said
    assert registry.methods() == ["GET /v2/team/x/manifests/1"]


@pytest.mark.parametrize("wait", ["\xb2", "9" * 5000, "-1", "Mon, 01 Jan 2024 00:00:00 +99999999999", "soon"])
def test_a_wait_that_is_none_is_our_own(registry: FakeRegistry, wait: str) -> None:
    registry.does("GET /v2/team/", say(503, Retry_After=wait), lasting=True)
    assert "503" in asked(registry)
    assert registry.methods() == ["GET /v2/team/x/manifests/1"] * 2


def test_a_wait_of_hours_is_refused_however_long_a_blob_may_take(registry: FakeRegistry) -> None:
    slept: list[float] = []
    registry.does("GET /v2/team/", say(503, Retry_After="7200"), lasting=True)
    registries = open_registries(registry.host, retry_policy=RetryPolicy(sleep=slept.append))
    layer = fetch_error(registry, registries, size=10**15)
    assert isinstance(layer, RegistryError) and "it asks to wait 7200 s, and 300 s is all the time there is" in str(
        layer.hint
    )
    assert slept == []


def fetch_error(registry: FakeRegistry, registries: Registries, *, size: int) -> OcibuildError:
    from oci_builder.digest import Digest
    from oci_builder.oci.documents import Descriptor

    blob = Descriptor(media_type=LAYER_GZIP, digest=Digest("0" * 64), size=size)
    with pytest.raises(OcibuildError) as raised:
        b"".join(blob_chunks(registry.reference("team/x:1"), blob, registries))
    return raised.value


@pytest.mark.parametrize("size", [10**15, (1 << 63) - 1])
def test_a_size_that_somebody_made_up_is_more_than_arrives(registry: FakeRegistry, size: int) -> None:
    registry.does("GET /v2/team/", say(200, b"few"), lasting=True)
    assert isinstance(fetch_error(registry, open_registries(registry.host), size=size), DigestMismatch)


@pytest.mark.parametrize(
    "body",
    [b"[" * 8000, b'{"errors":' + b"9" * 5000 + b"}", b'{"errors": [NaN]}', b"\xff\xfe", b'{"errors": [{"code": []}]}'],
)
def test_a_refusal_that_does_not_read_is_its_status(registry: FakeRegistry, body: bytes) -> None:
    registry.does("GET /v2/team/", say(418, body), lasting=True)
    assert "418" in asked(registry)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"token": "a\\r\\nX-Evil: 1"}',
        '{"token": "\u4e2d"}'.encode(),
        b'{"token": ["a"]}',
        b'{"token": "a b"}',
        b'{"token": "a", "expires_in": NaN}',
        b'{"token": "a", "expires_in": 1' + b"0" * 400 + b"}",
        b'{"token": "a", "expires_in": [1]}',
        b'{"token": "a", "expires_in": "\xc2\xb2"}',
        b"[" * 200_000,
        b'{"token": "\\ud800"}',
        b'{"token": "' + b"a" * 100_000 + b'"}',
    ],
)
def test_a_token_that_no_header_can_hold_is_refused(registry: FakeRegistry, answer: bytes) -> None:
    registry.does("/token", say(200, answer), lasting=True)
    guard(registry, f'Bearer realm="http://{registry.host}/token",service="s"')
    assert "its login service gave" in asked(registry)


@pytest.mark.parametrize("life", ["-1e308", "0", "null", "1e300", '"300"', "86400.5"])
def test_a_life_of_any_length_is_one(registry: FakeRegistry, life: str) -> None:
    registry.does("/token", say(200, b'{"token": "good", "expires_in": %s}' % life.encode()), lasting=True)
    guard(registry, f'Bearer realm="http://{registry.host}/token"', token="good")
    assert resolve(registry.reference("team/x:1"), open_registries(registry.host, login=GIVEN)) is None


@pytest.mark.parametrize(
    "realm", ["http://[::1", "ftp://h/", "", "http://\x1b[31m/", "https://127.0.0.1:99999999/", "//x"]
)
def test_a_login_service_at_no_address_gets_no_password(registry: FakeRegistry, realm: str) -> None:
    guard(registry, f'Bearer realm="{realm}",service="s"')
    asked(registry)
    assert not any(PASSWORD in value or secret() in value for value in sent(registry))


@pytest.mark.parametrize(
    "header",
    ["Negotiate \x1b[31m", "Bearer", "Digest realm=x", 'Bearer realm="' * 800, "," * 3000, "a" * 60_000, "=", '"'],
)
def test_a_challenge_of_another_kind_is_a_refusal(registry: FakeRegistry, header: str) -> None:
    guard(registry, header)
    asked(registry)
    assert not any(PASSWORD in value or secret() in value for value in sent(registry))


def test_of_two_challenges_the_token_is_taken(registry: FakeRegistry) -> None:
    registry.does("/token", say(200, b'{"token": "good"}'), lasting=True)
    guard(registry, f'Basic realm="x, y", Bearer realm="http://{registry.host}/token"', token="good")
    assert resolve(registry.reference("team/x:1"), open_registries(registry.host, login=GIVEN)) is None


@pytest.mark.parametrize("location", ["http://[::1", "file:///x", ""])
def test_an_upload_that_leads_nowhere_is_an_error(registry: FakeRegistry, store: Store, location: str) -> None:
    registry.does("POST", say(202, Location=location), lasting=True)
    with pytest.raises(RegistryError):
        pushed(random_image(store, layers=1, size=100), registry, open_registries(registry.host), store)


@pytest.mark.parametrize("smallest", ["\xb2", "9" * 5000, "-1", str(1 << 40)])
def test_pieces_of_no_size_are_not_sent(registry: FakeRegistry, store: Store, smallest: str) -> None:
    def begin(request: Handler) -> None:
        request.body()
        request.say(202, Location=f"/v2/team/x/blobs/uploads/{next(registry.numbers)}", OCI_Chunk_Min_Length=smallest)

    image = random_image(store, layers=1, size=100)
    registry.does("POST /v2/team/x/blobs/uploads/", begin, lasting=True)
    with pytest.raises(RegistryError):  # it knows no upload that it did not begin: but that one was sent whole
        pushed(image, registry, open_registries(registry.host), store)
    assert {method for method, _, _ in registry.asked} & {"PATCH"} == set()


def test_an_index_of_platforms_that_read_alike_has_none_of_them(registry: FakeRegistry, store: Store) -> None:
    image = random_image(store, layers=1, size=100)
    pushed(image, registry, open_registries(registry.host), store)
    entry = {**image.descriptor.to_json(), "platform": {"os": "linux/amd64"}}
    raw = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    media_type = "application/vnd.oci.image.index.v1+json"
    registry.does("/v2/team/x/manifests/2", say(200, raw, Content_Type=media_type), lasting=True)
    with pytest.raises(OcibuildError, match="there is no image for linux/amd64"):
        fetch_image(registry.reference("team/x:2"), image.platform, open_registries(registry.host))
    assert image.descriptor.media_type == MANIFEST


HELPERS = {
    "endless": "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
    "silent": "exec sleep 60",
    "gone, and its child holds the pipe": "sleep 60 &",
    "deaf": "exec <&-; exec sleep 60",
}


@pytest.mark.parametrize("script", HELPERS.values(), ids=HELPERS.keys())
def test_a_helper_is_heard_for_so_long_and_so_much(tmp_path: Path, script: str) -> None:
    program = helper(tmp_path, script)
    began = time.monotonic()
    assert ask_helper(str(program), "r.example", os.environ, time_limit=0.5) is None
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "said",
    ["{", "[]", "nothing", '{"Username": "a", "Secret": "\\ud800"}', '{"Username": {}, "Secret": [1]}', "9" * 5000],
)
def test_a_helper_that_says_anything_gives_nobody(tmp_path: Path, said: str) -> None:
    helper(tmp_path, f"cat >/dev/null; cat <<'END'\n{said}\nEND")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "x"}))
    logins = Logins({"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": "/nonexistent"})
    assert logins.find("r.example") is None


@pytest.mark.parametrize("kind", ["pipe", "huge", "deep", "twice-encoded", "folder"])
def test_a_file_of_credentials_that_is_none_is_told_of_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        auth = base64.b64encode(b"no colon").decode()
        texts = {
            "huge": " " * (2 << 20),
            "deep": "[" * 100_000,
            "twice-encoded": f'{{"auths": {{"r.example": "{auth}"}}}}',
        }
        path.write_text(texts[kind])
    logins = Logins({"DOCKER_CONFIG": str(tmp_path), "HOME": "/nonexistent"})
    assert logins.find("r.example") is None
    assert bool(logins.problems) == (kind != "twice-encoded")


def test_a_registrys_token_with_a_line_of_its_own_is_none(tmp_path: Path) -> None:
    entry = {"auths": {"r.example": {"registrytoken": "a\r\nX-Evil: 1"}}}
    (tmp_path / "config.json").write_text(json.dumps(entry))
    logins = Logins({"DOCKER_CONFIG": str(tmp_path), "HOME": "/nonexistent"})
    assert logins.find("r.example") is None and "a token that is none" in logins.problems[0]


def test_a_password_that_is_no_text_is_sent_as_the_bytes_it_is(registry: FakeRegistry) -> None:
    guard(registry, "Basic")
    asked(registry, login=Login("me", os.fsdecode(b"\xff\xfe")))
    assert f"Basic {base64.b64encode(b'me:' + bytes([255, 254])).decode()}" in sent(registry)


def guard(registry: FakeRegistry, challenge: str, *, token: str = "") -> None:
    """Ask everybody without ``token`` to log in."""

    def check(request: Handler) -> None:
        if token and request.headers.get("Authorization") == f"Bearer {token}":
            request.say(404)
        else:
            request.say(401, b"{}", WWW_Authenticate=challenge)

    registry.does("/v2/team/", check, lasting=True)


def secret() -> str:
    return base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def sent(registry: FakeRegistry) -> list[str]:
    """What stood in Authorization headers."""
    return [headers.get("Authorization", "") for _, _, headers in registry.asked]


def helper(folder: Path, script: str) -> Path:
    """A program called docker-credential-x."""
    program = folder / "docker-credential-x"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program
