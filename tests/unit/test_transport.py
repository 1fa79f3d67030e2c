"""Downloads against a server that misbehaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.errors import FileProblem, TransportError
from oci_builder.files import spooled
from oci_builder.redaction import redacted
from oci_builder.retry import LONGEST_WAIT
from oci_builder.transport import Transport
from tests.support.webserver import WebServer, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "file").write_bytes(b"content")
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def transport(waits: list[float]) -> Transport:
    return Transport(timeout=5, sleep=waits.append)


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


def test_what_is_printed_of_an_address_holds_no_secret() -> None:
    assert redacted("https://me:secret@host:8/a/b?sig=x#y") == "https://host:8/a/b"
