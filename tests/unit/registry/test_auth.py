from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from oci_builder.errors import RegistryError
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Login, Logins
from oci_builder.registry.challenges import read_challenge
from oci_builder.registry.tokens import Tokens


def encoded(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode()


class Home:
    """A home folder, and the environment that leads to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), "PATH": str(folder / "bin")}

    def write(self, path: str, document: object) -> Path:
        """A file of credentials."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return file

    def helper(self, name: str, script: str) -> None:
        """A program docker-credential-``name``."""
        program = self.write(f"bin/docker-credential-{name}", f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def find(self, registry: str, repository: str = "") -> Login | None:
        """What is found."""
        return Logins(self.environ).find(registry, repository)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def auths(key: str, name: str = "user", password: str = "secret") -> dict[str, object]:
    return {"auths": {key: {"auth": encoded(name, password)}}}


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        ("docker.io", "https://index.docker.io/v1/"),
        ("docker.io", "docker.io"),
        ("docker.io", "registry-1.docker.io"),
        ("host:5000", "host:5000"),
        ("host:5000", "https://host:5000"),
        ("host:5000", "http://host:5000/v2/"),
    ],
)
def test_docker_login_is_found_under_all_the_names_it_writes(home: Home, registry: str, key: str) -> None:
    home.write(".docker/config.json", auths(key))
    assert home.find(registry) == Login("user", "secret")


@pytest.mark.parametrize("registry", ["host", "host:5001", "other.host:5000", "ost:5000"])
def test_another_host_has_another_login(home: Home, registry: str) -> None:
    home.write(".docker/config.json", auths("host:5000"))
    assert home.find(registry) is None


def test_a_password_may_hold_colons(home: Home) -> None:
    home.write(".docker/config.json", auths("host", "user", "a:b:c"))
    assert home.find("host") == Login("user", "a:b:c")


@pytest.mark.parametrize("path", [".docker/config.json", "run/containers/auth.json", ".config/containers/auth.json"])
def test_the_files_of_docker_and_podman_are_read(home: Home, path: str) -> None:
    home.write(path, auths("host"))
    assert home.find("host") == Login("user", "secret")


def test_variables_name_other_places(home: Home, tmp_path: Path) -> None:
    home.write(".docker/config.json", auths("host", "default"))
    home.write("elsewhere/config.json", auths("host", "docker"))
    home.environ["DOCKER_CONFIG"] = str(tmp_path / "elsewhere")
    assert home.find("host") == Login("docker", "secret")
    named = home.write("named.json", auths("host", "podman"))
    home.environ["REGISTRY_AUTH_FILE"] = str(named)
    assert home.find("host") == Login("podman", "secret")


def test_a_login_of_this_run_comes_first_and_is_for_its_registry_only(home: Home) -> None:
    home.write(".docker/config.json", auths("host", "filed"))
    logins = Logins(home.environ, given={"host": Login("given", "now")})
    assert logins.find("host") == Login("given", "now")
    assert logins.find("other") is None


def test_podman_may_name_a_part_of_a_registry_and_the_longest_counts(home: Home) -> None:
    entry = {key: {"auth": encoded(key.replace("/", "-"), "x")} for key in ("host", "host/team", "host/team/app")}
    home.write("run/containers/auth.json", {"auths": entry})
    assert [login.username for name in ("team/app", "team/lib", "other") if (login := home.find("host", name))] == [
        "host-team-app",
        "host-team",
        "host",
    ]


def test_tokens_are_told_apart_from_passwords(home: Home) -> None:
    entries = {
        "identity": {"identitytoken": "i", "auth": encoded("user", "")},
        "bearer": {"registrytoken": "b"},
        "plain": {"username": "user", "password": "p"},
    }
    home.write(".docker/config.json", {"auths": entries})
    found = [home.find(name) for name in entries]
    assert found == [Login("", "i", "identity"), Login("", "b", "bearer"), Login("user", "p")]


def test_a_credential_helper_is_asked_for_its_registry(home: Home) -> None:
    home.helper("one", 'read -r host; echo "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"from one\\"}"')
    home.write(".docker/config.json", {"credHelpers": {"host": "one"}})
    assert home.find("host") == Login("host", "from one")
    assert home.find("other") is None


