"""Processes of ours that share out work, on Linux forked from this one. Whatever becomes of any of them, it ends.

Between this process and a worker there is one pair of sockets and nothing else: no queue, lock or semaphore that a
dying process could take along, and none that needs ``/dev/shm``. Each end has one reader and one writer. This process
never waits for a whole answer: it takes what is there, and a worker that dies half way through one is seen by its
hanging up.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from oci_builder import machine, spawned
from oci_builder.errors import OcibuildError, ProcessKilled
from oci_builder.exhausted import no_process, out_of_memory
from oci_builder.serving import (
    END,
    NUMBER,
    OUT_OF_MEMORY,
    Begin,
    Result,
    Task,
    serve,
    serve_spawned,
    take_message,
    until,
)

_TICK = 0.5
"""Seconds after which a wait is begun anew: a signal that came just before the wait is then acted on."""

_GRACE = 2.0
"""Seconds that workers have to put away what they began; then they are killed."""

_LAST = 1.5
"""Seconds in which a killed process is gone, unless the kernel holds it: then it is left to the kernel."""

_TO_LEAVE = 10.0
"""Seconds that workers have to leave when all work is done."""

_PIECE = 1 << 18


def in_workers(
    tasks: Sequence[Task], begin: Begin[Task, Result], *, count: int, label: Callable[[Task], str]
) -> Generator[tuple[Task, Result], None, None]:
    """Do all ``tasks`` in at most ``count`` processes, begun in their order, and yield each with what came of it.

    Where processes cannot be forked, ``begin`` and each task are sent, so they pickle.

    The first error ends them all and is raised; of several that are there, that of the earliest task. So does whoever
    stops reading. ``label`` says what a task was doing. Raises ProcessKilled for a worker that was ended from outside,
    MachineExhausted when not one can be started, and what tasks raise.
    """
    pool = _Pool(tasks, begin, label)
    if not tasks:
        return
    try:
        pool.start(min(count, len(tasks)))
        yield from pool.results()
        pool.dismiss()
    finally:
        pool.end()


@dataclass
class _Worker:
    """A worker as seen from here: ``line`` leads to it, ``task`` is what it was given, ``status`` how it ended."""

    pid: int
    line: socket.socket
    task: int | None = None
    status: int | None = None
    heard: bytearray = field(default_factory=bytearray)

    def reap(self) -> bool:
        """Whether it has ended; it is asked without waiting."""
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Whoever started us ignores SIGCHLD: then nobody learns how a child ended, and its id is free again.
                pid, status = self.pid, 0
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def signal(self, number: signal.Signals) -> None:
        """Signal it, unless it has ended: its id may be another's by then."""
        if not self.reap():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class _Pool(Generic[Task, Result]):
    """The workers of one call, from their start to their end."""

    def __init__(self, tasks: Sequence[Task], begin: Begin[Task, Result], label: Callable[[Task], str]) -> None:
        self._tasks, self._begin, self._label = tasks, begin, label
        self._todo = deque(range(len(tasks)))
        self._workers: list[_Worker] = []
        self._forks = machine.forks()

    def start(self, count: int) -> None:
        """Start ``count`` workers; where the machine gives fewer, those do it all. Raises MachineExhausted for none."""
        for _ in range(count):
            try:
                self._start()
            except OSError as error:
                if not self._workers:
                    raise no_process("a worker", error) from error
                break
        if not self._forks:
            # When all are on their way: each takes a while to be there.
            greeting = spawned.packed(self._begin)
            for worker in self._workers:
                _tell(worker, greeting)

    def results(self) -> Iterator[tuple[Task, Result]]:
        """Hand out the tasks and yield what comes of them. Raises what goes wrong first."""
        for worker in self._workers:
            self._give(worker)
        while busy := [worker for worker in self._workers if worker.task is not None]:
            answers = [answer for worker in _ready(busy) if (answer := self._hear(worker)) is not None]
            failed = {answer.task: answer.error for answer in answers if answer.error is not None}
            if failed:
                raise failed[min(failed)]
            yield from ((self._tasks[answer.task], answer.result) for answer in answers)

    def dismiss(self) -> None:
        """Tell the workers that there is no more, and give them time to leave."""
        for worker in self._workers:
            # One that has died has done its work before, for all answers are here: ``end`` reaps it.
            with contextlib.suppress(OSError):
                worker.line.send(NUMBER.pack(END))
        _await(self._workers, _TO_LEAVE)

    def end(self) -> None:
        """End every worker that is still there: politely, by force, and by hanging up, each within its time."""
        # Nested, so that whatever interrupts one step (a second Ctrl-C) goes on with the next.
        try:
            try:
                for worker in self._workers:
                    worker.signal(signal.SIGTERM)
                _await(self._workers, _GRACE)
            finally:
                for worker in self._workers:
                    worker.signal(signal.SIGKILL)
                _await(self._workers, _LAST)
        finally:
            for worker in self._workers:
                worker.line.close()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            # A signal between the fork and what follows would be acted on by the wrong process, or find a worker that
            # nobody has noted.
            with _signals_held() as before:
                # Forked where that is safe: what a worker does is a closure over what was read here, which
                # need not pickle, and the memory of both is one until somebody writes to it.
                pid = os.fork() if self._forks else spawned.start(theirs, serve_spawned, before)
                if pid == 0:
                    lines = [ours, *(worker.line for worker in self._workers)]
                    serve(theirs, self._tasks, self._begin, others=lines, mask=before)
                ours.setblocking(False)
                self._workers.append(_Worker(pid, ours))
        except BaseException:
            ours.close()
            raise
        finally:
            # In the worker alone: the end of its process is then the end of its line.
            theirs.close()

    def _give(self, worker: _Worker) -> None:
        worker.task = self._todo.popleft() if self._todo else None
        if worker.task is None:
            return
        if not self._forks:
            _tell(worker, NUMBER.pack(worker.task) + spawned.packed(self._tasks[worker.task]))
        else:
            # One that has died is noticed by its line, at the next look. So few bytes always have room.
            with contextlib.suppress(OSError):
                worker.line.send(NUMBER.pack(worker.task))

    def _hear(self, worker: _Worker) -> _Answer | None:
        """What a worker's line has to say, if that is whole; the worker is given its next task."""
        assert worker.task is not None, "only who works is listened to"
        task, hung_up = worker.task, _receive(worker)
        message = take_message(worker.heard)
        if message is None:
            return _Answer(task, self._lost(worker, task), None) if hung_up else None
        # It comes from a process that we forked, over a line that nobody else has: as trusted as this one.
        error, result = pickle.loads(message)
        if error is None:
            self._give(worker)
        return _Answer(task, error, result)

    def _lost(self, worker: _Worker, task: int) -> OcibuildError:
        _await([worker], _LAST)
        doing = self._label(self._tasks[task])
        if worker.status == OUT_OF_MEMORY:
            return out_of_memory(f"a worker, at {doing}")
        return ProcessKilled("a worker", doing, status=worker.status or 0)


