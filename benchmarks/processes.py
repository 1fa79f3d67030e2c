"""What processes have used: this one's descendants, daemons and their containers among them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICK = os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> None:
    """Descendants whose parents end become children of this process: what a container's shim used is counted too."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True)
class Usage:
    """Since the machine or this process began: seconds of processors and bytes written by the descendants of this
    process, running or ended; and seconds of processors used by everybody."""

    cpu: float
    written: int
    everybody: float

    @staticmethod
    def now() -> Usage:
        """The counters as they stand. A process that ended is counted once its parent has taken note."""
        children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
        running = list(descendants(os.getpid()))
        busy = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        # All but idle (the fourth) and waiting for disks (the fifth).
        everybody = sum(int(ticks) for at, ticks in enumerate(busy) if at not in (3, 4)) / _TICK
        return Usage(
            cpu=children.ru_utime + children.ru_stime + sum(map(cpu_of, running)),
            written=sum(_written(pid) for pid in (os.getpid(), *running)),
            everybody=everybody - own.ru_utime - own.ru_stime,
        )


def descendants(pid: int) -> Iterator[int]:
    """The processes below ``pid``, itself left out."""
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                yield child
                yield from descendants(child)


def cpu_of(pid: int) -> float:
    """Seconds of processors that a process and its ended children used; 0 for one that is gone."""
    with contextlib.suppress(OSError):
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICK
    return 0.0


def _written(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                return int(line.split()[1])
    return 0


@dataclass(frozen=True)
class Memory:
    """Bytes that processes hold together, each page counted once: ``whole`` with files they have mapped, ``private``
    without (those pages are the kernel's to drop)."""

    whole: int = 0
    private: int = 0

    @staticmethod
    def held() -> Memory:
        """By the descendants of this process, now."""
        held = [_memory(pid) for pid in descendants(os.getpid())]
        return Memory(sum(each.whole for each in held), sum(each.private for each in held))


def _memory(pid: int) -> Memory:
    with contextlib.suppress(OSError):
        lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
        sizes = {words[0]: int(words[1]) * 1024 for words in lines}
        return Memory(sizes["Pss:"], sizes.get("Pss_Anon:", 0) + sizes.get("Pss_Shmem:", 0))
    return Memory()


@contextlib.contextmanager
def watched() -> Iterator[list[Memory]]:
    """The memory held by descendants, looked at all the time, but less often when it takes long: a look costs."""
    seen, done = [Memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.1 if len(seen) < 50 else 0.25):
            seen.append(Memory.held())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
