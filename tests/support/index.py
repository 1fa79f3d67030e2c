"""A package index on the loopback interface: PEP 503 and PEP 691 over one folder of files."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

_JSON = "application/vnd.pypi.simple.v1+json"


class Index:
    """A running index; ``url`` is its address, ``paths`` what was asked of it so far."""

    def __init__(
        self,
        folder: Path,
        *,
        user: str,
        password: str,
        yanked: Mapping[str, str],
        as_json: bool,
        broken: frozenset[str],
        hashes: Sequence[str],
    ) -> None:
        self.folder, self.user, self.password = folder, user, password
        self.yanked, self.as_json, self.broken, self.hashes = yanked, as_json, broken, hashes
        self.paths: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """The simple index, without credentials."""
        return f"http://127.0.0.1:{self.port}/simple/"

    @property
    def url_with_credentials(self) -> str:
        """The simple index, with them."""
        return f"http://{self.user}:{self.password}@127.0.0.1:{self.port}/simple/"

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` with this as pip's only index and nothing else said to pip."""
        kept = {name: value for name, value in environ.items() if not name.startswith("PIP_")}
        url = self.url_with_credentials if self.password else self.url
        ours = {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
        return {**kept, **ours, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def files(self, project: str) -> list[Path]:
        """The files of one project, sorted."""
        return [path for path in sorted(self.folder.iterdir()) if _project(path) == project]

    def allows(self, header: str | None) -> bool:
        """Whether a request with this Authorization header may pass."""
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return not self.password or header == f"Basic {expected}"

    def serve(self) -> None:
        """Answer until stopped."""
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Stop answering and close the port."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serve_index(
    folder: Path,
    *,
    user: str = "user",
    password: str = "",
    yanked: Mapping[str, str] | None = None,
    as_json: bool = True,
    broken: frozenset[str] = frozenset(),
    hashes: Sequence[str] = ("sha256",),
) -> Iterator[Index]:
    """Serve ``folder``; a password asks for basic authentication, files in ``broken`` arrive damaged.

    Of each file it tells ``hashes``, in HTML the first of them.
    """
    index = Index(
        folder, user=user, password=password, yanked=yanked or {}, as_json=as_json, broken=broken, hashes=hashes
    )
    thread = threading.Thread(target=index.serve, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.stop()
        thread.join()


def _project(path: Path) -> str:
    return canonicalize_name(
        path.name.removesuffix(".tar.gz").rsplit("-", 1)[0] if path.suffix == ".gz" else path.name.split("-")[0]
    )


def _requires_python(path: Path) -> str | None:
    if path.suffix != ".whl":
        return None
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("Requires-Python: ")), None)


def _file(index: Index, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    entry: dict[str, Any] = {
        "filename": path.name,
        "url": f"../../files/{path.name}",
        "hashes": {name: hashlib.new(name, content).hexdigest() for name in index.hashes},
        "size": len(content),
        "yanked": index.yanked.get(path.name, False),
    }
    if (requires := _requires_python(path)) is not None:
        entry["requires-python"] = requires
    return entry


def _anchor(entry: Mapping[str, Any]) -> str:
    python = entry.get("requires-python")
    wants = f' data-requires-python="{html.escape(python)}"' if python else ""
    gone = f' data-yanked="{html.escape(entry["yanked"])}"' if entry["yanked"] else ""
    fragment = next((f"#{name}={digest}" for name, digest in entry["hashes"].items()), "")
    return f'<a href="{entry["url"]}{fragment}"{wants}{gone}>{entry["filename"]}</a><br>'


def _page(index: Index, project: str) -> tuple[bytes, str] | None:
    files = [_file(index, path) for path in index.files(project)]
    if not files:
        return None
    if index.as_json:
        page = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
        return json.dumps(page).encode(), _JSON
    return f"<!DOCTYPE html><html><body>{''.join(map(_anchor, files))}</body></html>".encode(), "text/html"


def _handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            index.paths.append(path)
            if not index.allows(self.headers.get("Authorization")):
                self._answer(401, b"", "text/plain", {"WWW-Authenticate": 'Basic realm="index"'})
                return
            found = self._simple(path) if path.startswith("/simple/") else self._content(path)
            self._answer(200 if found else 404, *(found or (b"", "text/plain")))

        def _simple(self, path: str) -> tuple[bytes, str] | None:
            return _page(index, path.removeprefix("/simple/").strip("/"))

        def _content(self, path: str) -> tuple[bytes, str] | None:
            file = index.folder / Path(path).name
            if not path.startswith("/files/") or not file.is_file():
                return None
            content = bytearray(file.read_bytes())
            if file.name in index.broken:
                content[len(content) // 2] ^= 0x01
            return bytes(content), "application/octet-stream"

        def _answer(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

    return Handler