@dataclass(frozen=True)
class _Answer:
    """What became of a task: an error, or else its result."""

    task: int
    error: BaseException | None
    result: Any


@contextlib.contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """Ctrl-C and SIGTERM come when the block is left; yields what was held before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # Within: a signal that came before is acted on in this very call, when the others are held already.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        yield {signal.Signals(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready(workers: Sequence[_Worker]) -> list[_Worker]:
    """Those of ``workers`` who have said something, or have died: at least one, whenever that is."""
    poll, by_line = select.poll(), {worker.line.fileno(): worker for worker in workers}
    for line in by_line:
        poll.register(line, select.POLLIN)
    while not (found := poll.poll(_TICK * 1000)):
        pass
    return [by_line[line] for line, _ in found]


def _tell(worker: _Worker, message: bytes) -> None:
    """Send all of ``message`` to a worker, which reads whenever it has nothing to do; not to one that has died."""
    rest = memoryview(message)
    with contextlib.suppress(ConnectionError):
        while rest:
            until(worker.line, select.POLLOUT)
            with contextlib.suppress(BlockingIOError):
                rest = rest[worker.line.send(rest) :]


def _receive(worker: _Worker) -> bool:
    """Take what is there of a worker's words; whether it has hung up."""
    try:
        while piece := worker.line.recv(_PIECE):
            worker.heard += piece
    except BlockingIOError:
        return False
    except OSError:
        pass  # reset: it died with words of ours unread
    return True


def _await(workers: Sequence[_Worker], seconds: float) -> None:
    """Wait until all have ended, or the time is up."""
    until, pause = time.monotonic() + seconds, 0.001
    # Not waitpid() alone: it has no time limit, and a process that the kernel holds ends for nobody.
    while any(not worker.reap() for worker in workers) and time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
