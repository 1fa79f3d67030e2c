"""Registries on the loopback interface that other people wrote, in all the ways they can ask who one is."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from oci_builder.digest import Digest
from oci_builder.oci.contracts import ImageDocuments
from oci_builder.reference import Reference
from oci_builder.registry.access import Access, RetryPolicy
from oci_builder.registry.auth import Login, Logins
from oci_builder.registry.pushing import Pushed, Pusher
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.real import need, oracles

USER, PASSWORD = "somebody", "correct horse"
IDENTITY = "an-identity-token"
# bcrypt, the only kind that docker-registry takes; of PASSWORD.
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"
_SERVICE, _ISSUER = "a registry", "a test"
_PATIENCE = 30

NEWEST = "registry"
"""Distribution 3, built from source; Debian's docker-registry is 2.8."""

REFERRERS = "referrers-registry"
"""Of go-containerregistry, built from source: in memory, no logins, and with the API of referrers."""

KINDS = ("docker-registry", NEWEST, "referrers")
"""What every registry must be able to do is tried with all of these."""

_LINE = re.compile(r'(?:"|^[\d/]+ [\d:]+ )([A-Z]+) (/\S*)(?: HTTP/1\.1" \d+ (\d+))?', re.MULTILINE)
"""A request in one of their logs, and how many bytes it was answered with."""

OPENED: list[Closable] = []
"""Everything with connections that a test has opened; closed behind it."""


class Closable(Protocol):
    """Something with connections."""

    def close(self) -> None:
        """Close them."""


def close_opened() -> None:
    """Close what a test has opened: connections left to the garbage collector are a warning, and so a failure."""
    while OPENED:
        OPENED.pop().close()


@dataclass
class DockerRegistry:
    """A running registry; ``host`` is what references begin with, ``login`` what it wants to hear."""

    host: str
    folder: Path
    ca_file: Path | None = None
    login: Login | None = None

    def reference(self, name: str) -> Reference:
        """``team/x:1`` in this registry."""
        return Reference.parse(f"{self.host}/{name}")

    def registries(self, *, retry_policy: RetryPolicy | None = None) -> Registries:
        """Somebody who may do everything here."""
        return open_registries(self.host, login=self.login, ca_file=self.ca_file, retry_policy=retry_policy)

    @property
    def requests(self) -> list[str]:
        """Method and path of all requests so far, from its log; the first look whether anybody answers left out."""
        lines = [f"{method} {path.partition('?')[0]}" for method, path, _ in self._logged()]
        return [line for line in lines if line != "GET /v2/"]

    def served(self) -> int:
        """The bytes of blobs that it has given away so far; not known of the one with referrers."""
        return sum(int(size or 0) for method, path, size in self._logged() if method == "GET" and "/blobs/" in path)

    def _logged(self) -> list[tuple[str, str, str]]:
        return _LINE.findall((self.folder / "log").read_text())

    def blob_file(self, hexdigest: str) -> Path:
        """Where it keeps a blob."""
        return self.folder / f"data/docker/registry/v2/blobs/sha256/{hexdigest[:2]}/{hexdigest}/data"


def open_registries(
    host: str,
    *,
    login: Login | None = None,
    ca_file: Path | None = None,
    insecure: bool = False,
    retry_policy: RetryPolicy | None = None,
    environ: Mapping[str, str] | None = None,
) -> Registries:
    """Registries as a run has them; nothing of this machine's own logins is seen."""
    logins = Logins(environ or {}, given={host: login} if login else {})
    access = Access(logins=logins, insecure=insecure, ca_file=ca_file, retry_policy=retry_policy or quick())
    registries = Registries(access)
    OPENED.append(registries)
    return registries


def quick(**changes: Any) -> RetryPolicy:
    """RetryPolicy that waits for nobody between attempts."""
    return RetryPolicy(sleep=lambda seconds: None, **changes)


@contextlib.contextmanager
def docker_registry(
    folder: Path, *, auth: str = "", tls: bool = False, host: str = "", program: str = "docker-registry"
) -> Iterator[DockerRegistry]:
    """A registry in ``folder``: Debian's, or with NEWEST as ``program`` the newest; it asks for a login where ``auth``
    is "basic" or "token". Over TLS it can say that it is ``host``, too."""
    need("openssl", *([program] if program != NEWEST else []), root=False)
    path = oracles(program) / program if program == NEWEST else Path(program)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        address = f"127.0.0.1:{_free_port()}"
        http: dict[str, object] = {"addr": address}
        config: dict[str, object] = {}
        key, known = certificate(folder, host) if tls or auth == "token" else (Path(), Path())
        if tls:
            http["tls"] = {"certificate": str(known), "key": str(key)}
        if auth == "basic":
            (folder / "htpasswd").write_text(_HTPASSWD)
            config["htpasswd"] = {"realm": "a realm", "path": str(folder / "htpasswd")}
        if auth == "token":
            server = stack.enter_context(token_server(key, known))
            config["token"] = {
                "realm": f"{server.url}/token",
                "service": _SERVICE,
                "issuer": _ISSUER,
                "rootcertbundle": str(known),
            }
        document = {"version": "0.1", "http": http, "storage": {"filesystem": {"rootdirectory": str(folder / "data")}}}
        document |= {"auth": config} if config else {}
        (folder / "config.yml").write_text(json.dumps(document))  # JSON is YAML
        stack.enter_context(_running(folder, address, str(path), "serve", str(folder / "config.yml")))
        login = Login(USER, PASSWORD) if auth else None
        yield DockerRegistry(address, folder, ca_file=known if tls else None, login=login)


