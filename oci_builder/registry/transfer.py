"""Many blobs at once: threads that end when the first of them fails, and progress they share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial

from oci_builder.errors import OcibuildError
from oci_builder.reporter import Reporter
from oci_builder.threads import in_threads

_AT_ONCE = 8
"""Transfers at a time, whatever the number of CPUs: they mostly wait."""


class Stopped(OcibuildError):
    """Another transfer of the same work has failed; nobody sees this one."""


class Progress:
    """Bytes moved by several threads, told to a reporter by one at a time."""

    def __init__(self, reporter: Reporter, *, total: int) -> None:
        self._listener, self.total, self.done = reporter, total, 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def add(self, what: str, count: int) -> None:
        """``count`` more bytes; a negative number takes back what has to be moved again."""
        with self._lock:
            self.done += count
            self._listener.advance(what, self.done, self.total)

    def check(self) -> None:
        """Raise Stopped when the work has been given up."""
        if self._stop.is_set():
            raise Stopped("given up")

    def stop(self) -> None:
        """Give the work up."""
        self._stop.set()


def in_parallel(tasks: Sequence[Callable[[], None]], *, jobs: int, progress: Progress) -> None:
    """Run all tasks, several at once; the first failure stops the others and is raised.

    A registry that says nothing keeps no process from ending.
    """
    work = [partial(_unless_stopped, task, progress) for task in tasks]
    with contextlib.closing(in_threads(work, count=max(jobs, _AT_ONCE), give_up=progress.stop)) as done:
        for _ in done:
            pass


def _unless_stopped(task: Callable[[], None], progress: Progress) -> None:
    progress.check()
    task()
