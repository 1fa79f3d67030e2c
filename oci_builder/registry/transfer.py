"""Many blobs at once: threads that end when the first of them fails, and progress they share."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from oci_builder.errors import OcibuildError
from oci_builder.listener import Listener

_AT_ONCE = 8
"""Transfers at a time, whatever the number of CPUs: they mostly wait."""

_FAREWELL = 5.0
"""Seconds that threads have to put away what they began when the work is given up."""


class Stopped(OcibuildError):
    """Another transfer of the same work has failed; nobody sees this one."""


class Progress:
    """Bytes moved by several threads, told to a listener by one at a time."""

    def __init__(self, listener: Listener, *, total: int) -> None:
        self._listener, self.total, self.done = listener, total, 0
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

    The threads are daemons: a registry that says nothing keeps no process from ending.
    """
    todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    for task in tasks:
        todo.put(task)
    count = min(max(jobs, _AT_ONCE), len(tasks))
    threads = [threading.Thread(target=_work, args=(todo, done, progress), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for _ in tasks:
            if (error := done.get()) is not None:
                raise error
    except BaseException:
        progress.stop()
        for thread in threads:
            thread.join(_FAREWELL / count)
        raise
    # They have nothing left to do; and processes are forked, which should happen without threads.
    for thread in threads:
        thread.join()


def _work(
    todo: queue.SimpleQueue[Callable[[], None]], done: queue.SimpleQueue[BaseException | None], progress: Progress
) -> None:
    while True:
        try:
            task = todo.get_nowait()
        except queue.Empty:
            return
        try:
            progress.check()
            task()
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
