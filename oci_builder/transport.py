"""Plain downloads: a GET that ends, that stays small, and that says what was wrong without telling a password.

urllib of the standard library does all this needs (proxies of the environment, the system's certificates), so that a
build which takes its packages from a mirror costs no further dependency.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import IO, BinaryIO, TypeVar

from oci_builder.bounded import parse_decimal
from oci_builder.errors import TransportError
from oci_builder.redaction import redacted
from oci_builder.retry import LONGEST_WAIT, TRANSIENT_STATUS, Transient, attempts

T = TypeVar("T")

TIMEOUT = 30.0
"""Seconds a server may be silent."""

TOTAL = 300.0
"""Seconds an attempt may take, and besides one for so many bytes of what it may give:"""

SLOWEST = 64_000.0

ATTEMPTS = 4
_FIRST_WAIT = 1.0
_CHUNK = 1 << 18
_FOR_EVER = 1 << 31


@dataclass(frozen=True, slots=True)
class Transport:
    """How to download, with ``total`` seconds for a small answer; ``sleep`` is what waiting between attempts means."""

    timeout: float = TIMEOUT
    total: float = TOTAL
    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, url: str, *, limit: int) -> bytes:
        """The body at ``url`` (http or https), ``limit`` bytes long at most.

        Tried again after a broken connection and after 429 and 5xx, as Retry-After says. Credentials in the URL go to
        its own host only. Raises TransportError, whose ``status`` is the HTTP status where there was an answer.
        """
        pieces: list[bytes] = []

        def begin() -> Callable[[bytes], object]:
            pieces.clear()
            return pieces.append

        self._repeat(url, limit, begin)
        return b"".join(pieces)

    def save(self, url: str, sink: BinaryIO, *, limit: int) -> None:
        """Write the body at ``url`` to ``sink``, a new file, as ``fetch`` gets it; its memory is not the body's size.

        After an attempt that broke the file begins anew. Raises TransportError, and what ``sink`` raises that is no
        OSError: trouble with the file must not be taken for trouble with the server (``files.spooled``).
        """

        def begin() -> Callable[[bytes], object]:
            if sink.tell():
                sink.seek(0)
                sink.truncate()
            return sink.write

        self._repeat(url, limit, begin)

    def _repeat(self, url: str, limit: int, begin: Callable[[], Callable[[bytes], object]]) -> None:
        """Try until the whole body went to what ``begin`` gives for each attempt."""
        retrying = attempts(self.attempts, first_wait=_FIRST_WAIT, sleep=self.sleep)
        retrying(self._attempt, url, limit, begin)

    def _attempt(self, url: str, limit: int, begin: Callable[[], Callable[[bytes], object]]) -> None:
        def act() -> None:
            with _opener().open(_request(url), timeout=self.timeout) as answer:
                _body(answer, limit, url, begin())

        seconds, began = self.total + limit / SLOWEST, time.monotonic()
        try:
            in_time(seconds, act)
        except urllib.error.HTTPError as error:
            raise _refused(error, url) from error
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() - began >= seconds:
                # Whoever drips would do so again.
                raise TransportError(redacted(url), f"not finished within {seconds:.0f} s") from error
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise _TransientError(redacted(url), _words(reason)) from error
        except ValueError as error:  # of urllib: no host, no port, or letters that no address has
            raise TransportError(redacted(url), "not an http or https address") from error


class _TransientError(Transient, TransportError):
    """A failure that may be over in a while."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.lower().startswith("https:"):
            fp.close()
            raise TransportError(redacted(req.full_url), "redirects from https to an unencrypted place")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # the library reads the body, whatever stream it is


def in_time(seconds: float, act: Callable[[], T]) -> T:
    """``act``, in a thread that is left alone when the time is up: a server that drips bytes keeps no socket's timeout.

    Raises what ``act`` raises, and TimeoutError.
    """
    outcome: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((act(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=min(max(seconds, 0.001), threading.TIMEOUT_MAX))
    except queue.Empty as empty:
        raise TimeoutError from empty
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # without an error there is one


def seconds_of(wait: str, date: str) -> float | None:
    """What a Retry-After header says, as seconds after the answer's own ``date``; None where it says nothing."""
    try:
        return float(parse_decimal(wait.strip(), most=_FOR_EVER))
    except ValueError:
        pass  # a date, then
    try:
        until, now = map(email.utils.parsedate_to_datetime, (wait, date))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


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


def _body(answer: http.client.HTTPResponse, limit: int, url: str, take: Callable[[bytes], object]) -> None:
    size = 0
    while piece := answer.read1(_CHUNK):
        size += len(piece)
        if size > limit:
            raise TransportError(redacted(url), f"longer than the {limit} bytes it may have")
        take(piece)
    promised = answer.headers.get("Content-Length")
    try:
        if promised is not None and size < parse_decimal(promised.strip()):
            raise _TransientError(redacted(url), f"the connection broke after {size} of {promised} bytes")
    except ValueError as error:
        raise TransportError(redacted(url), "its answer has a Content-Length that is no number") from error


def _refused(error: urllib.error.HTTPError, url: str) -> TransportError:
    """What to make of an HTTP error."""
    with error:
        hint = "its address needs a user and a password" if error.code in (401, 403) else None
        kind = _TransientError if error.code in TRANSIENT_STATUS else TransportError
        said = kind(redacted(url), f"{error.code} {error.reason}".strip(), status=error.code, hint=hint)
        if isinstance(said, _TransientError):
            # Who asks for more is given up on sooner than it likes.
            said.wait = min(_retry_after(error.headers) or 0.0, LONGEST_WAIT) or None
        return said


def _retry_after(headers: Message) -> float | None:
    """Seconds (RFC 9110, 10.2.3); a date counts from the answer's own, not from this machine's clock."""
    return seconds_of(headers.get("Retry-After") or "", headers.get("Date") or "")


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__
