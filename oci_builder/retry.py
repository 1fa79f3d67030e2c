"""What is tried again, how often, and after what wait: one way for all that is asked of servers, by tenacity.

tenacity counts, waits and stops; said here is what that means for a server: its word on when to come back goes before
our own, and neither may have us wait longer than there is time.
"""

from __future__ import annotations

import email.utils
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from oci_builder.bounded import parse_decimal
from oci_builder.errors import OcibuildError

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity import Retrying as Retrying

LONGEST_WAIT = 30.0
"""Seconds between two attempts, if nobody asks for more."""

TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What HTTP servers answer that may answer otherwise in a while."""

_SPREAD = (0.7, 1.0)
"""Parts of a wait. Not all at once again: several transfers fail together."""

_FOR_EVER = 1 << 31


class Transient(OcibuildError):
    """A failure that may be over in a while; ``wait`` is what the server asked for, in seconds."""

    wait: float | None = None


def attempts(
    count: int,
    *,
    first_wait: float,
    sleep: Callable[[float], None],
    most: Callable[[], float] | None = None,
    explain: Callable[[Transient, int, float], None] | None = None,
) -> Retrying:
    """Attempts at one thing, ``count`` at most, to be called with what to do or walked as tenacity says.

    Only errors that are Transient are an attempt's end and not the end. Between two there are ``first_wait`` seconds,
    doubled each time, or what the server asked for; a wait longer than ``most()`` is none, and the error is raised.
    ``explain`` may add to the last error before that: how many attempts there were, and what the next wait would be.
    """
    # Loaded where something is asked of a server: a build from the cache needs none of it.
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    tried = stop_after_attempt(count)
    backoff = wait_exponential(multiplier=first_wait, max=LONGEST_WAIT)

    def wait(state: RetryCallState) -> float:
        asked = _error(state).wait
        return backoff(state) * random.uniform(*_SPREAD) if asked is None else asked

    def is_enough(state: RetryCallState) -> bool:
        return tried(state) or (most is not None and state.upcoming_sleep > most())

    def give_up(state: RetryCallState) -> None:
        error = _error(state)
        if explain is not None:
            explain(error, state.attempt_number, state.upcoming_sleep)
        raise error

    return Retrying(
        retry=retry_if_exception_type(Transient),
        wait=wait,
        stop=is_enough,
        sleep=sleep,
        retry_error_callback=give_up,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds a server asks to wait (RFC 9110, 10.2.3); None where it does not say.

    A date counts from the answer's own, not from this machine's clock.
    """
    wait, date = headers.get("Retry-After") or "", headers.get("Date") or ""
    try:
        return float(parse_decimal(wait.strip(), most=_FOR_EVER))
    except ValueError:
        pass  # a date, then
    try:
        until, now = map(email.utils.parsedate_to_datetime, (wait, date))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _error(state: RetryCallState) -> Transient:
    """What the attempt that ``state`` tells of raised."""
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, Transient)
    return error
