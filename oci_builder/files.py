"""Files that appear whole or not at all, and trouble with this machine's files in words."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import shutil
import stat
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oci_builder.errors import FileProblem

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_BUFFER = 1 << 20
"""Bytes that are gathered before they are written."""

_FICLONE = 0x40049409
"""ioctl_ficlone(2); of the standard library only from 3.12 on."""


@contextlib.contextmanager
def atomic(path: Path, *, proof: Callable[[Path], None] | None = None) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes appear at ``path`` whole on a clean exit, and nowhere otherwise.

    ``proof`` is shown the finished file while it has another name; what it raises keeps it from appearing.
    The mode is what the umask says of a new file. What was begun for ``path`` by processes that were killed goes.
    Raises FileProblem.
    """
    _sweep(path)
    while True:
        name = path.with_name(f".{path.name}.{unique()}")
        with _discarded_on_error(name):
            with explained(path):
                # Not by tempfile, which knows no umask: what appears at the end has a new file's usual mode.
                handle = os.open(name, _NEW, 0o666)
            with _written(handle, path) as file:
                if not _held(handle):
                    continue
                yield file
                with explained(path):
                    file.flush()
                if proof is not None:
                    proof(name)
                with explained(path):
                    # Still held: nobody takes it for a dead man's meanwhile.
                    name.replace(path)
                return


@contextlib.contextmanager
def spooled(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills the file ``path``. Trouble with that file, and no other, raises FileProblem."""
    with explained(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    with _written(handle, path) as sink:
        yield sink


@contextlib.contextmanager
def begun(path: Path, *, place: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills the new file ``path``, which is gone on an error; whoever fills it renames it.

    Raises FileProblem, naming ``place``.
    """
    with _discarded_on_error(path):
        with explained(place):
            handle = os.open(path, _NEW, 0o666)
        with _written(handle, place) as sink:
            yield sink


def clone(source: Path, sink: BinaryIO) -> bool:
    """Make ``sink``, a new file, share the blocks of ``source``; False where the file system cannot do that."""
    try:
        with source.open("rb") as stream:
            fcntl.ioctl(sink.fileno(), _FICLONE, stream.fileno())
    except OSError:
        return False
    return True


@contextlib.contextmanager
def read_back(sink: BinaryIO) -> Iterator[BinaryIO]:
    """What is in ``sink``, a file that ``atomic`` or ``begun`` opened."""
    # A descriptor, not a path: what is read is what will be kept.
    with os.fdopen(os.dup(sink.fileno()), "rb") as stream:
        stream.seek(0)
        yield stream


def unique() -> str:
    """A name that nobody else takes, made before its file: so a signal between the two leaves nothing behind."""
    return f"{os.getpid()}-{os.urandom(8).hex()}"


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError about this machine's files into a FileProblem that names ``path``."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "free some space there, or name another place with --cache-dir or --out",
            errno.EACCES: "check the permissions, or name another place with --cache-dir or --out",
            errno.EROFS: "that file system is read-only; name another place with --cache-dir or --out",
        }
        hint = hints.get(error.errno or 0)
        raise FileProblem(str(path), os.strerror(error.errno or errno.EIO).lower(), hint=hint) from error


class Lease:
    """A lock on a folder, given back when the object goes or its process dies; forked processes have a part in it."""

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)

    def lock(self, how: int) -> bool | None:
        """Whether the lock was got; None where the file system has none."""
        try:
            fcntl.flock(self._handle, how)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


def discard(path: Path, info: os.stat_result) -> None:
    """Remove a file or folder, or as much of it as can be."""
    if stat.S_ISDIR(info.st_mode):
        shutil.rmtree(path, ignore_errors=True)
    else:
        forget(path)


def forget(path: Path) -> None:
    """Remove a file, if that can be done."""
    # Another's cache may be readable and no more: then it stays, and what is made anew goes elsewhere or says so.
    with contextlib.suppress(OSError):
        path.unlink()


def unread(path: Path, info: os.stat_result) -> None:
    """Give a file the times it had before it was looked at, if that can be done."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


class _Sink(io.BufferedWriter):
    """A file whose own failures name ``place``; those of whoever writes to it pass by as they are."""

    place: Path

    def write(self, data: Buffer, /) -> int:
        with explained(self.place):
            return super().write(data)


@contextlib.contextmanager
def _written(handle: int, place: Path) -> Iterator[BinaryIO]:
    sink = _Sink(io.FileIO(handle, "wb"), _BUFFER)
    sink.place = place
    try:
        yield sink
        with explained(place):
            sink.flush()
    finally:
        # Nothing is lost by it: what was to be kept is flushed, and the rest is about to be removed.
        with contextlib.suppress(OSError):
            sink.close()


@contextlib.contextmanager
def _discarded_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # What went wrong is said, not that it cannot be cleared away, either.
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _held(handle: int) -> bool:
    """Whether the new file is marked as somebody's, until it is closed; if not, another has just swept it away."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks here: then nobody sweeps either
    return os.fstat(handle).st_nlink > 0


def _sweep(path: Path) -> None:
    ours = re.compile(rf"\.{re.escape(path.name)}\.\d+-[0-9a-f]{{16}}")
    # Gone meanwhile, another user's, or held by who writes it: let be.
    with contextlib.suppress(OSError):
        for other in sorted(path.parent.iterdir()):
            if ours.fullmatch(other.name):
                _remove_unheld(other)


def _remove_unheld(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
