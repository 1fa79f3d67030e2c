"""What can go wrong below HTTP, in our words, and within how much time; certificates; where redirects lead."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from oci_builder.bounded import parse_decimal
from oci_builder.errors import FileProblem, RegistryError
from oci_builder.files import open_regular
from oci_builder.redaction import redacted
from oci_builder.registry.access import Access, Deadline
from oci_builder.retry import Transient
from oci_builder.transport import in_time, seconds_of

T = TypeVar("T")

BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""What the libraries below raise when a connection fails, or an address or a header is none that could be used."""

_CONNECTIONS = 16


class TransientError(Transient, RegistryError):
    """A failure that may be over in a while."""


class Trusting(HTTPAdapter):
    """Trusts the system's certificates and those of ``ca_file``, besides the bundle that requests brings along."""

    def __init__(self, access: Access) -> None:
        self._context = ssl.create_default_context()
        if access.ca_file is not None:
            try:
                with open_regular(access.ca_file, noted=False):
                    self._context.load_verify_locations(access.ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise FileProblem(str(access.ca_file), "no certificates in PEM form can be read from it") from error
        if access.insecure:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """With our context."""
        super().init_poolmanager(*args, ssl_context=self._context, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """With our context, through a proxy too."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **more)


def run_with_deadline(deadline: Deadline, act: Callable[[], T]) -> T:
    """``act``, in a thread that is left alone when the time is up: a server that drips bytes keeps no socket's timeout.

    Raises what ``act`` raises, and TimeoutError.
    """
    return in_time(deadline.left, act)


def failure(method: str, url: str, error: Exception) -> RegistryError:
    """One of BROKEN as ours: TransientError unless it will be the same the next time."""
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"its certificate does not hold: {cause.verify_message}"
        hint = "name its authority's certificate with --ca-file, or trust anything with --insecure"
        return RegistryError(method, redacted(url), why, hint=hint)
    if isinstance(cause, ssl.SSLError):
        return TransientError(
            method, redacted(url), "it does not speak TLS, or broke off", hint="plain http needs --insecure"
        )
    if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
        hint = "check the name of the registry, and the proxy if there is one"
        return RegistryError(method, redacted(url), "no such host", hint=hint)
    if isinstance(error, ValueError):
        return RegistryError(method, redacted(url), "its address, or a header that was sent or came, does not hold")
    return TransientError(method, redacted(url), words(error))


def words(error: BaseException) -> str:
    """What broke. Never the text of the library's error: it may quote an address with what should not be read."""
    cause = _innermost(error)
    if isinstance(cause, TimeoutError) or isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return {"RemoteDisconnected": "it hung up without an answer"}.get(type(cause).__name__, "the connection broke")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds (RFC 9110, 10.2.3); a date counts from the answer's own, not from this machine's clock."""
    return seconds_of(headers.get("Retry-After", ""), headers.get("Date", ""))


def content_length(answer: requests.Response) -> int | None:
    """How many bytes an answer says it has, if it says so. Raises RegistryError for what is no such number."""
    text = answer.headers.get("Content-Length")
    try:
        return None if text is None else parse_decimal(text.strip())
    except ValueError as error:
        answer.close()
        why = "its answer has a Content-Length that is no number"
        raise RegistryError(answer.request.method or "", redacted(answer.url), why) from error


def origin(url: str) -> str:
    """Scheme, host and port: whom a secret is for (RFC 6454)."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def redirected(url: str, answer: requests.Response) -> str:
    """Where ``answer`` leads from ``url``. Raises RegistryError where that is no longer encrypted, or no address."""
    method = answer.request.method or ""
    try:
        # As it is given: what it says behind the question mark is the registry's business.
        target = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
        parts = urllib.parse.urlsplit(target)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        known = False
    if not known:
        raise RegistryError(method, redacted(url), "it redirects to what is no http or https address")
    if url.startswith("https:") and parts.scheme != "https":
        raise RegistryError(method, redacted(url), "it redirects to an unencrypted place")
    return target


def _innermost(error: BaseException) -> BaseException:
    seen: list[BaseException] = [error]
    while True:
        inner = [*seen[-1].args, getattr(seen[-1], "reason", None), seen[-1].__cause__, seen[-1].__context__]
        deeper = next((each for each in inner if isinstance(each, BaseException) and each not in seen), None)
        if deeper is None:
            return seen[-1]
        seen.append(deeper)
