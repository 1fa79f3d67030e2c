"""HTTP as all here speak it: connections that are kept, whom they trust, where they lead, and what broke.

requests and urllib3 take as long to load as all that a build with nothing to do takes. So whoever may not need a server
imports this file where it does.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from oci_builder.bounded import parse_decimal
from oci_builder.errors import FileProblem, OcibuildError
from oci_builder.files import open_regular
from oci_builder.retry import TRANSIENT_STATUS
from oci_builder.threads import in_time

Answer = requests.Response
"""The head of an answer, and a body that is still to be read."""

BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""What the libraries below raise when a connection fails, or an address or a header is none that could be used."""

_CONNECTIONS = 16
_PIECE = 1 << 18
_WHOM_TO_TRUST = (
    "set REQUESTS_CA_BUNDLE to a file that has its authority's certificate; "
    "for registries, --ca-file names one as well, and --insecure trusts anybody"
)
_NO_BUNDLE = "set REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE to a file with certificates in PEM form, or to nothing"
_PLAIN = "if it speaks plain http, say http:// where its address is written; for a registry, --insecure"
_WHERE = "check its name, and the proxy if there is one"
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")


class Breakage(OcibuildError):
    """What broke, or leads nowhere: ``why``, a hint, and whether it ``may_pass``. Who asked says where that was."""

    def __init__(self, why: str, hint: str | None = None, *, may_pass: bool = True) -> None:
        super().__init__(why, hint=hint)
        self.why, self.may_pass = why, may_pass


