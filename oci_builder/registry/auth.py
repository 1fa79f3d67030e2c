"""Who we are at a registry: found where docker, podman and crane keep it, and told to nobody else."""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from oci_builder.bounded import load_json
from oci_builder.files import in_words, open_regular
from oci_builder.registry.keepers import ask_helper

HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = {"index.docker.io", "registry-1.docker.io"}
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_SECRET = re.compile(r"[\x21-\x7e]+\Z")
"""What can stand in a header as it is (RFC 6750, 2.1, and what registries write instead)."""

_MAX_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Login:
    """A user and what proves it: a password, an identity token (OAuth2 refresh), or a registry's own bearer token."""

    username: str
    secret: str = field(repr=False)
    kind: Literal["password", "identity", "bearer"] = "password"
    source: str = field(default="this run", compare=False)
    """Where it was found, in words."""

    is_given: bool = field(default=False, compare=False)
    """Whether it is this run's own."""


class Logins:
    """Finds logins in what ``environ`` leads to. ``given`` are those of this run, by registry ("registry.example.com").

    In this order: ``given``; REGISTRY_AUTH_FILE; DOCKER_CONFIG or ~/.docker; podman's files. A file that does not read
    or a helper that fails gives nothing and is told by ``problems``.
    """

    def __init__(self, environ: Mapping[str, str], *, given: Mapping[str, Login] | None = None) -> None:
        self._environ, self._given = environ, dict(given or {})
        self.problems: list[str] = []

    def find(self, registry: str, repository: str = "") -> Login | None:
        """The login for a repository of ``registry``, or None: nobody has one."""
        if registry in self._given:
            return self._given[registry]
        for path in self._files():
            document = self._read(path)
            login = self._from_helpers(document, registry) or self._from_file(document, registry, repository, path)
            if login is not None:
                return login if login.source != "this run" else replace(login, source=str(path))
        return None

    def _files(self) -> Iterator[Path]:
        home = Path(self._environ.get("HOME") or "/nonexistent")
        if named := self._environ.get("REGISTRY_AUTH_FILE"):
            yield Path(named)
        docker = self._environ.get("DOCKER_CONFIG")
        yield (Path(docker) if docker else home / ".docker") / "config.json"
        runtime = self._environ.get("XDG_RUNTIME_DIR")
        yield (Path(runtime) / "containers" if runtime else Path(f"/run/containers/{os.getuid()}")) / "auth.json"
        yield Path(self._environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            document = load_json(_content(path))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            return self._without(f"{path}: {in_words(error)}")
        except ValueError as error:
            return self._without(f"{path} is not valid JSON: {error}")
        return document if isinstance(document, dict) else self._without(f"{path} is not a JSON object")

    def _from_helpers(self, document: Mapping[str, Any], registry: str) -> Login | None:
        helpers = _table(document, "credHelpers")
        named = next((helper for key, helper in helpers.items() if _normal(key) == registry), None)
        for helper in (named, document.get("credsStore")):
            if isinstance(helper, str) and helper and (login := self._ask(helper, registry)):
                return login
        return None

    def _ask(self, helper: str, registry: str) -> Login | None:
        program = shutil.which(f"docker-credential-{helper}", path=self._environ.get("PATH"))
        if program is None or not _HELPER.match(helper):
            return self._nobody(f"there is no program docker-credential-{helper}")
        key = _HUB_KEY if registry == HUB else registry
        answer = ask_helper(program, key, self._environ)
        if answer is None:
            return self._nobody(f"docker-credential-{helper} failed, or did not end")
        try:
            found = load_json(answer.output) if answer.good else None
        except ValueError:
            return self._nobody(f"docker-credential-{helper} failed: it gave no valid JSON")
        if not isinstance(found, dict):
            known = b"credentials not found" in answer.output + answer.complaints
            return None if known else self._nobody(f"docker-credential-{helper} failed")
        name, secret = (_text(found, field) for field in ("Username", "Secret"))
        if not secret:
            return None
        source = f"docker-credential-{helper}"
        return Login("", secret, "identity", source) if name == "<token>" else Login(name, secret, source=source)

    def _from_file(self, document: Mapping[str, Any], registry: str, repository: str, path: Path) -> Login | None:
        auths = {_normal(key): value for key, value in _table(document, "auths").items() if isinstance(value, dict)}
        # podman's files may name a part of a registry; the longest that fits counts.
        parts = repository.split("/") if repository else []
        for count in range(len(parts), -1, -1):
            entry = auths.get("/".join([registry, *parts[:count]]))
            if entry is not None and (login := self._from_entry(entry, path)):
                return login
        return None

    def _from_entry(self, entry: Mapping[str, Any], path: Path) -> Login | None:
        if token := _text(entry, "identitytoken"):
            return Login("", token, "identity")
        if token := _text(entry, "registrytoken"):
            return Login("", token, "bearer") if _SECRET.match(token) else self._nobody(f"{path}: a token that is none")
        if (name := _text(entry, "username")) and (password := _text(entry, "password")):
            return Login(name, password)
        try:
            text = base64.b64decode(_text(entry, "auth"), validate=True).decode()
        except ValueError:  # of base64 and of UTF-8
            return self._nobody(f"{path}: an entry whose auth does not decode")
        name, colon, password = text.partition(":")
        return Login(name, password.rstrip("\0")) if colon else None

    def _without(self, problem: str) -> dict[str, Any]:
        self._note(problem)
        return {}

    def _nobody(self, problem: str) -> Login | None:
        self._note(problem)
        return None

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _normal(key: str) -> str:
    """A key of a credentials file as a registry, or a part of one: without scheme and API version."""
    name = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    name = name.removesuffix("/v1").removesuffix("/v2")
    first, slash, rest = name.partition("/")
    return f"{HUB if first in _HUB_NAMES else first}{slash}{rest}"


def _content(path: Path) -> bytes:
    """A file of credentials; nothing for what would have to be waited for. Raises OSError, ValueError."""
    with open_regular(path, noted=False) as stream:
        data = stream.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise ValueError(f"longer than {_MAX_FILE} bytes")
    return data


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
