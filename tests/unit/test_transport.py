"""Downloads against a server that misbehaves."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder import connections
from oci_builder.errors import FileProblem, TransportError
from oci_builder.files import spooled
from oci_builder.redaction import redacted
from oci_builder.retry import LONGEST_WAIT
from oci_builder.transport import Transport
from tests.support.proxy import proxy
from tests.support.registries import certificate
from tests.support.webserver import WebServer, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "file").write_bytes(b"content")
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        for spelt in (name, name.upper()):
            monkeypatch.delenv(spelt, raising=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def encrypted(server: WebServer, pair: tuple[Path, Path]) -> Iterator[WebServer]:
    with serving(server.folder, key=pair[0], certificate=pair[1], keeps=True) as running:
        yield running


@contextlib.contextmanager
def dripping(head: bytes, forever: bytes) -> Iterator[str]:
    """A server that says ``head`` at once, and then the other over and over, a byte at a time."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        over = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                there, _ = listening.accept()
                with there:
                    there.recv(1 << 16)
                    there.sendall(head)
                    while not over.wait(0.02):
                        for byte in forever:
                            there.sendall(bytes([byte]))

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/file"


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def transport(waits: list[float]) -> Iterator[Transport]:
    with contextlib.closing(Transport(timeout=5, sleep=waits.append)) as found:
        yield found


def test_a_file_arrives(server: WebServer, transport: Transport) -> None:
    assert transport.fetch(f"{server.url}/file", limit=7) == b"content"


def test_a_body_past_the_limit_is_refused(server: WebServer, transport: Transport) -> None:
    with pytest.raises(TransportError, match="longer than the 6 bytes"):
        transport.fetch(f"{server.url}/file", limit=6)


def test_a_missing_file_is_asked_for_once(server: WebServer, transport: Transport) -> None:
    with pytest.raises(TransportError, match="404") as raised:
        transport.fetch(f"{server.url}/none", limit=9)
    assert (raised.value.status, server.paths) == (404, ["/none"])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(
    server: WebServer, transport: Transport, waits: list[float], status: int
) -> None:
    server.faults["/file"] = [(status, {"Retry-After": "3"}, b""), (status, {}, b"")]
    assert transport.fetch(f"{server.url}/file", limit=7) == b"content"
    assert waits[0] == 3.0 and len(waits) == 2


def test_retry_after_may_be_a_date(server: WebServer, transport: Transport, waits: list[float]) -> None:
    # http.server adds the true Date itself, so the wait is only known to be bounded.
    server.faults["/file"] = [(503, {"Retry-After": "Fri, 31 Dec 2199 23:59:59 GMT"}, b"")]
    transport.fetch(f"{server.url}/file", limit=7)
    assert waits == [LONGEST_WAIT]


def test_patience_ends(server: WebServer, transport: Transport, waits: list[float]) -> None:
    server.faults["/file"] = [(503, {}, b"")] * 9
    with pytest.raises(TransportError, match="503"):
        transport.fetch(f"{server.url}/file", limit=7)
    assert (len(server.paths), len(waits)) == (4, 3)


def test_a_body_that_breaks_off_is_asked_for_again(server: WebServer, transport: Transport) -> None:
    server.faults["/file"] = [(200, {"Content-Length": "7", "Connection": "close"}, b"con")]
    assert transport.fetch(f"{server.url}/file", limit=7) == b"content"


def test_a_full_disk_is_no_fault_of_the_server(server: WebServer, transport: Transport) -> None:
    assert server.folder is not None
    (server.folder / "large").write_bytes(bytes(4 << 20))
    with pytest.raises(FileProblem, match="/dev/full: no space left on device"), spooled(Path("/dev/full")) as sink:
        transport.save(f"{server.url}/large", sink, limit=8 << 20)
    assert server.paths == ["/large"]


def test_a_host_that_does_not_answer_is_named_without_the_password(transport: Transport, waits: list[float]) -> None:
    with serving() as gone:
        url = f"http://me:secret@{gone.host}/file?token=secret"
    with pytest.raises(TransportError) as raised:
        transport.fetch(url, limit=7)
    assert "secret" not in str(raised.value) and gone.host in str(raised.value)
    assert len(waits) == 3


def test_credentials_go_to_their_own_host_only(server: WebServer, transport: Transport) -> None:
    with serving(server.folder) as other:
        server.faults["/moved"] = [(302, {"Location": f"{other.url}/file"}, b"")]
        url = f"http://me:p%40ss@{server.host}/moved"
        assert transport.fetch(url, limit=7) == b"content"
        assert server.asked[0][1]["Authorization"] == "Basic bWU6cEBzcw=="
        assert "Authorization" not in other.asked[0][1]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "http:///x", "x"])
def test_only_http_addresses_are_opened(transport: Transport, url: str) -> None:
    with pytest.raises(TransportError, match="not an http or https address"):
        transport.fetch(url, limit=7)


def test_a_server_cannot_redirect_to_a_file_of_this_machine(server: WebServer, transport: Transport) -> None:
    server.faults["/moved"] = [(302, {"Location": "file:///etc/passwd"}, b"")]
    with pytest.raises(TransportError):
        transport.fetch(f"{server.url}/moved", limit=1 << 20)


