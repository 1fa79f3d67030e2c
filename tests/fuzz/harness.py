"""What a fuzz target is, and what holds for every input of every target."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from oci_builder.errors import OcibuildError

LONGEST = 64 << 10
"""Bytes of an input."""

SECONDS = 1.0
"""CPU time that an input may take."""

MEMORY = 128 << 20
"""Bytes that an input may hold at a time."""

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One parser. ``run`` calls it as the product does; what it may raise besides OcibuildError is in ``allowed``.

    An assertion of ``run`` that fails is a finding too: it says what a value that was read has to keep.
    """

    name: str
    run: Callable[[bytes], None]
    allowed: tuple[type[Exception], ...] = ()

    def feed(self, data: bytes) -> bool:
        """Run one input; whether it was read. Anything but a documented error passes through."""
        try:
            self.run(data)
        except OcibuildError:
            return False
        except self.allowed:
            return False
        return True

    @property
    def corpus(self) -> list[Path]:
        """The files that seed it, and every input that once broke it."""
        return sorted(path for path in (CORPUS / self.name).glob("*") if path.is_file())


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """What happens inside takes no more CPU time and memory than an input may. Raises AssertionError."""
    tracemalloc.start()
    before = time.process_time()
    try:
        yield
        seconds, (_, peak) = time.process_time() - before, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Tracing takes three quarters of the time.
    assert seconds < 4 * SECONDS, f"{seconds:.1f} s of CPU time"
    assert peak < MEMORY, f"{peak >> 20} MB at a time"


@functools.cache
def workshop() -> Path:
    """A folder for what a target has to read from disk; gone at the end of the process."""
    folder = tempfile.TemporaryDirectory(prefix="ocibuild-fuzz-")
    _FOLDERS.append(folder)
    return Path(folder.name)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def written(name: str, data: bytes) -> Path:
    """``data`` as the file ``name`` of the workshop, in folders that are made."""
    path = workshop() / name
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def signature(error: BaseException) -> str:
    """What kind of failure it is: its type, and the innermost place of the product it passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/oci_builder/" in frame.filename]
    place = ours[-1] if ours else frames[-1]
    return f"{type(error).__name__} in {place.filename.rpartition('/oci_builder/')[2]}:{place.name}"
