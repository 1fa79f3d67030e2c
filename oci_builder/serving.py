"""The worker's side of work that is shared out, in the process that ``workers`` has forked, or started, for it.

A task is asked for by its number, four bytes; ``END`` says that there is no more. A process that was not forked is told
what it does before, and each task behind its number. An answer is its length, eight bytes,
and a pickle of an error, or None, and a result.
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
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, NoReturn, TypeVar

from oci_builder import spawned
from oci_builder.exhausted import out_of_memory

Task = TypeVar("Task")
Result = TypeVar("Result")

Begin = Callable[[], AbstractContextManager[Callable[[Task], Result]]]
"""Makes a worker ready, in the worker, and gives what it does with a task; left when the worker leaves."""

_HEED = 0.1
"""Seconds after which a worker's wait is begun anew: the others are waiting for it to leave when it is told to."""

NUMBER = struct.Struct("<I")
_SIZE = struct.Struct("<Q")
_PIECE = 1 << 18
END = 0xFFFFFFFF
"""Instead of the number of a task: there is no more."""

OUT_OF_MEMORY = 12
"""A worker's exit status when it has not even the memory to say so."""


def serve(
    line: socket.socket,
    tasks: Sequence[Task],
    begin: Begin[Task, Result],
    *,
    others: Sequence[socket.socket],
    mask: Collection[signal.Signals],
) -> NoReturn:
    """Do what ``line`` asks for of ``tasks``, and leave: this process was forked for it, and ends here.

    ``others`` are the parent's ends of lines, and ``mask`` the signals that it held back before it forked.
    """
    _be_worker(line, lambda line: _serve(line, lambda: begin, lambda number: tasks[number]), others=others, mask=mask)


def serve_spawned(descriptor: str, mask: str) -> NoReturn:
    """Be a worker that was not forked: what it does is told to it, and so is each task."""

    def act(line: socket.socket) -> None:
        def read(size: int) -> bytes:
            while True:
                until(line, select.POLLIN)
                with contextlib.suppress(BlockingIOError):
                    return line.recv(min(size, _PIECE))

        _serve(line, lambda: spawned.received(read), lambda _: spawned.received(read))

    held = {signal.Signals(int(number)) for number in mask.split(",") if number}
    _be_worker(socket.socket(fileno=int(descriptor)), act, others=(), mask=held)


def _be_worker(
    line: socket.socket,
    act: Callable[[socket.socket], None],
    *,
    others: Sequence[socket.socket],
    mask: Collection[signal.Signals],
) -> NoReturn:
    """Act and leave. Nothing gets past here, by no return and no exception: above are the frames of who was forked."""
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
            act(line)
            code = 0
        finally:
            leaving.may_raise = False
    except MemoryError:
        code = OUT_OF_MEMORY
    except BaseException:
        code = 1
    # Not sys.exit: it would do what the parent has registered for its own end, and write what the parent has not yet.
    os._exit(code)


def _serve(line: socket.socket, begin: Callable[[], Begin[Any, Any]], task: Callable[[int], Any]) -> None:
    """Do one task after the other, until there is no more."""
    with contextlib.ExitStack() as stack:
        try:
            threading.Thread(target=_end_with_parent, args=(line,), daemon=True).start()
            act = stack.enter_context(begin()())
        except Exception as error:
            _say(line, _packed(error, None))
            return
        while (number := _asked(line)) != END:
            _say(line, _outcome(act, task(number)))


class _Leaving:
    """What SIGTERM does in a worker: it leaves, by an exception, so that what it began is put away. Once."""

    def __init__(self) -> None:
        self.may_raise = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.may_raise:
            # A second one would interrupt the putting away.
            self.may_raise = False
            raise SystemExit(128 + number)


def take_message(heard: bytearray) -> bytes | None:
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


def _end_with_parent(line: socket.socket) -> None:
    # A parent that was killed outright ends nobody, and a worker in the midst of a layer does not look at its line.
    poll = select.poll()
    poll.register(line, 0)  # nothing but its being hung up
    poll.poll()
    os._exit(1)


def _asked(line: socket.socket) -> int:
    """The number of the next task, or END; also when nobody is there to ask any more."""
    until(line, select.POLLIN)
    data = line.recv(NUMBER.size)
    return int(NUMBER.unpack(data)[0]) if len(data) == NUMBER.size else END


def _say(line: socket.socket, message: bytes) -> None:
    """Send all of ``message``, however long the parent has other things to do."""
    rest = memoryview(message)
    while rest:
        until(line, select.POLLOUT)
        with contextlib.suppress(BlockingIOError):
            rest = rest[line.send(rest) :]


def until(line: socket.socket, event: int) -> None:
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
            # Some pickle and cannot be made again, for their constructors want more than ``args`` holds: the parent
            # would learn of a broken answer, and not of what went wrong.
            pickle.loads(data)
    except Exception as unpicklable:
        words = f"{type(error).__name__}: {error}" if error is not None else f"no result to send: {unpicklable}"
        data = pickle.dumps((RuntimeError(words), None))
    return _SIZE.pack(len(data)) + data
