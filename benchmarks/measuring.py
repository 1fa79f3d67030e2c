"""Running a command and saying what it took."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks.processes import Memory, Usage, watched
from oci_builder.machine import cpu_count

SHORT = 10.0
"""Seconds; what takes less is done several times, and the median counts."""


class Failed(Exception):
    """A program is not there, ended badly or took too long; its row says so, and the others go on."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the clock and of processors; the most memory in bytes that the processes held together, each page
    counted once (``peak``), and without mapped files (``private``); bytes written to files; ``others`` is the share of
    the machine's processors that somebody else used meanwhile, 0 to 1. A daemon and its containers are counted in.
    ``times`` are the seconds of all repetitions, where there were any."""

    seconds: float
    cpu: float
    peak: int
    private: int
    written: int
    others: float
    times: tuple[float, ...] = ()

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(
            seconds=self.seconds + other.seconds,
            cpu=self.cpu + other.cpu,
            peak=max(self.peak, other.peak),
            private=max(self.private, other.private),
            written=self.written + other.written,
            others=max(self.others, other.others),
        )


class Runner:
    """Runs commands, none of them longer than until its deadline, a time of ``time.monotonic``."""

    def __init__(self, deadline: float = math.inf) -> None:
        self._deadline = deadline

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Commands in here have so much time, all together."""
        before = self._deadline
        self._deadline = min(before, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._deadline = before

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - time.monotonic()

    def __call__(self, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Cost:
        """Run a command to its end. Raises Failed."""
        command = [str(part) for part in argv]
        name = Path(command[0]).name
        if self.left <= 0:
            raise Failed(f"{name}: no time was left")
        before, began = Usage.now(), time.monotonic()
        with _started(command, cwd, env) as process, watched() as held:
            try:
                said, _ = process.communicate(timeout=None if math.isinf(self.left) else self.left)
            except subprocess.TimeoutExpired as error:
                raise Failed(f"{name}: not done after {time.monotonic() - began:.0f} s") from error
            seconds = time.monotonic() - began
        if process.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-3:]
            raise Failed(f"{name}: exit {process.returncode}: {' '.join(last)[-300:]}")
        return _cost(seconds, before, Usage.now(), held)


def _cost(seconds: float, before: Usage, after: Usage, held: list[Memory]) -> Cost:
    cpu, everybody = after.cpu - before.cpu, after.everybody - before.everybody
    return Cost(
        seconds=seconds,
        cpu=cpu,
        peak=max(each.whole for each in held),
        private=max(each.private for each in held),
        written=after.written - before.written,
        others=max(0.0, everybody - cpu) / (seconds * cpu_count()),
    )


@contextlib.contextmanager
def _started(command: list[str], cwd: Path | None, env: Mapping[str, str] | None) -> Iterator[subprocess.Popen[bytes]]:
    try:
        # A session of its own: all of it can be ended, and nothing else.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's own, without what changes how a Python works, and with ``more``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**own, **more}


def repeated(act: Callable[[], Cost], *, before: Callable[[], object] | None, times: int) -> Cost:
    """The median of ``times`` repetitions of what is SHORT, else the first; ``before`` each, that is done uncounted."""
    costs: list[Cost] = []
    while len(costs) < times and all(cost.seconds < SHORT for cost in costs):
        if before is not None:
            before()
        settle()
        costs.append(act())
    middle = sorted(costs, key=lambda cost: cost.seconds)[(len(costs) - 1) // 2]
    return msgspec.structs.replace(
        middle,
        seconds=statistics.median(cost.seconds for cost in costs),
        peak=max(cost.peak for cost in costs),
        private=max(cost.private for cost in costs),
        times=tuple(cost.seconds for cost in costs),
    )


def settle() -> None:
    """What was written before reaches the disk now, and not at the expense of what is measured next."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(["sync"], check=False, timeout=60)


def output_of(*argv: str | Path) -> str:
    """What a command prints. Raises Failed."""
    try:
        return subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f"{argv[0]}: {error}") from error