class Connections:
    """Asks servers, and keeps the connections for the next question; threads may share it.

    ``ca_file`` is trusted besides the system's certificates and the bundle of requests; ``insecure`` trusts anybody.
    Proxies are those of the environment. No cookies, no passwords of a .netrc, no redirects.
    """

    def __init__(self, *, ca_file: Path | None = None, insecure: bool = False) -> None:
        self._ca_file, self._insecure = ca_file, insecure
        self._lock = threading.Lock()
        self._encrypts = False
        self._session = _session()
        if insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def ask(
        self, method: str, url: str, *, timeout: float, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """One request, and the head of its answer, whatever that is. A server may be silent for ``timeout`` seconds.

        ``more`` is what requests calls data and params. Raises one of BROKEN, and FileProblem for the ``ca_file``.
        """
        if url.lower().startswith("https:"):
            self._encrypt()
        answer: Answer = self._session.request(
            method,
            url,
            headers={"User-Agent": "ocibuild", "Accept-Encoding": "identity", **(headers or {})},
            stream=True,
            allow_redirects=False,
            timeout=timeout,
            verify=not self._insecure,
            **more,
        )
        return answer

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
        # Closing the session only forgets them, and the collector closes them in whatever order it likes.
        for adapter in self._session.adapters.values():
            assert isinstance(adapter, HTTPAdapter)
            pools = adapter.poolmanager.pools
            for key in pools.keys():  # noqa: SIM118 - it is no mapping that could be walked
                pools[key].close()
        self._session.close()

    def _encrypt(self) -> None:
        """Know whom to trust. To read the system's certificates takes longer than a plain request on loopback does."""
        with self._lock:
            if not self._encrypts:
                self._session.mount("https://", _Trusting(self._ca_file, insecure=self._insecure))
                self._encrypts = True


def read_piece(answer: Answer, *, seconds: float | None = None) -> bytes:
    """What has arrived of a body, empty at its end. Raises one of BROKEN.

    TimeoutError where that takes longer than ``seconds``; without them, whoever calls has to count the time.
    """
    if seconds is None or not answer.raw.chunked:
        return _one_receive(answer)
    # Between two chunks the library reads lines, to their end, however slowly they drip.
    try:
        return in_time(seconds, lambda: _one_receive(answer))
    except TimeoutError:
        # Who still reads there would keep the lock of the connection, which closing it waits for.
        with contextlib.suppress(RuntimeError, ValueError):
            answer.raw.shutdown()
        raise


def _one_receive(answer: Answer) -> bytes:
    # Not read(): that waits for all it was asked for.
    piece: bytes = answer.raw.read1(_PIECE, decode_content=False)
    return piece


def content_length(answer: Answer) -> int | None:
    """How many bytes an answer says it has, if it says so. Raises Breakage for what is no such number."""
    text = answer.headers.get("Content-Length")
    try:
        return None if text is None else parse_decimal(text.strip())
    except ValueError as error:
        # Nobody knows where such an answer ends, and waiting for that takes minutes.
        answer.close()
        raise Breakage("its answer has a Content-Length that is no number", may_pass=False) from error


def origin(url: str) -> str:
    """Scheme, host and port: whom a secret is for (RFC 6454)."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def redirected(url: str, answer: Answer) -> str:
    """Where ``answer`` leads from ``url``. Raises Breakage where that is no longer encrypted, or no address."""
    try:
        # As it is given: what it says behind the question mark is the server's business.
        target = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
        parts = urllib.parse.urlsplit(target)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        known = False
    if not known:
        raise Breakage("it redirects to what is no http or https address", may_pass=False)
    if url.lower().startswith("https:") and parts.scheme != "https":
        raise Breakage("it redirects to an unencrypted place", may_pass=False)
    return target


def breakage_of(error: Exception) -> Breakage:
    """One of BROKEN, in our words: a library's may quote an address, with what should not be read in it."""
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Breakage(f"its certificate does not hold: {cause.verify_message}", _WHOM_TO_TRUST, may_pass=False)
    if "CA certificate bundle" in str(cause) or getattr(cause, "reason", "") == "NO_CERTIFICATE_OR_CRL_FOUND":
        # What requests and OpenSSL say of a file that the environment alone names.
        return Breakage("no certificates of authorities can be read", _NO_BUNDLE, may_pass=False)
    if isinstance(cause, ssl.SSLError):
        return Breakage("it does not speak TLS, or broke off", _PLAIN)
    if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
        return Breakage("no such host", _WHERE, may_pass=False)
    if tunnel := _TUNNEL.search(str(cause)):
        status = int(tunnel[1])
        return Breakage(f"the proxy refuses with {status}", _WHERE, may_pass=status in TRANSIENT_STATUS)
    if isinstance(error, ValueError):
        return Breakage("its address, or a header that was sent or came, does not hold", may_pass=False)
    return Breakage(words(error))


def words(error: BaseException) -> str:
    """What broke a connection."""
    cause = _innermost(error)
    if isinstance(cause, TimeoutError) or isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return {"RemoteDisconnected": "it hung up without an answer"}.get(type(cause).__name__, "the connection broke")


def _innermost(error: BaseException) -> BaseException:
    seen: list[BaseException] = [error]
    while True:
        inner = [*seen[-1].args, getattr(seen[-1], "reason", None), seen[-1].__cause__, seen[-1].__context__]
        deeper = next((each for each in inner if isinstance(each, BaseException) and each not in seen), None)
        if deeper is None:
            return seen[-1]
        seen.append(deeper)


class _Wide(HTTPAdapter):
    """Sends bodies in pieces that are worth a system call: urllib3's own are of 16 KiB."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """With larger pieces."""
        super().init_poolmanager(*args, blocksize=_PIECE, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """With larger pieces, through a proxy too."""
        return super().proxy_manager_for(proxy, blocksize=_PIECE, **more)


class _Trusting(_Wide):
    """Trusts the system's certificates and those of ``ca_file``, besides the bundle that requests brings along."""

    def __init__(self, ca_file: Path | None, *, insecure: bool) -> None:
        self._context = ssl.create_default_context()
        if ca_file is not None:
            try:
                with open_regular(ca_file, noted=False):
                    self._context.load_verify_locations(ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise FileProblem(str(ca_file), "no certificates in PEM form can be read from it") from error
        if insecure:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """With our context."""
        super().init_poolmanager(*args, ssl_context=self._context, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """With our context, through a proxy too."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **more)


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", _Wide())
    # Some registries (Harbor) take a cookie for the sign of a browser, and want more of it.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Without this requests would put a .netrc's password over our token.
    session.auth = _as_it_is
    # Without this requests would read all that comes with a redirect, however much that is, to know where it leads.
    session.get_redirect_target = _nowhere  # type: ignore[method-assign, assignment]  # the one way it can be told
    return session


def _nowhere(answer: Answer) -> None:
    """Redirects are ours to follow."""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
