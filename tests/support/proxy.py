"""A proxy on the loopback interface: what is plain it passes on, for what is encrypted it opens a tunnel."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.support.registries import threaded

_PATIENCE = 20


@dataclass
class Proxy:
    """A running proxy: ``asked`` holds the method, the target and the Proxy-Authorization of each question.

    ``refuses`` is the status that it answers instead, if it is one.
    """

    host: str = ""
    refuses: int = 0
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, as an environment names it."""
        return f"http://{self.host}"


@contextlib.contextmanager
def proxy() -> Iterator[Proxy]:
    """A proxy for the length of a test."""
    running = Proxy()
    with threaded(_handler(running)) as host:
        running.host = host
        yield running


def _handler(running: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _noted(self) -> bool:
            running.asked.append((self.command, self.path, self.headers.get("Proxy-Authorization")))
            if running.refuses:
                self.send_error(running.refuses)
            return not running.refuses

        def do_GET(self) -> None:
            if self._noted():
                parts = urlsplit(self.path)
                there = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)
                there.request("GET", parts.path, headers={name: self.headers[name] for name in self.headers})
                answer = there.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                there.close()

        def do_CONNECT(self) -> None:
            if self._noted():
                host, _, port = self.path.partition(":")
                with socket.create_connection((host, int(port)), timeout=_PATIENCE) as there:
                    self.send_response(200)
                    self.end_headers()
                    _relay(self.connection, there)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    return Handler


def _relay(one: socket.socket, other: socket.socket) -> None:
    ways: dict[socket.socket, Callable[[bytes], None]] = {one: other.sendall, other: one.sendall}
    with contextlib.suppress(OSError):
        while True:
            for source in select.select(list(ways), [], [], _PATIENCE)[0]:
                piece = source.recv(1 << 16)
                if not piece:
                    return
                ways[source](piece)