def test_downloads_from_one_server_share_a_connection(server: WebServer, transport: Transport) -> None:
    with serving(server.folder, keeps=True) as keeping:
        keeping.faults["/moved"] = [(302, {"Location": "/file"}, b"over there")]
        for path in ("file", "moved", "file"):
            assert transport.fetch(f"{keeping.url}/{path}", limit=7) == b"content"
        with pytest.raises(TransportError, match="404"):
            transport.fetch(f"{keeping.url}/none", limit=9)
        assert transport.fetch(f"{keeping.url}/file", limit=7) == b"content"
        assert (len(keeping.paths), keeping.connections) == (6, 1)


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(server: WebServer, transport: Transport) -> None:
    # HTTP/1.0: this server hangs up after each answer.
    assert [transport.fetch(f"{server.url}/file", limit=7) for _ in range(3)] == [b"content"] * 3
    assert server.connections == 3


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_connections_end_with_the_transport_that_kept_them(server: WebServer) -> None:
    with serving(server.folder, keeps=True) as keeping:
        transport = Transport(timeout=5)
        transport.fetch(f"{keeping.url}/file", limit=7)
        assert keeping.still_open == 1
        del transport
        gc.collect()
        until = time.monotonic() + 20
        while keeping.still_open and time.monotonic() < until:
            time.sleep(0.01)
        assert keeping.still_open == 0


def test_a_password_goes_where_a_redirect_leads_on_the_same_host(server: WebServer, transport: Transport) -> None:
    server.faults["/moved"] = [(302, {"Location": "/file"}, b"")]
    assert transport.fetch(f"http://me:secret@{server.host}/moved", limit=7) == b"content"
    assert all("Authorization" in headers for _, headers in server.asked)


def test_an_encrypted_server_is_read_where_its_authority_is_trusted(
    encrypted: WebServer, transport: Transport, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TransportError, match="its certificate does not hold") as raised:
        transport.fetch(f"{encrypted.url}/file", limit=7)
    assert encrypted.paths == [] and "REQUESTS_CA_BUNDLE" in str(raised.value.hint)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(pair[1]))
            fresh = Transport(timeout=5)
            assert [fresh.fetch(f"{encrypted.url}/file", limit=7) for _ in range(2)] == [b"content"] * 2


@pytest.mark.parametrize("content", [None, b"none"])
def test_a_bundle_of_certificates_that_is_none_is_told_of(
    encrypted: WebServer, waits: list[float], tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "bundle").write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bundle"))
    with pytest.raises(TransportError, match="no certificates of authorities can be read"):
        Transport(timeout=5, sleep=waits.append).fetch(f"{encrypted.url}/file", limit=7)
    assert waits == []


def test_a_redirect_does_not_lead_out_of_encryption(
    server: WebServer, encrypted: WebServer, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pair[1]))
    encrypted.faults["/moved"] = [(302, {"Location": f"{server.url}/file"}, b"")]
    with pytest.raises(TransportError, match="redirects to an unencrypted place"):
        Transport(timeout=5).fetch(f"{encrypted.url}/moved", limit=7)
    assert server.paths == []


def test_redirects_end(server: WebServer, transport: Transport) -> None:
    server.faults["/moved"] = [(302, {"Location": "/moved"}, b"")] * 99
    with pytest.raises(TransportError, match="more than 10 redirects"):
        transport.fetch(f"{server.url}/moved", limit=7)
    assert len(server.paths) == 10


def test_proxies_of_the_environment_are_gone_through(
    server: WebServer, encrypted: WebServer, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy() as between:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{between.host}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{between.host}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pair[1]))
        for each in (server, encrypted):
            assert Transport(timeout=5).fetch(f"{each.url}/file", limit=7) == b"content"
        secret = "Basic bWU6cEBzcw=="
        assert between.asked == [("GET", f"{server.url}/file", secret), ("CONNECT", encrypted.host, secret)]
        assert not any("Proxy-Authorization" in headers for _, headers in encrypted.asked)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for each in (server, encrypted):
            assert Transport(timeout=5).fetch(f"{each.url}/file", limit=7) == b"content"
        assert len(between.asked) == 2


@pytest.mark.parametrize(("status", "tries"), [(407, 1), (403, 1), (503, 2)])
def test_a_proxy_that_refuses_is_told_of_without_its_password(
    encrypted: WebServer, waits: list[float], status: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy() as between:
        between.refuses = status
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{between.host}")
        with pytest.raises(TransportError, match=f"the proxy refuses with {status}") as raised:
            Transport(timeout=5, attempts=2, sleep=waits.append).fetch(f"{encrypted.url}/file", limit=7)
    assert "secret" not in str(raised.value) and len(between.asked) == tries


@pytest.mark.parametrize(
    ("head", "forever"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"y"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\n", b"y"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9999\r\n\r\n", b"y"),
    ],
    ids=["head", "heads", "body", "chunk", "trailers", "redirect", "refusal"],
)
def test_what_drips_is_given_up_in_time(head: bytes, forever: bytes, waits: list[float]) -> None:
    began = time.monotonic()
    with dripping(head, forever) as url:
        with pytest.raises(TransportError, match=r"not finished within|the connection broke"):
            Transport(timeout=20, total=0.5, attempts=1, sleep=waits.append).fetch(url, limit=7000)
        assert time.monotonic() - began < 15


def test_what_broke_is_never_told_in_words_of_a_library(transport: Transport) -> None:
    with serving() as gone:
        host = gone.host
    with pytest.raises(connections.BROKEN) as raised:
        transport._connections.ask("GET", f"http://me:secret@{host}/?token=secret", timeout=5)
    assert connections.breakage_of(raised.value).why == "connection refused"


def test_what_is_printed_of_an_address_holds_no_secret() -> None:
    assert redacted("https://me:secret@host:8/a/b?sig=x#y") == "https://host:8/a/b"
