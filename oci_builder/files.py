"""Files of this machine: read where they are files, filled, locked; and what is wrong with them in words."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from oci_builder import inputs, machine
from oci_builder.errors import FileProblem, OcibuildError
from oci_builder.folders import Folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


_BUFFER = 1 << 20
"""Bytes that are gathered before they are written."""


ELSEWHERE = "name another place with --cache-dir or --out"
"""What a command puts its own options in place of, which alone know what a file was for."""


@contextlib.contextmanager
def spooled(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills the file ``path``. Trouble with that file, and no other, raises FileProblem."""
    with explained(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | machine.CLOSED_ON_EXEC, 0o666)
    with written(handle, path) as sink:
        yield sink


def fill(path: Path, data: bytes) -> None:
    """Write a small file for somebody else to read. Raises FileProblem."""
    with spooled(path) as sink:
        sink.write(data)


@contextlib.contextmanager
def begun(folder: Folder, name: str, *, place: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills the new file ``name``, which is gone on an error; whoever fills it renames it.

    Until then it is ours alone. Raises FileProblem, naming ``place``.
    """
    with discarded_on_error(folder, name):
        with explained(place):
            handle = folder.create(name, mode=0o600)
        with written(handle, place) as sink:
            yield sink


def open_regular(path: Path | str, *, noted: bool = True) -> BinaryIO:
    """Open for reading what has to be a file: a pipe would wait for its writer, and a device need not end.

    It is noted as an input, unless it decides nothing of what is made.

    Raises OSError, which says what else is there.
    """
    if noted:
        inputs.note_file(path)
    # Asked before as well: a device may act when it is opened (a tape winds back).
    expect_regular(Path(path).stat(), path)
    # What is there by now may be another: without O_NONBLOCK a pipe would hold us here.
    handle = os.open(path, os.O_RDONLY | machine.AT_ONCE | machine.CLOSED_ON_EXEC)
    try:
        expect_regular(os.fstat(handle), path)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def trouble(number: int, path: Path | str, why: str = "") -> OSError:
    """The error of the system with this number, as whoever reads files understands it, perhaps in our words."""
    return OSError(number, why or os.strerror(number), str(path))


def expect_regular(info: os.stat_result, path: Path | str) -> None:
    """Make sure that what is at ``path`` is a file. Raises OSError, which says what else is there."""
    if not stat.S_ISREG(info.st_mode):
        if stat.S_ISDIR(info.st_mode):
            raise trouble(errno.EISDIR, path)
        raise trouble(errno.EINVAL, path, f"{kind_of(info)}, not a file")


def expect_files(folder: Path) -> None:
    """Make sure that a folder holds files and folders, before a program looks through it that would wait for a pipe.

    Raises FileProblem.
    """
    with explained(folder), os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):  # a link that leads nowhere holds up nobody
                info = entry.stat()
                if not stat.S_ISDIR(info.st_mode):
                    with explained(Path(entry.path)):
                        expect_regular(info, entry.path)


def kind_of(info: os.stat_result) -> str:
    """What something on this machine's disk is, in words."""
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(info.st_mode), "something unknown")


def clone(source: Path, sink: BinaryIO) -> bool:
    """Make ``sink``, a new file, share the blocks of ``source``; False where the file system cannot do that."""
    try:
        with open_regular(source) as stream:
            return machine.share_blocks(stream.fileno(), sink.fileno())
    except OSError:
        return False


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
        raise FileProblem(str(path), in_words(error), hint=_unreadable(path, error) or hint_of(error)) from error