@contextlib.contextmanager
def referrers_registry(folder: Path) -> Iterator[DockerRegistry]:
    """The registry that speaks the API of referrers, its log in ``folder``; skips the test where it is not."""
    address = f"127.0.0.1:{_free_port()}"
    with _running(folder, address, str(oracles(REFERRERS) / REFERRERS), address):
        yield DockerRegistry(address, folder)


@dataclass
class TokenServer:
    """Says who may do what, to whoever knows a password: ``asked`` are the (method, fields, Authorization) so far."""

    url: str
    key: Path
    certificate: Path
    life: int = 300
    asked: list[tuple[str, Mapping[str, Sequence[str]], str]] = field(default_factory=list)

    def answer(self, method: str, fields: Mapping[str, Sequence[str]], authorization: str) -> tuple[int, bytes]:
        """What it says to a request."""
        self.asked.append((method, fields, authorization))
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if method == "GET" and authorization != expected:
            return 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}'
        if method == "POST" and fields.get("refresh_token") != [IDENTITY]:
            return 401, b"{}"
        scopes = [scope for text in fields.get("scope", []) for scope in text.split()]
        return 200, json.dumps({"token": self._token(scopes), "expires_in": self.life}).encode()

    def _token(self, scopes: Sequence[str]) -> str:
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        pem = self.certificate.read_text()
        chain = ["".join(pem.splitlines()[1:-1])]
        now = int(time.time())
        claims = {"iss": _ISSUER, "sub": USER, "aud": _SERVICE, "exp": now + self.life, "nbf": now - 9, "iat": now - 9}
        signed = f"{_packed({'typ': 'JWT', 'alg': 'RS256', 'x5c': chain})}.{_packed({**claims, 'access': access})}"
        argv = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(argv, input=signed.encode(), capture_output=True, check=True).stdout
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@contextlib.contextmanager
def token_server(key: Path, certificate: Path) -> Iterator[TokenServer]:
    """A token server that signs with ``key``."""
    server: TokenServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(*server.answer("GET", parse_qs(urlsplit(self.path).query), self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(*server.answer("POST", parse_qs(body), self.headers.get("Authorization", "")))

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with threaded(Handler) as host:
        server = TokenServer(f"http://{host}", key, certificate)
        yield server


@contextlib.contextmanager
def threaded(
    handler: type[BaseHTTPRequestHandler], *, key: Path | None = None, certificate: Path | None = None
) -> Iterator[str]:
    """A web server for the length of a test, with a ``certificate`` over TLS; its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _running(folder: Path, address: str, *command: str) -> Iterator[None]:
    # Distribution 3 would look for somebody to tell its traces to.
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
        try:
            _await(address)
            yield
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def certificate(folder: Path, host: str = "") -> tuple[Path, Path]:
    """A key, and a certificate that it signed for 127.0.0.1, and for ``host`` if one is named."""
    key, known = folder / "key.pem", folder / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a registry"]
    names = f"subjectAltName=IP:127.0.0.1{f',DNS:{host}' if host else ''}"
    argv += ["-addext", names, "-keyout", str(key), "-out", str(known)]
    subprocess.run(argv, capture_output=True, check=True)
    return key, known


def _packed(document: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(address: str) -> None:
    host, _, port = address.rpartition(":")
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "the registry did not start"
            time.sleep(0.05)


def one_of(kind: str, folder: Path) -> AbstractContextManager[DockerRegistry]:
    """The registry that KINDS calls ``kind``, in ``folder``."""
    return referrers_registry(folder) if kind == "referrers" else docker_registry(folder, program=kind)


def push(
    images: Sequence[ImageDocuments],
    references: Sequence[Reference],
    registries: Registries,
    store: Store,
    *,
    sources: Mapping[Digest, Reference] | None = None,
    jobs: int = 2,
) -> tuple[Pushed, ...]:
    """Push what lies in ``store``, in silence."""
    pusher = Pusher(registries=registries, blobs=store, store=store, jobs=jobs, reporter=Quiet(), sources=sources or {})
    return pusher.push(images, references)
