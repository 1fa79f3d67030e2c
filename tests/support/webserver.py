"""A web server on the loopback interface: a folder, and faults to switch on."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

Answer = tuple[int, dict[str, str], bytes]


class WebServer:
    """A running server: ``url`` is its address, ``asked`` the (path, headers) asked of it so far.

    ``faults`` maps a path to answers given, one after the other, before the true one. ``connections`` counts those that
    were opened, ``still_open`` those that nobody closed; with ``keeps`` a client may ask for more over one of them.
    """

    def __init__(self, folder: Path | None = None, *, keeps: bool = False) -> None:
        self.folder = folder
        self.keeps = keeps
        self.connections = self.still_open = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.faults: dict[str, list[Answer]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    @property
    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [path for path, _ in self.asked]

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        """What the server says to a GET of ``path``."""
        self.asked.append((path, headers))
        if self.faults.get(path):
            return self.faults[path].pop(0)
        file = self.folder / path.lstrip("/") if self.folder else None
        return (200, {}, file.read_bytes()) if file and file.is_file() else (404, {}, b"no such file")

    def encrypt(self, certificate: Path, key: Path | None) -> None:
        """Speak https from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://{self.host}"

    def run(self) -> None:
        """Serve until stopped."""
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Stop serving and close the port."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving(
    folder: Path | None = None, *, certificate: Path | None = None, key: Path | None = None, keeps: bool = False
) -> Iterator[WebServer]:
    """A server for the length of a test; over https with a ``certificate`` and its ``key``."""
    server = WebServer(folder, keeps=keeps)
    if certificate is not None:
        server.encrypt(certificate, key)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _handler(server: WebServer) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if server.keeps else "HTTP/1.0"

        def setup(self) -> None:
            server.connections += 1
            server.still_open += 1
            super().setup()

        def finish(self) -> None:
            super().finish()
            server.still_open -= 1

        def do_GET(self) -> None:
            status, headers, body = server.answer(unquote(urlsplit(self.path).path), dict(self.headers))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    return Handler
