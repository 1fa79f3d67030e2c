"""A registry in this process that does what it is told to do wrong."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.reference import Reference
from tests.support.registries import threaded

_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>\w*)\Z")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:\w+)\Z")
_TAGS = re.compile(r"/v2/(?P<name>.+)/tags/list\Z")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<tag>\S+)\Z")


class Handler(BaseHTTPRequestHandler):
    """One request; a fault does with it what it likes and says whether that was all."""

    protocol_version = "HTTP/1.1"
    registry: FakeRegistry

    def say(self, status: int, body: bytes = b"", /, **headers: str) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        """What was sent along."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def hang_up(self) -> None:
        """Break the connection, as a failing network does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def do(self) -> None:
        """Any request."""
        self.registry.asked.append((self.command, self.path, dict(self.headers)))
        for pattern, fault in list(self.registry.faults):
            if re.search(pattern, f"{self.command} {self.path}"):
                if not fault.lasting:
                    self.registry.faults.remove((pattern, fault))
                fault.act(self)
                return
        with contextlib.suppress(ConnectionError):
            self.registry.serve(self)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.do
        raise AttributeError(name)

    def handle(self) -> None:
        """All requests of one connection; clients may hang up as well."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing."""


@dataclass(frozen=True, eq=False)
class Fault:
    """Something a registry does wrong, once unless it is ``lasting``."""

    act: Callable[[Handler], None]
    lasting: bool = False


@dataclass
class FakeRegistry:
    """What it has, what it was asked, and what it does wrong: a pattern of "METHOD path" and a fault each."""

    host: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    smallest_chunk: int = 0
    whole: bool = True
    mounts: bool = True
    page: int = 1000

    def reference(self, name: str) -> Reference:
        """``team/x:1`` in this registry."""
        return Reference.parse(f"{self.host}/{name}")

    def does(self, pattern: str, act: Callable[[Handler], None], *, lasting: bool = False) -> None:
        """Do ``act`` instead of answering the next request like ``pattern``, or every one."""
        self.faults.append((pattern, Fault(act, lasting)))

    def methods(self) -> list[str]:
        """The requests so far, without their queries; the first look whether anybody answers left out."""
        lines = [f"{method} {urlsplit(path).path}" for method, path, _ in self.asked]
        return [line for line in lines if line != "GET /v2/"]

    def serve(self, request: Handler) -> None:
        """What a registry does."""
        path = urlsplit(request.path).path
        if path == "/v2/":
            request.say(200, b"{}")
        elif found := _UPLOAD.match(path):
            self._upload(request, found["name"], found["id"])
        elif found := _BLOB.match(path):
            self._blob(request, found["digest"])
        elif found := _TAGS.match(path):
            self._tags(request, found["name"])
        elif found := _MANIFEST.match(path):
            self._manifest(request, f"{found['name']}:{found['tag']}")
        else:
            request.say(404)

    def _blob(self, request: Handler, digest: str) -> None:
        data = self.blobs.get(digest)
        if data is None:
            request.say(404)
            return
        ranged = re.match(r"bytes=(\d+)-\Z", request.headers.get("Range", ""))
        request.say(206 if ranged else 200, data[int(ranged[1]) :] if ranged else data)

    def _tags(self, request: Handler, name: str) -> None:
        query = parse_qs(urlsplit(request.path).query)
        held = [key.partition(":")[2] for key in self.manifests if key.startswith(f"{name}:")]
        tags = sorted(tag for tag in held if ":" not in tag)
        if not held:
            request.say(404, error("NAME_UNKNOWN", "repository name not known to registry"))
            return
        rest = [tag for tag in tags if tag > query.get("last", [""])[0]]
        page = rest[: min(int(query["n"][0]), self.page)]
        more = {"Link": f'</v2/{name}/tags/list?last={page[-1]}&n={query["n"][0]}>; rel="next"'} if page != rest else {}
        request.say(200, json.dumps({"name": name, "tags": page}).encode(), **more)

    def _manifest(self, request: Handler, name: str) -> None:
        if request.command == "PUT":
            raw = request.body()
            self.manifests[name] = raw, request.headers["Content-Type"]
            digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
            self.manifests[f"{name.rpartition(':')[0] if 'sha256' not in name else name.split(':')[0]}:{digest}"] = (
                self.manifests[name]
            )
            request.say(201, Docker_Content_Digest=digest)
        elif name in self.manifests:
            raw, media_type = self.manifests[name]
            digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
            request.say(200, raw, Content_Type=media_type, Docker_Content_Digest=digest)
        else:
            request.say(404, error("MANIFEST_UNKNOWN", "manifest unknown"))

    def _upload(self, request: Handler, name: str, upload: str) -> None:
        query = parse_qs(urlsplit(request.path).query)
        body = request.body()
        if request.command == "POST":
            if self.mounts and query.get("mount", [""])[0] in self.blobs:
                request.say(201)
                return
            upload = f"u{next(self.numbers)}"
            self.uploads[upload] = bytearray()
            more = {"OCI_Chunk_Min_Length": str(self.smallest_chunk)} if self.smallest_chunk else {}
            request.say(202, b"", Location=f"/v2/{name}/blobs/uploads/{upload}?state=secret-state", **more)
            return
        if request.command == "PUT" and body and not self.whole:
            request.say(413, error("SIZE_INVALID", "too large"))
            return
        self.uploads[upload] += body
        if request.command == "PATCH":
            request.say(202, Location=f"/v2/{name}/blobs/uploads/{upload}?state=secret-state")
            return
        digest = f"sha256:{hashlib.sha256(self.uploads[upload]).hexdigest()}"
        if digest != query["digest"][0]:
            request.say(400, error("DIGEST_INVALID", "provided digest did not match uploaded content"))
            return
        self.blobs[digest] = bytes(self.uploads.pop(upload))
        request.say(201, Docker_Content_Digest=digest)

    def hold(self, data: bytes) -> str:
        """Have a blob; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return digest

    def hold_manifest(self, name: str, raw: bytes, media_type: str = MANIFEST) -> None:
        """Have a manifest under ``team/x:1``."""
        self.manifests[name] = raw, media_type


@contextlib.contextmanager
def fake_registry(*, key: Path | None = None, certificate: Path | None = None) -> Iterator[FakeRegistry]:
    """A running one; with a ``certificate``, over TLS."""
    registry = FakeRegistry()
    with threaded(type("Bound", (Handler,), {"registry": registry}), key=key, certificate=certificate) as host:
        registry.host = host
        yield registry


def error(code: str, message: str) -> bytes:
    """The body of a refusal (distribution-spec, "Error Codes")."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def refuse(status: int, **headers: str) -> Callable[[Handler], None]:
    """Answer with nothing but a status."""

    def act(request: Handler) -> None:
        request.body()
        request.say(status, error("TOOMANYREQUESTS", "not now"), **headers)

    return act


