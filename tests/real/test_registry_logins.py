"""Logins where docker, podman and their friends keep them, and certificates, from the command line."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.errors import RegistryError
from oci_builder.export.docker_archive import write_file
from oci_builder.registry.auth import Login
from oci_builder.registry.pulling import resolve
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.engines import call
from tests.support.fakeregistry import fake_registry
from tests.support.images import random_image
from tests.support.real import need
from tests.support.registries import (
    IDENTITY,
    PASSWORD,
    USER,
    DockerRegistry,
    certificate,
    close_opened,
    docker_registry,
    open_registries,
)

pytestmark = pytest.mark.real

ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HELPER = f"""#!/bin/sh
read -r host
[ "$1 $host" = "get HOST" ] && echo '{{"Username": "{USER}", "Secret": "{PASSWORD}"}}' && exit
echo "credentials not found in native keychain"
exit 1
"""


@dataclass(frozen=True)
class Home:
    """Somebody's home, and the registry they have a login for; ``set`` changes their environment."""

    folder: Path
    registry: DockerRegistry
    set: Callable[[str, str], None]

    def write(self, path: str, document: object) -> Path:
        """A file in it; what is no text is written as JSON."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return file

    def program(self) -> None:
        """A credential helper called ``test``."""
        self.write("bin/docker-credential-test", HELPER.replace("HOST", self.registry.host)).chmod(0o755)
        self.set("PATH", f"{self.folder}/bin:/usr/bin:/bin")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image file."""
    folder = tmp_path_factory.mktemp("image")
    store = Store(folder / "store")
    write_file(random_image(store), folder / "image.tar", references=(), store=store, reporter=Quiet())
    return folder / "image.tar"


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("basic"), auth="basic", tls=True) as registry:
        yield registry


@pytest.fixture
def home(basic: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path, basic, monkeypatch.setenv)


def push(archive: Path, home: Home, *flags: str, registry: DockerRegistry | None = None) -> int:
    reference = (registry or home.registry).reference("team/x:1")
    return main(["push", str(archive), str(reference), "--cache-dir", str(home.folder / "cache"), *flags])


def by_docker(home: Home) -> None:
    home.set("DOCKER_CONFIG", str(home.folder / "docker"))
    home.write("docker/config.json", {"auths": {home.registry.host: {"auth": ENCODED}}})


def by_docker_at_home(home: Home) -> None:
    home.write(".docker/config.json", {"auths": {f"https://{home.registry.host}": {"auth": ENCODED}}})


def by_helper(home: Home) -> None:
    home.program()
    home.write(".docker/config.json", {"credHelpers": {home.registry.host: "test"}})


def by_store(home: Home) -> None:
    home.program()
    home.write(".docker/config.json", {"auths": {home.registry.host: {}}, "credsStore": "test"})


def by_podman(home: Home) -> None:
    home.write("run/containers/auth.json", {"auths": {f"{home.registry.host}/team": {"auth": ENCODED}}})


def by_skopeo_login(home: Home) -> None:
    need("skopeo", root=False)
    flags = [
        f"--authfile={home.folder}/named.json",
        "--tls-verify=false",
        f"--username={USER}",
        f"--password={PASSWORD}",
    ]
    call("skopeo", "login", *flags, home.registry.host)
    home.set("REGISTRY_AUTH_FILE", f"{home.folder}/named.json")


def by_variables(home: Home) -> None:
    home.set("OCIBUILD_REGISTRY_USER", USER)
    home.set("OCIBUILD_REGISTRY_PASSWORD", PASSWORD)


@pytest.mark.parametrize(
    "logged_in",
    [by_docker, by_docker_at_home, by_helper, by_store, by_podman, by_skopeo_login, by_variables],
)
def test_a_login_is_found_where_others_keep_it(
    home: Home, archive: Path, capfd: pytest.CaptureFixture[str], logged_in: Callable[[Home], None]
) -> None:
    logged_in(home)
    assert push(archive, home, f"--ca-file={home.registry.ca_file}", "--debug") == 0
    said = "".join(capfd.readouterr())
    assert PASSWORD not in said and ENCODED not in said


def test_a_login_is_read_from_standard_input(home: Home, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{USER}:{PASSWORD}\n"))
    assert push(archive, home, f"--ca-file={home.registry.ca_file}", "--creds-stdin") == 0


def test_an_identity_token_of_dockers_file_opens_a_registry_with_tokens(home: Home, archive: Path) -> None:
    with docker_registry(home.folder / "token", auth="token") as registry:
        home.write(".docker/config.json", {"auths": {registry.host: {"identitytoken": IDENTITY}}})
        assert push(archive, home, registry=registry) == 0


def test_nobody_gets_in_without_a_login(home: Home, archive: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home.write(".docker/config.json", {"auths": {"elsewhere.test": {"auth": ENCODED}}})
    assert push(archive, home, f"--ca-file={home.registry.ca_file}") == 1
    assert f"no login for {home.registry.host} was found" in capfd.readouterr().err


def test_an_unknown_certificate_needs_a_word(home: Home, archive: Path, capfd: pytest.CaptureFixture[str]) -> None:
    by_docker_at_home(home)
    assert push(archive, home) == 1
    said = capfd.readouterr().err
    assert "certificate does not hold" in said and "--ca-file" in said
    assert push(archive, home, "--insecure") == 0


def test_an_encrypted_registry_cannot_lead_to_an_unencrypted_place(tmp_path: Path) -> None:
    need("openssl", root=False)
    key, known = certificate(tmp_path)
    with fake_registry() as plain, fake_registry(key=key, certificate=known) as encrypted:
        encrypted.does("HEAD", lambda request: request.say(307, Location=f"http://{plain.host}/v2/team/x/manifests/1"))
        registries = open_registries(encrypted.host, login=Login(USER, PASSWORD), ca_file=known)
        try:
            with pytest.raises(RegistryError, match="redirects to an unencrypted place"):
                resolve(encrypted.reference("team/x:1"), registries)
        finally:
            close_opened()
        assert plain.asked == []
