"""Running a command and saying what it took."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


class Failed(Exception):
    """A program is not there, or ended badly; its row says so, and the others go on."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of the clock and of processors; ``peak`` is the most memory (bytes, shared pages counted once) that the
    command and its children held together. A daemon's work is in neither ``cpu`` nor ``peak``: both are then None."""

    seconds: float
    cpu: float | None = None
    peak: int | None = None

    def __add__(self, other: Cost) -> Cost:
        return Cost(seconds=self.seconds + other.seconds)


def run(
    *argv: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    alone: bool = False,
    limit: int = 600,
) -> Cost:
    """Run a command to its end. ``alone`` says that all its work is done by itself and its children. Raises Failed."""
    command = [str(part) for part in argv]
    before, began = _children(), time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(os.environ, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    with _watched(process.pid, wanted=alone) as peak:
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise Failed(f"{Path(command[0]).name}: not done after {limit} s") from error
    seconds = time.monotonic() - began
    if process.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-3:]
        raise Failed(f"{Path(command[0]).name}: exit {process.returncode}: {' '.join(last)[-300:]}")
    return Cost(seconds=seconds, cpu=_children() - before if alone else None, peak=max(peak) if alone else None)


def output_of(*argv: str | Path) -> str:
    """What a command prints. Raises Failed."""
    try:
        return subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f"{argv[0]}: {error}") from error


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _watched(pid: int, *, wanted: bool) -> Iterator[list[int]]:
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            seen.append(sum(map(_proportional, _family(pid))))

    watcher = threading.Thread(target=watch, daemon=True)
    if wanted:
        watcher.start()
    try:
        yield seen
    finally:
        done.set()
        if wanted:
            watcher.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text().split():
                yield from _family(int(child))


def _proportional(pid: int) -> int:
    # Anonymous memory only: pages of mapped files are the kernel's to drop.
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return 0
