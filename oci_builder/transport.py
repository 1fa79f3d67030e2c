"""Plain downloads: a GET that ends, that stays small, and that says what was wrong without telling a password.

urllib of the standard library does all this needs (proxies of the environment, the system's certificates), so that a
build which takes its packages from a mirror costs no further dependency.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import IO

from oci_builder.errors import TransportError

TIMEOUT = 30.0
"""Seconds a server may be silent."""

ATTEMPTS = 4
LONGEST_WAIT = 30.0
"""Seconds; a server that asks for more is given up on sooner than it likes."""

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Transport:
    """How to download; ``sleep`` is what waiting between attempts means."""

    timeout: float = TIMEOUT
    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, url: str, *, limit: int) -> bytes:
        """The body at ``url`` (http or https), ``limit`` bytes long at most.

        Tried again after a broken connection and after 429 and 5xx, as Retry-After says. Credentials in the URL go to
        its own host only. Raises TransportError, whose ``status`` is the HTTP status where there was an answer.
        """
        attempt = 0
        while True:
            attempt += 1
            answer = self._attempt(url, limit)
            if isinstance(answer, bytes):
                return answer
            if attempt >= self.attempts:
                raise answer.error
            self.sleep(min(answer.wait or 0.5 * 2**attempt, LONGEST_WAIT))

    def _attempt(self, url: str, limit: int) -> bytes | _Again:
        try:
            request = _request(url)
            with _opener().open(request, timeout=self.timeout) as answer:
                return _body(answer, limit, url)
        except urllib.error.HTTPError as error:
            return _refused(error, url)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            return _Again(TransportError(redacted(url), _words(reason)))
        except ValueError as error:  # of urllib: no host, no port, or letters that no address has
            raise TransportError(redacted(url), "not an http or https address") from error


@dataclass(frozen=True, slots=True)
class _Again:
    """A failure that may be over in a while; ``wait`` is what the server asked for, in seconds."""

    error: TransportError
    wait: float | None = None


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise TransportError(redacted(req.full_url), "redirects from https to an unencrypted place")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # the library reads the body, whatever stream it is


def redacted(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "an address that does not read"  # nor can a password in it be told apart
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _opener() -> urllib.request.OpenerDirector:
    # Not build_opener(): that one also opens file: and ftp: addresses, also those a server redirects to.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.ProxyBasicAuthHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    return opener


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TransportError(redacted(url), "not an http or https address")
    user, at, host = parts.netloc.rpartition("@")
    bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = urllib.request.Request(bare, headers={"User-Agent": "ocibuild", "Accept-Encoding": "identity"})
    if at:
        name, _, password = user.partition(":")
        secret = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}".encode()
        # Unredirected: another host than the one it was written for never sees it.
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(secret).decode()}")
    return request


def _body(answer: http.client.HTTPResponse, limit: int, url: str) -> bytes | _Again:
    pieces, size = [], 0
    while piece := answer.read(_CHUNK):
        size += len(piece)
        if size > limit:
            raise TransportError(redacted(url), f"longer than the {limit} bytes it may have")
        pieces.append(piece)
    promised = answer.headers.get("Content-Length")
    if promised is not None and promised.isdigit() and size < int(promised):
        return _Again(TransportError(redacted(url), f"the connection broke after {size} of {promised} bytes"))
    return b"".join(pieces)


def _refused(error: urllib.error.HTTPError, url: str) -> _Again:
    """What to make of an HTTP error. Raises TransportError where another attempt would hear the same."""
    with error:
        hint = "its address needs a user and a password" if error.code in (401, 403) else None
        said = TransportError(redacted(url), f"{error.code} {error.reason}".strip(), status=error.code, hint=hint)
        if error.code not in _AGAIN:
            raise said from error
        return _Again(said, _retry_after(error.headers))


def _retry_after(headers: Message) -> float | None:
    """Seconds (RFC 9110, 10.2.3); a date counts from the answer's own, not from this machine's clock."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
        return max(0.0, (until - email.utils.parsedate_to_datetime(headers.get("Date") or "")).total_seconds())
    except (TypeError, ValueError):
        return None


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__
