"""Plain downloads: a GET that ends, that stays small, and that says what was wrong without telling a password."""

from __future__ import annotations

import base64
import contextlib
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from oci_builder.connections import (
    BROKEN,
    Answer,
    Breakage,
    Connections,
    breakage_of,
    content_length,
    origin,
    read_piece,
    redirected,
)
from oci_builder.errors import TransportError
from oci_builder.redaction import redacted
from oci_builder.retry import LONGEST_WAIT, TRANSIENT_STATUS, Transient, attempts, retry_after
from oci_builder.threads import in_time

TIMEOUT = 30.0
"""Seconds a server may be silent."""

TOTAL = 300.0
"""Seconds an attempt may take, and besides one for so many bytes of what it may give:"""

SLOWEST = 64_000.0

ATTEMPTS = 4
_FIRST_WAIT = 1.0
_REDIRECTS = 10
_ERROR_BODY = 8192


@dataclass(frozen=True, slots=True)
class Transport:
    """How to download, with ``total`` seconds for a small answer; ``sleep`` is what waiting between attempts means.

    Connections are kept for the next download, until it is closed or nobody has the Transport any more.
    """

    timeout: float = TIMEOUT
    total: float = TOTAL
    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep
    _connections: Connections = field(default_factory=Connections, init=False, repr=False, compare=False)

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

    def close(self) -> None:
        """Close the connections that are kept; the next download opens new ones."""
        self._connections.close()

    def _repeat(self, url: str, limit: int, begin: Callable[[], Callable[[bytes], object]]) -> None:
        """Try until the whole body went to what ``begin`` gives for each attempt."""
        address = _Address.of(url)
        retrying = attempts(self.attempts, first_wait=_FIRST_WAIT, sleep=self.sleep)
        retrying(self._attempt, address, limit, begin)

    def _attempt(self, address: _Address, limit: int, begin: Callable[[], Callable[[bytes], object]]) -> None:
        def act() -> None:
            # All of it in one thread, whose time is counted: what drips may be an answer's head, or between two chunks
            # of its body, where nobody but the library reads.
            with contextlib.closing(self._answer(address)) as answer:
                _deliver(answer, limit, address, begin())

        seconds, began = self.total + limit / SLOWEST, time.monotonic()
        try:
            in_time(seconds, act)
        except BROKEN as error:
            if time.monotonic() - began >= seconds:
                # Whoever drips would do so again.
                raise TransportError(address.shown, f"not finished within {seconds:.0f} s") from error
            raise _failure(address, breakage_of(error)) from error
        except Breakage as found:
            raise _failure(address, found) from found

    def _answer(self, address: _Address) -> Answer:
        """What is there, wherever that turns out to be. Raises TransportError, Breakage, and one of BROKEN."""
        url = address.url
        for _ in range(_REDIRECTS):
            # Another host than the one it was written for never sees the password, nor the same without encryption.
            headers = {"Authorization": address.login} if address.login and origin(url) == origin(address.url) else {}
            answer = self._connections.ask("GET", url, timeout=self.timeout, headers=headers)
            if not answer.is_redirect:
                if 200 <= answer.status_code < 300:
                    return answer
                raise _refused(answer, address)
            _let_go(answer)
            url = redirected(url, answer)
        raise TransportError(address.shown, f"more than {_REDIRECTS} redirects")


class _TransientError(Transient, TransportError):
    """A failure that may be over in a while."""


@dataclass(frozen=True, slots=True)
class _Address:
    """A ``url`` without the ``login`` that was written into it, and what may be ``shown`` of it."""

    url: str
    login: str = field(repr=False)
    shown: str

    @classmethod
    def of(cls, url: str) -> _Address:
        """Raises TransportError for what is no address of HTTP."""
        try:
            parts = urllib.parse.urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
        except ValueError:
            known = False
        if not known:
            raise TransportError(redacted(url), "not an http or https address")
        user, at, host = parts.netloc.rpartition("@")
        name, _, password = user.partition(":")
        secret = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}".encode()
        login = f"Basic {base64.b64encode(secret).decode()}" if at else ""
        return cls(urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, "")), login, redacted(url))


def _deliver(answer: Answer, limit: int, address: _Address, take: Callable[[bytes], object]) -> None:
    """Give the body of ``answer`` to ``take``. Raises TransportError, Breakage, and one of BROKEN."""
    promised, size = content_length(answer), 0
    while piece := read_piece(answer):
        size += len(piece)
        if size > limit:
            raise TransportError(address.shown, f"longer than the {limit} bytes it may have")
        take(piece)
    if promised is not None and size < promised:
        raise _TransientError(address.shown, f"the connection broke after {size} of {promised} bytes")


def _let_go(answer: Answer) -> None:
    """Have the connection free for the next question, unless too much comes with the answer."""
    with contextlib.closing(answer), contextlib.suppress(Breakage, *BROKEN):
        content_length(answer)
        size = 0
        while size <= _ERROR_BODY and (piece := read_piece(answer)):
            size += len(piece)


def _failure(address: _Address, found: Breakage) -> TransportError:
    kind = _TransientError if found.may_pass else TransportError
    return kind(address.shown, found.why, hint=found.hint)


def _refused(answer: Answer, address: _Address) -> TransportError:
    """What to make of an answer that is an error."""
    _let_go(answer)
    status = answer.status_code
    hint = "its address needs a user and a password" if status in (401, 403) else None
    kind = _TransientError if status in TRANSIENT_STATUS else TransportError
    said = kind(address.shown, f"{status} {answer.reason or ''}".strip(), status=status, hint=hint)
    if isinstance(said, _TransientError):
        # Who asks for more is given up on sooner than it likes.
        said.wait = min(retry_after(answer.headers) or 0.0, LONGEST_WAIT) or None
    return said