def test_a_store_is_asked_for_every_registry_and_may_give_a_token(home: Home) -> None:
    home.helper("all", 'read -r host; echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"$host\\"}"')
    home.write(".docker/config.json", {"credsStore": "all"})
    assert home.find("docker.io") == Login("", "https://index.docker.io/v1/", "identity")


def test_a_helper_without_a_login_leaves_it_to_the_files(home: Home) -> None:
    home.helper("none", "echo credentials not found in native keychain; exit 1")
    home.write(".docker/config.json", {"credsStore": "none", **auths("host")})
    logins = Logins(home.environ)
    assert logins.find("host") == Login("user", "secret")
    assert logins.problems == []


@pytest.mark.parametrize(
    ("script", "problem"),
    [("exit 3", "docker-credential-x failed"), ("echo {", "docker-credential-x failed"), (None, "no program")],
)
def test_a_helper_that_fails_is_remembered_for_the_hint(home: Home, script: str | None, problem: str) -> None:
    if script is not None:
        home.helper("x", script)
    home.write(".docker/config.json", {"credHelpers": {"host": "x"}})
    logins = Logins(home.environ)
    assert logins.find("host") is None
    assert problem in logins.problems[0]


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "", "x/y"])
def test_a_helper_is_a_name_and_no_path(home: Home, name: str) -> None:
    home.write(".docker/config.json", {"credHelpers": {"host": name}})
    assert home.find("host") is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": []}', '{"auths": {"host": 1}}', '{"auths": {"host": {"auth": "?"}}}']
)
def test_a_file_that_does_not_read_gives_nobody(home: Home, text: str) -> None:
    home.write(".docker/config.json", text)
    assert home.find("host") is None


def tokens(challenge: str, *, scheme: str = "http", login: Login | None = None, insecure: bool = False) -> Tokens:
    given = {"localhost:5000": login} if login else {}
    access = Access(logins=Logins({"HOME": "/nonexistent"}, given=given), insecure=insecure)
    made = Tokens("localhost:5000", scheme, access)
    found = read_challenge(challenge)
    assert found is not None
    made.challenged(found, frozenset(), refused="")
    return made


def asked_at(made: Tokens) -> str:
    """Where a token is asked for. Raises RegistryError."""
    asked: list[str] = []

    def exchange(method: str, url: str, **more: object) -> bytes:
        asked.append(url)
        return b'{"token": "t"}'

    assert made.header(frozenset(), exchange) == "Bearer t"
    return asked[0]


@pytest.mark.parametrize(
    "challenge", ['Bearer realm="http://127.0.0.1:5001/token",service="x"', "Bearer realm=http://127.0.0.1:5001/token"]
)
def test_a_plain_registry_here_may_have_a_plain_login_service_here(challenge: str) -> None:
    assert asked_at(tokens(challenge)) == "http://127.0.0.1:5001/token"


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ("http://example.org/token", "http://example.org/token, which is not encrypted"),
        ("", "it asks for a token, and not where"),
        ("/token", "/token, which is no address"),
    ],
)
def test_another_login_service_is_refused_by_its_address(realm: str, said: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(RegistryError, match=said) as caught:
            asked_at(tokens(f'Bearer realm="{realm}"', scheme=scheme))
        assert caught.value.hint


def test_a_plain_login_service_elsewhere_is_asked_where_that_was_allowed() -> None:
    made = tokens('Bearer realm="http://example.org/token"', insecure=True)
    assert asked_at(made) == "http://example.org/token"


def test_a_refused_login_is_told_by_where_it_came_from() -> None:
    made = tokens("Basic", login=Login("me", "wrong", source="--creds-stdin", is_given=True))
    made.header(frozenset(), lambda *args, **more: b"")
    assert "user 'me', from --creds-stdin, was refused" in made.hint()
    assert "docker login" not in made.hint()


def test_who_was_not_asked_to_log_in_is_not_told_to() -> None:
    access = Access(logins=Logins({}, given={"host": Login("me", "secret")}))
    assert "did not ask for a login" in Tokens("host", "https", access).hint()
