"""Image references, read and normalised the way docker does."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from oci_builder.bounded import parse_decimal
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.redaction import redacted

_HUB = "docker.io"
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A repository of a registry and a tag or digest in it (distribution-spec, "pulling manifests")."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; ``mypy`` means ``docker.io/library/mypy:latest``. Raises InvalidValue."""
        if "://" in text:
            hint = f"leave the {text.partition('://')[0]}:// out: {redacted(text).partition('://')[2]}"
            raise InvalidValue("image reference", redacted(text), "a reference has no scheme", hint=hint)
        name, at, digest = text.partition("@")
        if name.endswith(":"):
            raise InvalidValue("image reference", text, "there is no tag behind the colon")
        name, tag = _split_tag(name)
        registry, repository = _split_registry(name)
        if not repository or any(not _COMPONENT.match(part) for part in repository.split("/")):
            lower = f"{text.removesuffix(f':{tag}').lower()}:{tag}" if tag and not at else text.lower()
            small = repository.lower()
            fits = bool(small) and all(_COMPONENT.match(part) for part in small.split("/"))
            small_hint = f"write {lower}" if fits else None
            why = "a repository is lower-case letters, digits and . _ - between slashes"
            raise InvalidValue("image reference", text, why, hint=small_hint)
        if len(repository) > 255 or not _is_host(registry):
            raise InvalidValue("image reference", text, "the registry or repository name does not hold")
        if tag and not is_tag(tag):
            raise InvalidValue("image reference", text, f"{tag[:128]!r} is not a tag")
        if not tag and not at:
            tag = "latest"
        return cls(registry, repository, tag, Digest.parse(digest) if at else None)

    @property
    def familiar(self) -> str:
        """The short form a person writes: ``mypy:latest``."""
        return self._print(self._short_name())

    def __str__(self) -> str:
        return self._print(f"{self.registry}/{self.repository}")

    def _short_name(self) -> str:
        if self.registry != _HUB:
            return f"{self.registry}/{self.repository}"
        return self.repository.removeprefix("library/")

    def _print(self, name: str) -> str:
        return f"{name}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"


def is_tag(text: str) -> bool:
    """Whether ``text`` is what can stand behind the colon of a reference."""
    return bool(_TAG.match(text))


def _is_host(text: str) -> bool:
    """Whether ``text`` is a registry's name as an address can have it: a host, and perhaps a port."""
    if not _HOST.match(text):
        return False
    name, _, port = text.rpartition(":") if not text.endswith("]") and ":" in text else (text, "", "443")
    try:
        parse_decimal(port, most=65535)
        if name.startswith("["):
            ipaddress.IPv6Address(name[1:-1])
    except ValueError:
        return False
    return len(name) <= 253 and all(len(label) <= 63 for label in name.split("."))


def _split_tag(name: str) -> tuple[str, str]:
    # localhost:5000/mypy has a colon too: only one behind the last slash starts a tag.
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, "")


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = _HUB, name
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = _HUB
    if registry == _HUB and repository and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository
