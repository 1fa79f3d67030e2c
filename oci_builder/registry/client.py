"""One registry, spoken to: oras underneath, with a request path of our own; the only importer of oras and requests.

Taken from oras: the session (no cookies), the addresses of a repository, the reading of challenges, the pages of tags.
Replaced, because 0.2.43 gets it wrong: tokens (one per client, sent to other registries as well), retries (silent for
131 s, none after 429), time limits (none), redirects (credentials and all).
"""

from __future__ import annotations

import email.utils
import ipaddress
import json
import queue
import random
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import oras.provider
import requests
from oras.auth.utils import authHeader, parse_auth_header
from oras.container import Container
from requests.adapters import HTTPAdapter

from oci_builder.errors import FileProblem, RegistryError
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.reference import Reference
from oci_builder.registry.access import Access, Deadline
from oci_builder.registry.auth import HUB, Login
from oci_builder.transport import redacted

T = TypeVar("T")
Scopes = frozenset[str]

_HUB_HOST = "registry-1.docker.io"
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = 5
_LONGEST_WAIT = 30.0
_ERROR_BODY = 8192
_TOKEN_LIFE = 60
"""Seconds a token lives that does not say how long (distribution, "Token Authentication")."""


class Body(Protocol):
    """What is sent: read once from its beginning; a retry asks for a new one."""

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""

    def __len__(self) -> int:
        """All of them."""


class Passing(RegistryError):
    """A failure that may be over in a while; ``wait`` is what the registry asked for, in seconds."""

    wait: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request: ``accept`` are the statuses that answer it, ``body`` makes what is sent, ``scopes`` what it needs."""

    method: str
    url: str
    scopes: Scopes = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Body] | bytes | None = None
    accept: Collection[int] = (200,)


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


class Client(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """A registry that has answered. Threads may share it."""

    def __init__(self, registry: str, scheme: str, access: Access) -> None:
        super().__init__(hostname=_host(registry), insecure=scheme == "http", tls_verify=not access.insecure)
        self.name, self.access = registry, access
        self.origin = f"{scheme}://{_host(registry)}"
        self.session.mount("https://", _Trusting(access))
        self.session.mount("http://", HTTPAdapter(pool_maxsize=16))
        # Without this requests would put a .netrc's password over our token.
        self.session.auth = lambda request: request
        self._tokens: dict[Scopes, _Token] = {}
        self._challenge = ""
        self._login: Login | None = None
        self._lock = threading.Lock()

    # What oras's own methods call.

    def do_request(
        self, url: str, method: str = "GET", data: Any = None, headers: Any = None, json: Any = None, stream: bool = False
    ) -> requests.Response:
        """oras's way to ask; its answer is complete. Raises RegistryError."""
        repository = url.partition("/v2/")[2].partition("/tags/")[0]
        ask = Ask(method=method, url=url, headers=headers or {}, body=data, scopes=pull_scope(repository))
        deadline = self.access.patience.deadline()
        answer = self.again(lambda: self.once(ask, deadline), deadline)
        answer._content = self.read(answer, MAX_DOCUMENT, deadline)
        return answer

    # Ours.

    def address(self, reference: Reference, part: str) -> str:
        """The address of a part of a repository: "manifests", "blobs", "uploads", then what oras makes of it."""
        container = Container(f"{self.hostname}/{reference.repository}")
        kind, _, name = part.partition("/")
        paths = {"manifests": container.manifest_url, "blobs": container.get_blob_url}
        path = paths[kind](name) if kind in paths else container.upload_blob_url()
        return f"{self.prefix}://{path}"

    def again(self, act: Callable[[], T], deadline: Deadline) -> T:
        """``act``, tried again while its failure is Passing and time is left. Raises the last failure."""
        attempt = 0
        while True:
            try:
                return act()
            except Passing as error:
                attempt += 1
                self.pause(error, attempt, deadline)

    def pause(self, error: Passing, attempt: int, deadline: Deadline) -> None:
        """Wait before attempt ``attempt`` + 1, or raise ``error``: tried often enough, or no time is left."""
        patience = self.access.patience
        wait = min(patience.first_wait * 2 ** (attempt - 1), _LONGEST_WAIT) * random.uniform(0.7, 1.0)
        wait = error.wait if error.wait is not None else wait
        if attempt >= patience.attempts:
            error.hint = error.hint or f"tried {attempt} times; try again later"
            raise error
        if wait > deadline.left:
            error.hint = error.hint or f"more waiting would take longer than the {deadline.seconds:.0f} s there are"
            raise error
        patience.sleep(wait)

    def once(self, ask: Ask, deadline: Deadline) -> requests.Response:
        """Ask once: with a token where one is wanted, through redirects. The answer's body is still to be read.

        Raises RegistryError; Passing, where another attempt may hear something else.
        """
        url, body = ask.url, ask.body
        for _ in range(_REDIRECTS):
            answer = self._answered(ask, url, body, deadline)
            if not answer.is_redirect or answer.status_code in ask.accept:
                self._judge(answer, ask, deadline)
                return answer
            answer.close()
            url = self._redirected(url, answer)
        raise RegistryError(ask.method, redacted(ask.url), f"more than {_REDIRECTS} redirects")

    def read(self, answer: requests.Response, limit: int, deadline: Deadline) -> bytes:
        """The whole of a small body. Raises RegistryError if it is longer than ``limit`` bytes; Passing, if it breaks."""
        pieces, size = [], 0
        while piece := self.read_piece(answer, deadline):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                answer.close()
                raise self.refusal(answer, f"an answer longer than the {limit} bytes it may have")
        promised = answer.headers.get("Content-Length", "")
        if promised.isdigit() and size < int(promised):
            raise self.broken(answer, f"the connection broke after {size} of {promised} bytes")
        return b"".join(pieces)

    def read_piece(self, answer: requests.Response, deadline: Deadline) -> bytes:
        """What has arrived of a body, empty at its end. Raises Passing where the connection breaks, or time is up."""
        if deadline.left <= 0:
            answer.close()
            raise self.refusal(answer, f"not finished within {deadline.seconds:.0f} s")
        try:
            # read1: whatever one receive gives. read() would wait for all of it, however slowly it drips.
            piece: bytes = answer.raw.read1(1 << 18, decode_content=False)
        except Exception as error:
            answer.close()
            if isinstance(error, _NETWORK):
                raise self.broken(answer, f"the connection broke: {_words(error)}") from error
            raise
        return piece

    def _answered(
        self, ask: Ask, url: str, body: Callable[[], Body] | bytes | None, deadline: Deadline
    ) -> requests.Response:
        own = _origin(url) == self.origin
        authorization = self._authorization(ask.scopes, deadline) if own else ""
        answer = self._sent(ask, url, body, authorization, deadline)
        challenge = answer.headers.get("WWW-Authenticate", "")
        # A challenge from where a redirect led is none of our registry's: it gets nothing.
        if answer.status_code != 401 or not own or not challenge:
            return answer
        with self._lock:
            self._challenge = challenge
            self._tokens.pop(ask.scopes, None)
        authorization = self._authorization(ask.scopes, deadline)
        if not authorization:
            return answer
        answer.close()
        return self._sent(ask, url, body, authorization, deadline)

    def _sent(
        self, ask: Ask, url: str, body: Callable[[], Body] | bytes | None, authorization: str, deadline: Deadline
    ) -> requests.Response:
        headers = {"User-Agent": "ocibuild", "Accept-Encoding": "identity", **ask.headers}
        if authorization:
            headers["Authorization"] = authorization
        content = body() if callable(body) else body
        return self._exchange(ask.method, url, deadline, data=content, headers=headers)

    def _exchange(self, method: str, url: str, deadline: Deadline, **more: Any) -> requests.Response:
        silence = self.access.patience.silence

        def act() -> requests.Response:
            return self.session.request(
                method,
                url,
                stream=True,
                allow_redirects=False,
                timeout=silence,
                verify=self._tls_verify,
                **more,
            )

        try:
            return within(deadline, act)
        except TimeoutError as error:
            why = f"no complete answer within {deadline.seconds:.0f} s"
            raise RegistryError(method, redacted(url), why) from error
        except requests.exceptions.SSLError as error:
            raise _untrusted(method, url, error) from error
        except (requests.exceptions.RequestException, *_NETWORK) as error:
            raise _unreachable(method, url, error) from error

    def _redirected(self, url: str, answer: requests.Response) -> str:
        target = urllib.parse.urljoin(url, answer.headers["Location"])
        if url.startswith("https:") and not target.startswith("https:"):
            raise RegistryError(answer.request.method or "", redacted(url), "redirects to an unencrypted place")
        return target

    def _judge(self, answer: requests.Response, ask: Ask, deadline: Deadline) -> None:
        """Raise what an answer nobody asked for means."""
        status = answer.status_code
        if status in ask.accept:
            return
        codes, said = self._errors(answer, deadline)
        why = self._without_secrets(f"{status} {said or answer.reason or ''}".strip())
        kind = Passing if status in _AGAIN else RegistryError
        error = kind(ask.method, redacted(ask.url), why, status=status, codes=codes, hint=self._hint(status, ask))
        if isinstance(error, Passing):
            error.wait = _retry_after(answer)
        raise error

    def _errors(self, answer: requests.Response, deadline: Deadline) -> tuple[tuple[str, ...], str]:
        try:
            document = json.loads(self.read(answer, _ERROR_BODY, deadline) or b"{}")
            errors = [error for error in document["errors"] if isinstance(error, dict)][:3]
        except (RegistryError, ValueError, LookupError, TypeError):
            answer.close()
            return (), ""
        codes = tuple(str(error.get("code") or "") for error in errors)
        words = [str(error.get("message") or error.get("code") or "")[:300] for error in errors]
        return codes, "; ".join("".join(filter(str.isprintable, word)) for word in words if word)

    def _hint(self, status: int, ask: Ask) -> str | None:
        if status not in (401, 403):
            return None
        problems = "".join(f" ({problem})" for problem in self.access.logins.problems)
        if self._login is None:
            how = f"docker login {self.name}, or OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD"
            return f"no login for {self.name} was found{problems}: {how}"
        return f"{self.name} does not let {self._login.username or 'this identity token'} do this"

    def refusal(self, answer: requests.Response, why: str) -> RegistryError:
        """The error that ``answer`` is, and another attempt would not mend."""
        return RegistryError(answer.request.method or "", redacted(answer.url), why, status=answer.status_code)

    def broken(self, answer: requests.Response, why: str) -> Passing:
        """The error that ``answer`` is until it is asked for again."""
        return Passing(answer.request.method or "", redacted(answer.url), why)

    def _without_secrets(self, text: str) -> str:
        secrets = [token.header.partition(" ")[2] for token in self._tokens.values()]
        secrets += [self._login.secret] if self._login else []
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text

    # Tokens.

    def _authorization(self, scopes: Scopes, deadline: Deadline) -> str:
        """The header for ``scopes``, empty as long as the registry has not asked for any."""
        with self._lock:
            if not self._challenge:
                return ""
            token = self._tokens.get(scopes)
            if token is None or token.until <= self.access.patience.clock():
                token = self._tokens[scopes] = self._new_token(scopes, deadline)
            return token.header

    def _new_token(self, scopes: Scopes, deadline: Deadline) -> _Token:
        repository = min((scope.split(":")[1] for scope in scopes), default="")
        self._login = login = self.access.logins.find(self.name, repository)
        forever = float("inf")
        if self._challenge.lower().startswith("basic"):
            encoded = requests.auth._basic_auth_str(login.username, login.secret) if login else ""  # type: ignore[no-untyped-call]
            return _Token(encoded, forever)
        if login is not None and login.kind == "bearer":
            return _Token(f"Bearer {login.secret}", forever)
        return self._bearer(parse_auth_header(self._challenge), scopes, login, deadline)

    def _bearer(self, challenge: authHeader, scopes: Scopes, login: Login | None, deadline: Deadline) -> _Token:
        realm = self._realm(challenge)
        fields = [("service", challenge.service)] if challenge.service else []
        wanted = scopes or frozenset((challenge.scope or "").split())
        fields += [("scope", scope) for scope in sorted(wanted)]
        if login is not None and login.kind == "identity":
            form = {"grant_type": "refresh_token", "refresh_token": login.secret, "client_id": "ocibuild"}
            form |= {"service": challenge.service or "", "scope": " ".join(sorted(wanted))}
            answer = self._exchange("POST", realm, deadline, data=form)
        else:
            auth = (login.username.encode(), login.secret.encode()) if login else None
            answer = self._exchange("GET", realm, deadline, params=fields, auth=auth)
        # No redirects: a password goes to the place the registry names, and no further.
        self._judge(answer, Ask(method=answer.request.method or "", url=realm), deadline)
        return self._token(self.read(answer, MAX_DOCUMENT, deadline), realm)

    def _token(self, answer: bytes, realm: str) -> _Token:
        try:
            document = json.loads(answer)
            text = str(document.get("token") or document["access_token"])
            life = float(document.get("expires_in") or _TOKEN_LIFE)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RegistryError("GET", redacted(realm), "an answer without a token") from error
        # A little less: it has to be valid still when it arrives.
        return _Token(f"Bearer {text}", self.access.patience.clock() + max(life - 10, life / 2))

    def _realm(self, challenge: authHeader) -> str:
        realm = str(challenge.realm or "")
        scheme = urllib.parse.urlsplit(realm).scheme
        if scheme == "https" or (scheme == "http" and self.prefix == "http"):
            return realm
        why = f"asks to log in at {redacted(realm) or 'no address'}, which is not encrypted"
        raise RegistryError("GET", self.origin, why)


class _Trusting(HTTPAdapter):
    """Trusts the system's certificates and those of ``ca_file``, besides the bundle that requests brings along."""

    def __init__(self, access: Access) -> None:
        self._context = ssl.create_default_context()
        if access.ca_file is not None:
            try:
                self._context.load_verify_locations(access.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise FileProblem(str(access.ca_file), f"no certificates in PEM form can be read: {error}") from error
        if access.insecure:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        super().__init__(pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """With our context."""
        super().init_poolmanager(*args, ssl_context=self._context, **more)  # type: ignore[no-untyped-call]

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """With our context, through a proxy too."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **more)  # type: ignore[no-untyped-call]


def meet(registry: str, access: Access) -> Client:
    """A client for ``registry``, once it is known whether to speak https or http. Raises RegistryError."""
    schemes = _schemes(registry, access)
    if len(schemes) == 1:
        return Client(registry, schemes[0], access)
    deadline = access.patience.deadline()
    clients = [Client(registry, scheme, access) for scheme in schemes]
    return clients[0].again(lambda: _first_that_answers(clients, deadline), deadline)


def pull_scope(repository: str) -> Scopes:
    """What reading a repository needs."""
    return frozenset({f"repository:{repository}:pull"})


def push_scopes(repository: str, mounted: Collection[str]) -> Scopes:
    """What writing to a repository needs, and mounting from others: one token for the whole push."""
    return frozenset({f"repository:{repository}:pull,push", *(f"repository:{name}:pull" for name in mounted)})


def within(deadline: Deadline, act: Callable[[], T]) -> T:
    """``act``, in a thread that is left alone when the time is up: a server that drips bytes keeps no socket's timeout.

    Raises what ``act`` raises, and TimeoutError.
    """
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((act(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=max(deadline.left, 0.001))
    except queue.Empty as empty:
        raise TimeoutError from empty
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # without an error there is one


def _first_that_answers(clients: Collection[Client], deadline: Deadline) -> Client:
    failure: RegistryError | None = None
    for client in clients:
        try:
            answer = client._exchange("GET", f"{client.origin}/v2/", deadline)
        except Passing as error:
            failure = failure or error
            continue
        api = "docker-distribution-api-version" in answer.headers
        answer.close()
        # What an https server says to plain http (Go and nginx: 400 and a sentence) is not a registry's answer.
        if api or answer.status_code != 400:
            return client
    raise failure or Passing("GET", f"{clients}", "no registry answers")


def _schemes(registry: str, access: Access) -> tuple[str, ...]:
    loopback = _is_loopback(registry)
    if not (loopback or access.insecure):
        return ("https",)
    # A plain server may wait for ever for the end of what https says first: on loopback, where plain is usual, it is
    # asked first; elsewhere, and where certificates were named, the encrypted one is.
    return ("http", "https") if loopback and access.ca_file is None else ("https", "http")


def _is_loopback(registry: str) -> bool:
    host = urllib.parse.urlsplit(f"//{registry}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(registry: str) -> str:
    return _HUB_HOST if registry == HUB else registry


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_NETWORK = (requests.packages.urllib3.exceptions.HTTPError, OSError)  # type: ignore[attr-defined]


def _untrusted(method: str, url: str, error: Exception) -> RegistryError:
    text = _innermost(error)
    if isinstance(text, ssl.SSLCertVerificationError):
        hint = "name its authority's certificate with --ca-file, or trust anything with --insecure"
        return RegistryError(method, redacted(url), f"its certificate does not hold: {text.verify_message}", hint=hint)
    return Passing(method, redacted(url), "it does not speak TLS, or broke off", hint="plain http needs --insecure")


def _unreachable(method: str, url: str, error: Exception) -> RegistryError:
    cause = _innermost(error)
    unknown = isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
    kind = RegistryError if unknown else Passing
    hint = "check the name of the registry, and the proxy if there is one" if unknown else None
    return kind(method, redacted(url), _words(error), hint=hint)


def _innermost(error: BaseException) -> BaseException:
    seen: list[BaseException] = [error]
    while True:
        reason = getattr(seen[-1], "reason", None)
        inner = [*seen[-1].args, reason, seen[-1].__cause__, seen[-1].__context__]
        deeper = next((e for e in inner if isinstance(e, BaseException) and e not in seen), None)
        if deeper is None:
            return seen[-1]
        seen.append(deeper)


def _words(error: BaseException) -> str:
    cause = _innermost(error)
    if isinstance(cause, TimeoutError) or "timed out" in str(cause):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    # Never the text of the error itself: it may quote an address with what should not be read.
    return {"RemoteDisconnected": "it hung up without an answer"}.get(type(cause).__name__, "the connection broke")


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds (RFC 9110, 10.2.3); a date counts from the answer's own, not from this machine's clock."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
        return max(0.0, (until - email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))).total_seconds())
    except (TypeError, ValueError):
        return None