def _unreadable(path: Path, error: OSError) -> str | None:
    """Who may read a file that is there and that we may not read; None where that is not what is wrong."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return None
    import shlex

    with contextlib.suppress(OSError):
        for place in (*reversed(path.absolute().parents), path.absolute()):
            is_folder = place.is_dir()
            if not place.is_symlink() and place.exists() and not machine.may(place, os.X_OK if is_folder else os.R_OK):
                mode = "a+rx" if is_folder else "a+r"
                return f"let whoever builds read it: chmod {mode} {shlex.quote(str(place))}, or {ELSEWHERE}"
    return None


def in_words(error: OSError) -> str:
    """What went wrong with a file, without its name."""
    return (error.strerror or os.strerror(error.errno or errno.EIO)).lower()


def hint_of(error: OSError) -> str:
    """What to do about a file that cannot be read or written."""
    elsewhere = ELSEWHERE
    hints = {
        errno.ENOSPC: f"free some space there, or {elsewhere}",
        errno.EDQUOT: f"your quota there is used up: free some space, or {elsewhere}",
        errno.EIO: f"its disk, or what connects it, fails (see `dmesg`): {elsewhere}",
        errno.EMFILE: "raise the limit on open files (`ulimit -n 1024`)",
        errno.EACCES: f"check the permissions, or {elsewhere}",
        errno.EBUSY: "what is mounted there cannot be replaced; `--out - > FILE` writes into it as it is",
        errno.EPIPE: "whoever reads there ended before all was written: see why",
        errno.EROFS: f"that file system is read-only; {elsewhere}",
    }
    return hints.get(error.errno or errno.EIO, f"{elsewhere}, or mend this one")


def nameless() -> BinaryIO:
    """A new file without a name, in this machine's folder of temporary things. Raises FileProblem."""
    import tempfile  # which loads a lot: not for a build with nothing to do

    try:
        return cast("BinaryIO", tempfile.TemporaryFile())
    except OSError as error:
        hint = "free some space in /tmp, or name another folder in TMPDIR"
        why = f"no file can be made there ({in_words(_cause(error))})"
        raise FileProblem("this machine's folder of temporary files", why, hint=hint) from error


def _cause(error: OSError) -> OSError:
    """Python tries several folders, and tells what it found wrong with none of them; the usual one is asked again."""
    import tempfile

    if isinstance(error, FileNotFoundError):
        try:
            tempfile.TemporaryFile(dir="/tmp").close()
        except OSError as cause:
            return cause
    return error


class Lease:
    """A lock on a folder, given back when the object goes or its process dies.

    Forked processes have a part in it: it is held until the last of them has ended, as what they write needs it.
    """

    def __init__(self, folder: Folder) -> None:
        # A description of its own: a lock belongs to that, and not to the folder's.
        self._handle = os.open(".", os.O_RDONLY | machine.FOLDER | machine.CLOSED_ON_EXEC, dir_fd=folder.handle)
        weakref.finalize(self, os.close, self._handle)

    def lock(self) -> bool | None:
        """Whether the lock was got that nobody else has; None where the file system has none."""
        return machine.lock(self._handle)

    def share(self) -> None:
        """Have the lock together with others, once nobody has it alone."""
        # Waited for, unlike the other: whoever has a cache alone prunes or clears it, which takes seconds, and to go on
        # meanwhile would be to have what is being written here taken for a dead man's.
        machine.lock(self._handle, shared=True, wait=True)


def is_closed(error: FileProblem) -> bool:
    """Whether a file could not be written because nothing may be written there, by us or by anybody."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def is_full(error: OcibuildError) -> bool:
    """Whether a file could not be written because its disk is full: no other source of what it holds will do."""
    cause = error.__cause__
    return isinstance(error, FileProblem) and isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def unread(path: Path, info: os.stat_result) -> None:
    """Give a file the times it had before it was looked at, if that can be done."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


class _Sink(io.BufferedWriter):
    """A file whose own failures name ``place``; those of whoever writes to it pass by as they are."""

    place: Path

    def write(self, data: Buffer, /) -> int:
        with explained(self.place):
            return super().write(data)


@contextlib.contextmanager
def written(handle: int, place: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills an open file, flushed on a clean exit and closed in any case.

    Raises FileProblem, naming ``place``.
    """
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
def discarded_on_error(folder: Folder, name: str) -> Iterator[None]:
    """Remove what the block began as ``name``, should it not come to its end."""
    try:
        yield
    except BaseException:
        # What went wrong is said, not that it cannot be cleared away, either.
        folder.forget(name)
        raise
