"""Where bytes go: a file, which appears whole, or what takes them as they come: a pipe, a device, a descriptor."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from oci_builder import machine
from oci_builder.errors import CorruptBlob, FileProblem
from oci_builder.files import explained, kind_of, trouble
from oci_builder.outputs import atomic, check_output

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

STDOUT = Path("/dev/stdout")
"""What ``-`` stands for."""

_LINKS = 40
_AS_IT_IS = "name a file: what is written there appears whole"


@dataclass(frozen=True, slots=True)
class Stream:
    """What takes bytes as they come: a ``descriptor`` that we were started with, or the pipe or device at ``path``."""

    path: Path
    descriptor: int | None = None

    def __str__(self) -> str:
        return "stdout" if self.descriptor == 1 else str(self.path)

    def check(self) -> None:
        """See that it can be written to, as far as that can be seen without opening it. Raises FileProblem."""
        with explained(self.path):
            if self.descriptor is None:
                if not os.access(self.path, os.W_OK):
                    raise trouble(errno.EACCES, self.path)
                return
            if machine.only_reads(self.descriptor):
                raise trouble(errno.EBADF, self.path, "it is not open for writing")
        _expect_no_terminal(self.descriptor, str(self))

    def open(self, note: Callable[[str], None]) -> int:
        """A descriptor of our own to write to; who waits for the other end of a pipe says so. Raises FileProblem."""
        with explained(self.path):
            if self.descriptor is not None:
                return os.dup(self.descriptor)
            how = os.O_WRONLY | os.O_NOCTTY | machine.CLOSED_ON_EXEC
            try:
                handle = os.open(self.path, how | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO or not self.path.is_fifo():
                    raise
                note(f"waiting for whoever reads {self.path}")
                handle = os.open(self.path, how)
            os.set_blocking(handle, True)
            return handle


def stream_of(path: Path) -> Stream | None:
    """What takes the bytes at ``path`` as they come; None where a file is to be, or nothing can be."""
    if path == STDOUT:
        return Stream(path, 1)
    descriptor = _descriptor(path)
    if descriptor is not None:
        return Stream(path, descriptor)
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    return Stream(path) if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) else None


def check_target(path: Path) -> None:
    """Bytes can go to ``path``: to a file, where a link leads, to a pipe or a device. Raises FileProblem."""
    stream = stream_of(path)
    if stream is None:
        check_output(path)
    else:
        stream.check()


@contextlib.contextmanager
def output(
    path: Path, *, note: Callable[[str], None], proof: Callable[[Path], None] | None = None
) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes appear at ``path``, or where that leads: in a file whole or not at all, else at once.

    ``note`` is told where somebody is waited for. ``proof`` is as of ``files.atomic``; what streams past cannot be
    proved. Raises FileProblem, also for what nobody could take back: a blob that turns out damaged on its way.
    """
    stream = stream_of(path)
    if stream is None:
        with atomic(path, follow=True, proof=proof) as file:
            yield file
        return
    if proof is not None:
        raise FileProblem(str(stream), "what goes there cannot be read again to verify it", hint=_AS_IT_IS)
    handle = stream.open(note)
    try:
        _expect_stream(handle, stream)
        passing = Passing(handle, str(stream))
        try:
            yield cast("BinaryIO", passing)
        except CorruptBlob as error:
            if not passing.tell():
                raise
            # Whoever mends the cache begins anew, and what has gone out cannot be taken back.
            raise FileProblem(
                str(stream),
                f"what was written there is not whole: {error}",
                hint="run the same command again: what was damaged is made anew",
            ) from error
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)


class Passing(io.RawIOBase):
    """A descriptor that bytes are written to at once: nothing is held back that an interruption would have to wait for.

    Its failures raise FileProblem.
    """

    def __init__(self, handle: int, name: str) -> None:
        super().__init__()
        self._handle, self._name, self._count = handle, name, 0

    def write(self, data: Buffer, /) -> int:
        """Write all of ``data``."""
        left = memoryview(data).cast("B")
        size = len(left)
        with explained(Path(self._name)):
            while left:
                try:
                    done = os.write(self._handle, left)
                except BlockingIOError:
                    # Who started us may have made it so, and has the same one.
                    select.select([], [self._handle], [])
                    continue
                left = left[done:]
                self._count += done
        return size

    def writable(self) -> bool:
        """Whether it can be written to: it always can."""
        return True

    def tell(self) -> int:
        """The bytes written so far: pipes do not know."""
        return self._count


def _descriptor(path: Path) -> int | None:
    """The number of the descriptor of this process that ``path`` names, as /dev/stdout and /dev/fd/63 do."""
    ours = f"/proc/{os.getpid()}/fd"
    for _ in range(_LINKS):
        if os.path.realpath(path.parent) == ours:
            return int(path.name) if path.name.isdecimal() and os.path.lexists(path) else None
        try:
            path = path.parent / path.readlink()
        except OSError:
            return None
    return None


def _expect_stream(handle: int, stream: Stream) -> None:
    """What was opened is what was seen: where a file has come to be meanwhile, it is not written over."""
    info = os.fstat(handle)
    if stream.descriptor is None and not (stat.S_ISFIFO(info.st_mode) or stat.S_ISCHR(info.st_mode)):
        raise FileProblem(str(stream), f"it has become {kind_of(info)} meanwhile")
    _expect_no_terminal(handle, str(stream))


def _expect_no_terminal(handle: int, name: str) -> None:
    if os.isatty(handle):
        hint = "send it on (`| docker load`, `> FILE`), or name a file with --out"
        raise FileProblem(name, "a terminal, and these bytes are not for reading", hint=hint)