def give(body: bytes, *, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    """Answer with something else."""
    return lambda request: request.say(status, body, **headers)


def break_after(body: bytes, *, promised: int, status: int = 200) -> Callable[[Handler], None]:
    """Promise more than is sent, then hang up."""

    def act(request: Handler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(promised))
        request.end_headers()
        request.wfile.write(body)
        request.wfile.flush()
        time.sleep(0.05)  # else the reset overtakes what was sent
        request.hang_up()

    return act


def hang_up_reading(count: int) -> Callable[[Handler], None]:
    """Read so many bytes of what is sent, then hang up."""

    def act(request: Handler) -> None:
        request.rfile.read(min(count, int(request.headers["Content-Length"])))
        request.hang_up()

    return act


def drip(request: Handler) -> None:
    """Send the head of an answer so slowly that no single receive ever times out."""
    with contextlib.suppress(OSError):
        for letter in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2000:
            request.connection.send(bytes([letter]))
            time.sleep(0.02)


def drip_body(request: Handler) -> None:
    """Send a body that never ends, a byte at a time."""
    _drip(request, b"y", "Content-Length", "100000")


def drip_chunk(request: Handler) -> None:
    """Begin a body whose first chunk never gets as far as saying how long it is."""
    _drip(request, b"0", "Transfer-Encoding", "chunked")


def _drip(request: Handler, byte: bytes, header: str, value: str) -> None:
    with contextlib.suppress(OSError):
        request.send_response(200)
        request.send_header(header, value)
        request.end_headers()
        for _ in range(2000):
            request.connection.send(byte)
            time.sleep(0.02)
