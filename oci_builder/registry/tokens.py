"""What stands in the Authorization header: nothing until the registry asks, then what it asked for while that lives.

Distribution, "Token Authentication Specification" and "OAuth2 Token Authentication"; RFC 7617 for Basic.
"""

from __future__ import annotations

import base64
import re
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oci_builder.bounded import load_json, parse_decimal
from oci_builder.errors import RegistryError
from oci_builder.redaction import redacted
from oci_builder.registry.access import Access, is_loopback
from oci_builder.registry.auth import Login
from oci_builder.registry.challenges import Challenge

Scopes = frozenset[str]

Exchange = Callable[..., bytes]
"""Asks a login service: method, address and what requests calls params, data and headers; gives the body."""

_LIFE = 60
"""Seconds a token lives that does not say how long."""

_LONGEST_LIFE = 1 << 31

_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}\Z")
"""What can stand in a header (RFC 6750, 2.1, and what registries write instead)."""


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


class Tokens:
    """The tokens for one registry, by what they allow; threads may share it."""

    def __init__(self, registry: str, scheme: str, access: Access) -> None:
        self._registry, self._scheme, self._access = registry, scheme, access
        self._tokens: dict[Scopes, _Token] = {}
        self._challenge: Challenge | None = None
        self._lock = threading.Lock()
        self.login: Login | None = None

    def challenged(self, challenge: Challenge, scopes: Scopes, *, refused: str) -> None:
        """The registry has asked, or has ``refused`` the header it was given: that one is not used again."""
        with self._lock:
            self._challenge = challenge
            token = self._tokens.get(scopes)
            # Unless another thread has a new one already.
            if token is not None and token.header == refused:
                del self._tokens[scopes]

    def header(self, scopes: Scopes, exchange: Exchange) -> str:
        """The header for ``scopes``, empty as long as the registry has not asked. Raises RegistryError."""
        with self._lock:
            if self._challenge is None:
                return ""
            token = self._tokens.get(scopes)
            if token is None or token.until <= self._access.retry_policy.clock():
                token = self._tokens[scopes] = self._new(self._challenge, scopes, exchange)
            return token.header

    def without_secrets(self, text: str) -> str:
        """``text`` as it may be shown: what a registry says may quote what it was told."""
        secrets = [token.header.partition(" ")[2] for token in list(self._tokens.values())]
        secrets += [self.login.secret] if self.login else []
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text

    def hint(self) -> str:
        """What to do about a refusal."""
        if self._challenge is None:
            # Nobody was asked who they are, so nothing was sent.
            return (
                f"{self._registry} forbids it, and did not ask for a login: whoever runs it says what may be done there"
            )
        if self.login is None:
            problems = "".join(f" ({problem})" for problem in self._access.logins.problems)
            how = f"docker login {self._registry}, or OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD"
            return f"no login for {self._registry} was found{problems}: {how}"
        who = f"user {self.login.username!r}" if self.login.username else "owner of this identity token"
        refused = f"the login of the {who}, from {self.login.source}, was refused, or may not do this"
        if self.login.is_given:
            return f"{refused}: give another there, or ask for access"
        return f"{refused}: docker login {self._registry}, or ask for access"

    def _new(self, challenge: Challenge, scopes: Scopes, exchange: Exchange) -> _Token:
        repository = min((scope.split(":")[1] for scope in scopes), default="")
        self.login = login = self._access.logins.find(self._registry, repository)
        forever = float("inf")
        if challenge.basic:
            return _Token(_basic(login) if login else "", forever)
        if login is not None and login.kind == "bearer":
            return _Token(f"Bearer {login.secret}", forever)
        return self._bearer(challenge, scopes or frozenset(challenge.scope.split()), login, exchange)

    def _bearer(self, challenge: Challenge, scopes: Scopes, login: Login | None, exchange: Exchange) -> _Token:
        realm = self._realm(challenge)
        fields: dict[str, Any] = {"service": challenge.service} if challenge.service else {}
        if login is not None and login.kind == "identity":
            form = {"grant_type": "refresh_token", "refresh_token": login.secret, "client_id": "ocibuild"}
            return self._read(exchange("POST", realm, data={**form, **fields, "scope": " ".join(sorted(scopes))}))
        headers = {"Authorization": _basic(login)} if login else {}
        return self._read(exchange("GET", realm, params={**fields, "scope": sorted(scopes)}, headers=headers))

    def _read(self, answer: bytes) -> _Token:
        try:
            document = load_json(answer)
            text = document.get("token") or document["access_token"]
            life = _life(document.get("expires_in"))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RegistryError("GET", self._registry, "its login service gave an answer without a token") from error
        if not isinstance(text, str) or not _TOKEN.match(text):
            raise RegistryError("GET", self._registry, "its login service gave a token that no header can hold")
        # A little less: it has to be valid still when it arrives.
        return _Token(f"Bearer {text}", self._access.retry_policy.clock() + max(life - 10, life / 2))

    def _realm(self, challenge: Challenge) -> str:
        try:
            parts = urllib.parse.urlsplit(challenge.realm)
            scheme, host = parts.scheme, parts.netloc.rpartition("@")[2]
        except ValueError as error:
            why = "it asks to log in at an address that does not read"
            raise RegistryError("GET", self._registry, why) from error
        # Of a registry that is encrypted nothing goes where anybody may listen, on this machine either.
        plain = self._access.insecure or (self._scheme == "http" and is_loopback(host))
        if scheme == "https" or (scheme == "http" and plain):
            return challenge.realm
        if not challenge.realm:
            why, hint = (
                "it asks for a token, and not where",
                "its WWW-Authenticate has no realm: whoever runs it can say",
            )
            raise RegistryError("GET", self._registry, why, hint=hint)
        why = f"it asks to log in at {redacted(challenge.realm)}, which is not encrypted"
        hint = "if a password may go there all the same: --insecure"
        if scheme != "http":
            why, hint = (
                f"it asks to log in at {redacted(challenge.realm)}, which is no address",
                "whoever runs it can say",
            )
        raise RegistryError("GET", self._registry, why, hint=hint)


def _life(value: object) -> float:
    """The seconds a token lives, by what its service says; nothing and less is nothing said. Raises ValueError."""
    seconds = parse_decimal(value) if isinstance(value, str) and value else value or 0
    if not isinstance(seconds, int | float):
        raise ValueError("no number of seconds")
    return min(seconds, _LONGEST_LIFE) if seconds > 0 else _LIFE


def _basic(login: Login) -> str:
    # The environment may hold bytes that are no text.
    secret = f"{login.username}:{login.secret}".encode(errors="surrogateescape")
    return f"Basic {base64.b64encode(secret).decode()}"
