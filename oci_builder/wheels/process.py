"""A program beside us: what it says is bounded, and nothing of it outlives us."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder import machine
from oci_builder.errors import ToolFailed

LINE = 16 << 10
"""Bytes of a line that are kept."""

_FIRST, _LAST = 1 << 20, 3 << 20
"""Characters that are kept of the beginning and of the end of what is said."""

_TOLD = 1 << 20
"""Bytes that are read of what is told in data."""

_LINGER = 2.0
"""Seconds for what a program that has ended left in its pipe; another process may hold that open for ever."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended (its code is negative for a signal), what it said, and what it ``told`` in data."""

    code: int
    said: str
    told: bytes


class Running:
    """The programs that run at a time, in several threads; one thread may stop them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Kill those that run, and each that is started later: their threads see them fail."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill_group(process)

    @property
    def stopped(self) -> bool:
        """Whether all were told to stop."""
        return self._stopped

    @contextlib.contextmanager
    def counted(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Count ``process`` as running, until the block is left: while it is counted nobody reaps it."""
        with self._lock:
            self._running.add(process)
            if self._stopped:
                _kill_group(process)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)


def run(
    command: Callable[[int], Sequence[str]],
    *,
    environ: Mapping[str, str],
    folder: Path | None,
    clean: Callable[[str], str],
    hear: Callable[[str], None] | None,
    running: Running,
) -> Ended:
    """Run ``command`` to its end; it is given the descriptor on which the program tells things in data.

    Each line it says is ``clean``ed before anybody sees it. The program leads a session of its own, which is killed as
    one when it has ended or an exception passes by. Raises ToolFailed when it cannot be started.
    """
    reading, writing = os.pipe()
    said, told = _Said(clean, hear), bytearray()
    with open(reading, "rb", buffering=0):
        try:
            process = _started(command(writing), environ, folder, writing)
        finally:
            os.close(writing)
        with process, running.counted(process):
            assert process.stdout is not None
            try:
                _listen(process, {process.stdout.fileno(): said.feed, reading: told.extend})
                _await_end(process)
            finally:
                # Before it is reaped: then its number could be another's.
                _kill_group(process)
    return Ended(process.returncode, said.text(), bytes(told[:_TOLD]))


def died(code: int, tool: str) -> ToolFailed:
    """The error for a program that ended with a negative ``code``: a signal killed it."""
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    why, hint = f"was killed by {name}", None
    if -code == signal.SIGKILL:
        why, hint = f"{why}, probably for memory", "give it more memory, or let less run beside it"
    return ToolFailed(tool, why, hint=hint)


def _started(
    command: Sequence[str], environ: Mapping[str, str], folder: Path | None, tell: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(tell,),
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed("pip", f"cannot be started: {error.strerror or error}") from error
    except ValueError as error:
        raise ToolFailed("pip", f"cannot be started: {error}", hint="look for a NUL in a path or a variable") from error


def _listen(process: subprocess.Popen[bytes], sinks: dict[int, Callable[[bytes], None]]) -> None:
    """Read until all pipes are closed, or the program has ended and others hold them open."""
    poll = select.poll()
    for descriptor in sinks:
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    until = float("inf")
    while sinks and time.monotonic() < until:
        for descriptor, _ in poll.poll(250):
            data = os.read(descriptor, 1 << 16)
            sinks[descriptor](data)
            if not data:
                poll.unregister(descriptor)
                del sinks[descriptor]
        if until == float("inf") and _has_ended(process):
            _kill_group(process)
            until = time.monotonic() + _LINGER


def _await_end(process: subprocess.Popen[bytes]) -> None:
    if machine.CAN_PEEK:
        machine.has_ended(process.pid, wait=True)
    else:
        process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Not poll(), where that can be helped: it would reap it.
    ended = machine.has_ended(process.pid)
    return process.poll() is not None if ended is None else ended


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # A group that has still members keeps its number, though its leader was reaped.
    if process.returncode is None or not machine.CAN_PEEK:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


class _Said:
    """Lines, of which the first and the last are kept, each no longer than ``LINE``."""

    def __init__(self, clean: Callable[[str], str], hear: Callable[[str], None] | None) -> None:
        self._clean, self._hear = clean, hear
        self._first: list[str] = []
        self._last: deque[str] = deque()
        self._kept = self._tail = 0
        self._begun = b""
        self._cut = False

    def feed(self, data: bytes) -> None:
        """Take more of it; nothing more ends it."""
        *lines, rest = (self._begun + data).split(b"\n")
        for line in lines:
            self._line(line)
        self._begun = rest
        if len(rest) > LINE and not self._cut:
            self._line(rest)
            self._cut = True
        if self._cut:
            self._begun = b""
        if not data and self._begun:
            self._line(self._begun)
            self._begun = b""

    def text(self) -> str:
        """What was kept."""
        return "".join([*self._first, *self._last])

    def _line(self, raw: bytes) -> None:
        if self._cut:
            self._cut = False  # the end of a line that was cut
            return
        line = self._clean(raw[:LINE].decode("utf-8", "replace")).rstrip("\r") + "\n"
        if self._kept < _FIRST:
            self._first.append(line)
            self._kept += len(line)
        else:
            self._last.append(line)
            self._tail += len(line)
            while self._tail > _LAST:
                self._tail -= len(self._last.popleft())
        if self._hear is not None:
            self._hear(line.rstrip())
