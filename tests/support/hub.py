"""Docker Hub on this machine: a registry that has its name, and the proxy through which that name leads to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.engines import call
from tests.support.registries import DockerRegistry, docker_registry

HOST = "registry-1.docker.io"


@dataclass
class Hub:
    """``proxy`` is its address; every name leads to ``registry`` through it."""

    registry: DockerRegistry
    proxy: str

    def hold(self, archive: Path, name: str) -> None:
        """Have the image of a docker archive under ``name``."""
        place = f"docker://{self.registry.host}/{name}"
        call("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}", place)


@contextlib.contextmanager
def docker_hub(folder: Path) -> Iterator[Hub]:
    """A registry of Debian's in ``folder`` that is called as Docker Hub is."""
    with docker_registry(folder, tls=True, host=HOST) as registry:
        host, _, port = registry.host.rpartition(":")

        class Tunnel(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                with socket.create_connection((host, int(port)), timeout=30) as there:
                    self.send_response(200)
                    self.end_headers()
                    _both_ways(self.connection, there)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Hub(registry, f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_one_way, args=(other, one), daemon=True)
    back.start()
    _one_way(one, other)
    back.join(30)


def _one_way(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
