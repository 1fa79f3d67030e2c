"""Processes of ours that share out work, on Linux forked from this one. Whatever becomes of any of them, it ends.

Between this process and a worker there is one pair of sockets and nothing else: no queue, lock or semaphore that a
dying process could take along, and none that needs ``/dev/shm``. Each end has one reader and one writer. This process
never waits for a whole answer: it takes what is there, and a worker that dies half way through one is seen by its
hanging up.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import socket
import struct
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

from oci_builder import machine, spawned
from oci_builder.errors import OcibuildError, ProcessKilled
from oci_builder.exhausted import no_process, out_of_memory

Task = TypeVar("Task")
Result = TypeVar("Result")

Begin = Callable[[], AbstractContextManager[Callable[[Task], Result]]]
"""Makes a worker ready, in the worker, and gives what it does with a task; left when the worker leaves."""

_TICK = 0.5
"""Seconds after which a wait is begun anew: a signal that came just before the wait is then acted on."""

_HEED = 0.1
"""The same, of a worker: the others are waiting for it to leave."""

_GRACE = 2.0
"""Seconds that workers have to put away what they began; then they are killed."""

_LAST = 1.5
"""Seconds in which a killed process is gone, unless the kernel holds it: then it is left to the kernel."""

_TO_LEAVE = 10.0
"""Seconds that workers have to leave when all work is done."""

_NUMBER = struct.Struct("<I")
_SIZE = struct.Struct("<Q")
_END = 0xFFFFFFFF
"""Instead of the number of a task: there is no more."""

_PIECE = 1 << 18
_OUT_OF_MEMORY = 12
"""A worker's exit status when it has not even the memory to say so."""


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
            with contextlib.suppress(OSError):
                worker.line.send(_NUMBER.pack(_END))
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
                pid = os.fork() if self._forks else spawned.start(theirs, serve_spawned, before)
                if pid == 0:
                    _be_worker(theirs, [ours, *(worker.line for worker in self._workers)], before, self._serve)
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
            _tell(worker, _NUMBER.pack(worker.task) + spawned.packed(self._tasks[worker.task]))
        else:
            # One that has died is noticed by its line, at the next look. So few bytes always have room.
            with contextlib.suppress(OSError):
                worker.line.send(_NUMBER.pack(worker.task))

    def _hear(self, worker: _Worker) -> _Answer | None:
        """What a worker's line has to say, if that is whole; the worker is given its next task."""
        assert worker.task is not None, "only who works is listened to"
        task, hung_up = worker.task, _receive(worker)
        message = _message(worker.heard)
        if message is None:
            return _Answer(task, self._lost(worker, task), None) if hung_up else None
        error, result = pickle.loads(message)
        if error is None:
            self._give(worker)
        return _Answer(task, error, result)

    def _lost(self, worker: _Worker, task: int) -> OcibuildError:
        _await([worker], _LAST)
        doing = self._label(self._tasks[task])
        if worker.status == _OUT_OF_MEMORY:
            return out_of_memory(f"a worker, at {doing}")
        return ProcessKilled("a worker", doing, status=worker.status or 0)

    def _serve(self, line: socket.socket) -> None:
        _serve(line, lambda: self._begin, lambda number: self._tasks[number])


@dataclass(frozen=True)
class _Answer:
    """What became of a task: an error, or else its result."""

    task: int
    error: BaseException | None
    result: Any


class _Leaving:
    """What SIGTERM does in a worker: it leaves, by an exception, so that what it began is put away. Once."""

    def __init__(self) -> None:
        self.may_raise = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.may_raise:
            # A second one would interrupt the putting away.
            self.may_raise = False
            raise SystemExit(128 + number)


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


# In this process.


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
            _until(worker.line, select.POLLOUT)
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


def _message(heard: bytearray) -> bytes | None:
    """The first message of what was heard, taken out of it, if it is there to its end."""
    if len(heard) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack_from(heard)
    end = _SIZE.size + size
    if len(heard) < end:
        return None
    message = bytes(heard[_SIZE.size : end])
    del heard[:end]
    return message


