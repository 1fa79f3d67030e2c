"""Threads that share out work which waits, or lets others run. None of them keeps the process from ending.

Not a pool of the standard library: leaving one, and even the interpreter's own end, waits for its threads without
limit.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")

_FAREWELL = 5.0
"""Seconds that all threads together have to put away what they began when the work is given up."""

_TICK = 0.5
"""Seconds of one wait."""


def in_threads(
    work: Sequence[Callable[[], Result]], *, count: int, give_up: Callable[[], None] = lambda: None
) -> Generator[Result, None, None]:
    """Do all of ``work``, ``count`` at once, and yield what comes of it in its order.

    The first failure is raised at once; then, and when nobody reads any more, ``give_up`` is called, which should make
    the others fail, and no more is begun. Raises what the work raises.
    """
    share = _Share(work)
    threads = [threading.Thread(target=share.take, daemon=True) for _ in range(max(1, min(count, len(work))))]
    try:
        for thread in threads:
            thread.start()
        yield from share.results()
    except BaseException:
        share.given_up.set()
        give_up()
        raise
    finally:
        # Processes are forked later, which should happen without threads; but who does not end is not waited for.
        until = time.monotonic() + _FAREWELL
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))


def in_time(seconds: float, act: Callable[[], Result]) -> Result:
    """``act``, in a thread that is left alone when the time is up: a server that drips bytes keeps no socket's timeout.

    Raises what ``act`` raises, and TimeoutError.
    """
    outcome: queue.SimpleQueue[_Done[Result]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(_Done(0, (act(),)))
        except BaseException as error:
            outcome.put(_Done(0, error=error))

    threading.Thread(target=run, daemon=True).start()
    try:
        done = outcome.get(timeout=min(max(seconds, 0.001), threading.TIMEOUT_MAX))
    except queue.Empty as empty:
        raise TimeoutError from empty
    if done.error is not None:
        raise done.error
    return done.results[0]


@dataclass(frozen=True)
class _Done(Generic[Result]):
    """What became of a piece of the work: an error, or else its results (one)."""

    number: int
    results: tuple[Result, ...] = ()
    error: BaseException | None = None


class _Share(Generic[Result]):
    """The work of one call, taken by several threads."""

    def __init__(self, work: Sequence[Callable[[], Result]]) -> None:
        self.given_up = threading.Event()
        self._count = len(work)
        self._todo: queue.SimpleQueue[tuple[int, Callable[[], Result]]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Done[Result]] = queue.SimpleQueue()
        for numbered in enumerate(work):
            self._todo.put(numbered)

    def take(self) -> None:
        """Do what nobody has taken yet, until there is no more. Runs in a thread."""
        while not self.given_up.is_set():
            try:
                number, act = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                done = _Done(number, (act(),))
            except BaseException as error:
                done = _Done(number, error=error)
            self._done.put(done)

    def results(self) -> Generator[Result, None, None]:
        """What comes of the work, in its order."""
        early: dict[int, tuple[Result, ...]] = {}
        following = 0
        for _ in range(self._count):
            done = self._next()
            if done.error is not None:
                raise done.error
            early[done.number] = done.results
            while following in early:
                yield from early.pop(following)
                following += 1

    def _next(self) -> _Done[Result]:
        while True:
            # A signal that comes just before a wait is acted on after it: so no wait is long.
            with contextlib.suppress(queue.Empty):
                return self._done.get(timeout=_TICK)
