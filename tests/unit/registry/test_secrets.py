"""Who is told the password: the registry it is for, when it asks; nobody else, and no error."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from oci_builder.errors import RegistryError
from oci_builder.image import Image
from oci_builder.platforms import AMD64
from oci_builder.registry.access import RetryPolicy
from oci_builder.registry.auth import Login
from oci_builder.registry.pulling import fetch_image, fetch_manifest, resolve
from oci_builder.registry.registries import Registries
from oci_builder.store import Store
from tests.support.fakeregistry import (
    FakeRegistry,
    Fault,
    Handler,
    error,
    fake_registry,
    give,
    refuse,
)
from tests.support.registries import PASSWORD, USER, open_registries
from tests.unit.registry.acting import DATA, blob_of, pushed, read

SECRET = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


def ask_for_basic(request: Handler) -> None:
    """Want a password; with the right one, do what was asked."""
    if request.headers.get("Authorization") == SECRET:
        request.registry.serve(request)
        return
    request.body()
    request.say(401, error("UNAUTHORIZED", "who are you?"), WWW_Authenticate='Basic realm="x"')


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


def test_what_errors_quote_of_an_address_has_no_query(
    registry: FakeRegistry, registries: Registries, image: Image, store: Store
) -> None:
    registry.does("PUT .*/uploads/", refuse(400), lasting=True)
    with pytest.raises(RegistryError, match="400") as caught:
        pushed(image, registry, registries, store)
    assert "secret-state" not in str(caught.value)


def test_an_upload_that_continues_elsewhere_continues_without_the_password(
    registry: FakeRegistry, image: Image, store: Store
) -> None:
    with fake_registry() as elsewhere:

        def send_there(request: Handler) -> None:
            assert request.headers.get("Authorization") == SECRET
            elsewhere.uploads["u"] = bytearray()
            request.say(202, b"", Location=f"http://{elsewhere.host}/v2/store/blobs/uploads/u?signature=1")

        registry.does("HEAD", ask_for_basic)
        registry.does("POST", send_there)
        registries = open_registries(registry.host, login=Login(USER, PASSWORD))
        assert pushed(image, registry, registries, store).blobs == {"sent": 3}
        assert [headers.get("Authorization") for _, _, headers in elsewhere.asked] == [None]


def test_a_token_that_expires_during_an_upload_is_renewed_and_the_blob_sent_whole(
    registry: FakeRegistry, image: Image, store: Store
) -> None:
    guard = TokenGuard(registry)
    registry.faults.insert(0, ("PUT .*/uploads/", Fault(guard.expire)))
    registries = open_registries(registry.host, login=Login(USER, PASSWORD))
    assert pushed(image, registry, registries, store).blobs == {"sent": 3}
    assert fetch_image(registry.reference("team/x:1"), AMD64, registries).config == image.config
    assert guard.issued == [SECRET] * len(guard.issued) and len(guard.issued) >= 2


def test_a_token_whose_time_is_over_is_not_tried(registry: FakeRegistry) -> None:
    guard, now = TokenGuard(registry), [0.0]
    retry_policy = RetryPolicy(sleep=lambda seconds: None, clock=lambda: now[0])
    registries = open_registries(registry.host, login=Login(USER, PASSWORD), retry_policy=retry_policy)
    for moment in (0.0, 40.0, 51.0):
        now[0] = moment
        resolve(registry.reference("team/x:1"), registries)
    # Sixty seconds, less ten for the way.
    assert len(guard.issued) == 2
    assert [headers.get("Authorization") for method, _, headers in registry.asked if method == "HEAD"] == [
        None,
        "Bearer 1",
        "Bearer 1",
        "Bearer 2",
    ]


def test_a_login_service_that_leads_elsewhere_is_not_followed(registry: FakeRegistry) -> None:
    guard = TokenGuard(registry)
    with fake_registry() as elsewhere:
        registry.faults.insert(0, ("/token", Fault(lambda r: r.say(307, Location=f"http://{elsewhere.host}/token"))))
        with pytest.raises(RegistryError, match="307"):
            resolve(registry.reference("team/x:1"), open_registries(registry.host, login=Login(USER, PASSWORD)))
        assert elsewhere.asked == [] and guard.issued == []


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b'{"token": ""}', b'{"expires_in": 60}', b'{"token": "x", "expires_in": "?"}']
)
def test_a_login_service_that_gives_no_token_is_an_error(registry: FakeRegistry, answer: bytes) -> None:
    TokenGuard(registry)
    registry.faults.insert(0, ("/token", Fault(give(answer))))
    with pytest.raises(RegistryError, match="without a token"):
        resolve(registry.reference("team/x:1"), open_registries(registry.host, login=Login(USER, PASSWORD)))


class TokenGuard:
    """Lets nobody in without the token of the day, which its login service gives to whoever knows the password."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.issued: list[str] = []
        self.valid = 1
        registry.does("/token", self.issue, lasting=True)
        registry.does("/v2/team/", self.check, lasting=True)

    def issue(self, request: Handler) -> None:
        """Give a token for a minute."""
        self.issued.append(request.headers.get("Authorization", ""))
        request.say(200, json.dumps({"token": str(len(self.issued)), "expires_in": 60}).encode())

    def check(self, request: Handler) -> None:
        """Serve those with a valid token."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given.isdigit() and int(given) >= self.valid:
            self.registry.serve(request)
            return
        request.body()
        challenge = f'Bearer realm="http://{self.registry.host}/token",service="s",scope="repository:team/x:pull"'
        request.say(401, error("UNAUTHORIZED", "token expired"), WWW_Authenticate=challenge)

    def expire(self, request: Handler) -> None:
        """Know the token no more that comes with this request."""
        self.valid = len(self.issued) + 1
        self.check(request)
