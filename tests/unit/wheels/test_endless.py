"""Servers that send without end: pip stops where nobody's wheels are that large."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from oci_builder.errors import ResolutionError
from oci_builder.wheels import pip

WHEEL = "x-1.0-py3-none-any.whl"
MB = 1 << 20


class Endless(BaseHTTPRequestHandler):
    """An index of one project, ``x``; its wheel never ends, nor does the page of ``y``."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if self.path == "/simple/x/":
            self.wfile.write(f'<a href="/{WHEEL}">{WHEEL}</a>'.encode())
            return
        try:
            while True:
                self.wfile.write(bytes(MB))
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep still."""


@pytest.fixture
def index() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def download(name: str, index: str, folder: Path, *, most: int) -> None:
    sources = pip.WheelSources(environ=os.environ, most=most)
    words = ["download", "--no-deps", "--no-cache-dir", f"--index-url={index}", f"--dest={folder}", name]
    pip.run(words, sources=sources, rules=pip.PipRules(markers=None))


def test_a_wheel_without_end_is_refused_with_the_key_that_allows_more(index: str, tmp_path: Path) -> None:
    with pytest.raises(ResolutionError, match="does not end") as caught:
        download("x", index, tmp_path, most=64 * MB)
    assert WHEEL in str(caught.value)
    assert "max-unpacked" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_end_is_refused(index: str, tmp_path: Path) -> None:
    with pytest.raises(ResolutionError, match="a page of an index that does not end"):
        download("y", index, tmp_path, most=1 << 40)