def _await(workers: Sequence[_Worker], seconds: float) -> None:
    """Wait until all have ended, or the time is up."""
    until, pause = time.monotonic() + seconds, 0.001
    # Not waitpid() alone: it has no time limit, and a process that the kernel holds ends for nobody.
    while any(not worker.reap() for worker in workers) and time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


# In a worker.


def _be_worker(
    line: socket.socket,
    others: Sequence[socket.socket],
    mask: set[signal.Signals],
    serve: Callable[[socket.socket], None],
) -> NoReturn:
    """Serve and leave. Nothing gets past here: above are the frames of the process that was forked."""
    code, leaving = 1, _Leaving()
    try:
        try:
            line.setblocking(False)
            # While anybody else held this process's ends of the lines, workers would not see it die.
            for other in others:
                other.close()
            # A collection would write to all that the parent had, and so make it this process's own as well.
            gc.freeze()
            # Ctrl-C reaches the whole group; the parent alone decides, and ends its workers by SIGTERM.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, leaving)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            serve(line)
            code = 0
        finally:
            leaving.may_raise = False
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException:
        code = 1
    os._exit(code)


def serve_spawned(descriptor: str, mask: str) -> NoReturn:
    """Be a worker that was not forked: what it does is told to it, and so is each task."""

    def serve(line: socket.socket) -> None:
        def read(size: int) -> bytes:
            while True:
                _until(line, select.POLLIN)
                with contextlib.suppress(BlockingIOError):
                    return line.recv(min(size, _PIECE))

        _serve(line, lambda: spawned.received(read), lambda number: spawned.received(read))

    held = {signal.Signals(int(number)) for number in mask.split(",") if number}
    _be_worker(socket.socket(fileno=int(descriptor)), (), held, serve)


def _serve(line: socket.socket, begin: Callable[[], Begin[Any, Any]], task: Callable[[int], Any]) -> None:
    """Do one task after the other, until there is no more."""
    with contextlib.ExitStack() as stack:
        try:
            threading.Thread(target=_end_with_parent, args=(line,), daemon=True).start()
            act = stack.enter_context(begin()())
        except Exception as error:
            _say(line, _packed(error, None))
            return
        while (number := _asked(line)) != _END:
            _say(line, _outcome(act, task(number)))


def _end_with_parent(line: socket.socket) -> None:
    # A parent that was killed outright ends nobody, and a worker in the midst of a layer does not look at its line.
    poll = select.poll()
    poll.register(line, 0)  # nothing but its being hung up
    poll.poll()
    os._exit(1)


def _asked(line: socket.socket) -> int:
    """The number of the next task, or _END; also when nobody is there to ask any more."""
    _until(line, select.POLLIN)
    data = line.recv(_NUMBER.size)
    return int(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else _END


def _say(line: socket.socket, message: bytes) -> None:
    """Send all of ``message``, however long the parent has other things to do."""
    rest = memoryview(message)
    while rest:
        _until(line, select.POLLOUT)
        with contextlib.suppress(BlockingIOError):
            rest = rest[line.send(rest) :]


def _until(line: socket.socket, event: int) -> None:
    """Wait until the line can be read or written, in short waits.

    Python acts on a signal between its own steps. One that comes after the last step before a call that blocks (while
    a large message is being copied, say) does not interrupt that call, and SIGTERM would be heeded when it is over.
    """
    poll = select.poll()
    poll.register(line, event)
    while not poll.poll(_HEED * 1000):
        pass


def _outcome(act: Callable[[Task], Result], task: Task) -> bytes:
    try:
        return _packed(None, act(task))
    except Exception as error:
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return _packed(error, None)


def _packed(error: Exception | None, result: object) -> bytes:
    """A message. Errors of libraries that do not survive pickling come as what they say."""
    if isinstance(error, MemoryError):
        error = out_of_memory("a worker")
    try:
        data = pickle.dumps((error, result))
        if error is not None:
            pickle.loads(data)
    except Exception as unpicklable:
        words = f"{type(error).__name__}: {error}" if error is not None else f"no result to send: {unpicklable}"
        data = pickle.dumps((RuntimeError(words), None))
    return _SIZE.pack(len(data)) + data
