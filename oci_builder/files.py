"""Files that appear whole or not at all, and trouble with this machine's files in words."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from oci_builder import inputs, machine
from oci_builder.errors import FileProblem
from oci_builder.folders import Folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_READ = os.O_RDONLY | machine.AS_IT_IS | machine.AT_ONCE | machine.CLOSED_ON_EXEC
_LONG = 200
"""Bytes of a name that its temporary names begin with: a process's number and 16 digits follow."""

_LINKS = 40
"""Links that one path may lead through, as in Linux."""

_BUFFER = 1 << 20
"""Bytes that are gathered before they are written."""


@contextlib.contextmanager
def atomic(
    path: Path,
    *,
    follow: bool = False,
    within: Folder | None = None,
    proof: Callable[[Path], None] | None = None,
) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes appear at ``path`` whole on a clean exit, and nowhere otherwise.

    A file that is replaced gives its mode, and its owner where that is allowed; else the umask decides, as of any new
    file. A link is replaced, or, where it is to be ``follow``ed, what it leads to. What was begun for ``path`` by
    processes that were killed goes. ``within`` is the folder, where it is open already. Whole also after a power cut:
    it is on the disk before it has its name. ``proof`` is shown the finished file while it has another name; what it
    raises keeps it from appearing. Raises FileProblem.
    """
    with explained(path):
        place = _followed(path) if follow else path
        before = _replaced(place)
        folder = within or Folder(place.parent)
    stem = _stem(place.name)
    _sweep(folder, stem)
    while True:
        name = f"{stem}{unique()}"
        with _discarded_on_error(folder, name):
            with explained(path):
                # Not by tempfile, which knows no umask: what appears at the end has a new file's usual mode.
                handle = folder.create(name, mode=0o666 if before is None else 0o600)
            with _written(handle, path) as file:
                if not _held(handle):
                    continue
                yield file
                with explained(path):
                    file.flush()
                    if before is not None:
                        _give(handle, before)
                    # Before it takes its name: else what stands there after a power cut may be empty (XFS, ext4), and
                    # what a disk far away could not take (NFS, quotas) is told to nobody.
                    _sync(handle)
                if proof is not None:
                    proof(folder.path / name)
                with explained(path):
                    # Still held: nobody takes it for a dead man's meanwhile.
                    folder.rename(name, folder, place.name)
                # The file is whole under its name or not there: whether a power cut takes it away again is no failure.
                with contextlib.suppress(OSError):
                    os.fsync(folder.handle)
                return


def check_output(path: Path) -> None:
    """A file can be put at ``path``, or, if it is a link, where that leads: no pipe or device. Raises FileProblem."""
    try:
        _replaced(_followed(path))
    except OSError as error:
        hint = "what is written appears whole, in a file: name one" if error.errno == errno.EINVAL else None
        raise FileProblem(str(path), in_words(error), hint=hint) from error


def _followed(path: Path) -> Path:
    """Where a link leads, though nothing may be there yet."""
    for _ in range(_LINKS):
        if not path.is_symlink():
            return path
        # What the kernel sees goes first: a link in /proc need not say in words where it leads.
        with contextlib.suppress(FileNotFoundError):
            _expect_regular(path.stat(), path)
        path = path.parent / path.readlink()
    raise trouble(errno.ELOOP, path)


def _replaced(path: Path) -> os.stat_result | None:
    """What a file at ``path`` would replace; of a link nothing is to be kept."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(info.st_mode):
        return None
    _expect_regular(info, path)
    return info


def _give(handle: int, before: os.stat_result) -> None:
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(handle, before.st_uid, before.st_gid)
    # After the owner, which takes bits away.
    machine.give_mode(handle, stat.S_IMODE(before.st_mode) & 0o777)


@contextlib.contextmanager
def spooled(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills the file ``path``. Trouble with that file, and no other, raises FileProblem."""
    with explained(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | machine.CLOSED_ON_EXEC, 0o666)
    with _written(handle, path) as sink:
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
    with _discarded_on_error(folder, name):
        with explained(place):
            handle = folder.create(name, mode=0o600)
        with _written(handle, place) as sink:
            yield sink


def open_regular(path: Path | str, *, noted: bool = True) -> BinaryIO:
    """Open for reading what has to be a file: a pipe would wait for its writer, and a device need not end.

    It is noted as an input, unless it decides nothing of what is made.

    Raises OSError, which says what else is there.
    """
    if noted:
        inputs.note(path)
    # Asked before as well: a device may act when it is opened (a tape winds back).
    _expect_regular(Path(path).stat(), path)
    # What is there by now may be another: without O_NONBLOCK a pipe would hold us here.
    handle = os.open(path, os.O_RDONLY | machine.AT_ONCE | machine.CLOSED_ON_EXEC)
    try:
        _expect_regular(os.fstat(handle), path)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def trouble(number: int, path: Path | str, why: str = "") -> OSError:
    """The error of the system with this number, as whoever reads files understands it, perhaps in our words."""
    return OSError(number, why or os.strerror(number), str(path))


def _expect_regular(info: os.stat_result, path: Path | str) -> None:
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
                        _expect_regular(info, entry.path)


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
        raise FileProblem(str(path), in_words(error), hint=hint_of(error)) from error


def in_words(error: OSError) -> str:
    """What went wrong with a file, without its name."""
    return (error.strerror or os.strerror(error.errno or errno.EIO)).lower()


def hint_of(error: OSError) -> str:
    """What to do about a file that cannot be read or written."""
    elsewhere = "name another place with --cache-dir or --out"
    hints = {
        errno.ENOSPC: f"free some space there, or {elsewhere}",
        errno.EDQUOT: f"your quota there is used up: free some space, or {elsewhere}",
        errno.EIO: f"its disk, or what connects it, fails (see `dmesg`): {elsewhere}",
        errno.EMFILE: "raise the limit on open files (`ulimit -n 1024`)",
        errno.EACCES: f"check the permissions, or {elsewhere}",
        errno.EBUSY: "what is mounted there cannot be replaced; `--out - > FILE` writes into it as it is",
        errno.EROFS: f"that file system is read-only; {elsewhere}",
    }
    return hints.get(error.errno or errno.EIO, f"{elsewhere}, or mend this one")


def nameless() -> BinaryIO:
    """A new file without a name, in this machine's folder of temporary things. Raises FileProblem."""
    try:
        return cast("BinaryIO", tempfile.TemporaryFile())
    except OSError as error:
        hint = "free some space in /tmp, or name another folder in TMPDIR"
        why = f"no file can be made there ({in_words(_cause(error))})"
        raise FileProblem("this machine's folder of temporary files", why, hint=hint) from error


def _cause(error: OSError) -> OSError:
    """Python tries several folders, and tells what it found wrong with none of them; the usual one is asked again."""
    if isinstance(error, FileNotFoundError):
        try:
            tempfile.TemporaryFile(dir="/tmp").close()
        except OSError as cause:
            return cause
    return error


class Lease:
    """A lock on a folder, given back when the object goes or its process dies; forked processes have a part in it."""

    def __init__(self, folder: Folder) -> None:
        # A description of its own: a lock belongs to that, and not to the folder's.
        self._handle = os.open(".", os.O_RDONLY | machine.FOLDER | machine.CLOSED_ON_EXEC, dir_fd=folder.handle)
        weakref.finalize(self, os.close, self._handle)

    def lock(self) -> bool | None:
        """Whether the lock was got that nobody else has; None where the file system has none."""
        return machine.lock(self._handle)

    def share(self) -> None:
        """Have the lock together with others, once nobody has it alone."""
        machine.lock(self._handle, shared=True, wait=True)


def is_closed(error: FileProblem) -> bool:
    """Whether a file could not be written because nothing may be written there, by us or by anybody."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


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
def _discarded_on_error(folder: Folder, name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # What went wrong is said, not that it cannot be cleared away, either.
        folder.forget(name)
        raise


def _sync(handle: int) -> None:
    """Have all of a file on its disk, where its file system can do that."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _held(handle: int) -> bool:
    """Whether the new file is marked as somebody's, until it is closed; if not, another has just swept it away."""
    held = machine.lock(handle)
    if held is None:
        return True  # no locks here: then nobody sweeps either
    return held and os.fstat(handle).st_nlink > 0


def _stem(name: str) -> str:
    """How the temporary names begin of what will be called ``name``: no file system takes more than 255 bytes."""
    if len(os.fsencode(name)) > _LONG:
        whole = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        # No half character: some file systems take but whole ones.
        name = f"{os.fsencode(name)[: _LONG - 17].decode(errors='ignore')}~{whole}"
    return f".{name}."


def _sweep(folder: Folder, stem: str) -> None:
    ours = re.compile(rf"{re.escape(stem)}\d+-[0-9a-f]{{16}}")
    # Gone meanwhile, another user's, or held by who writes it: let be.
    with contextlib.suppress(OSError):
        for other, info in folder.listing():
            if ours.fullmatch(other) and stat.S_ISREG(info.st_mode):
                _remove_unheld(folder, other)


def _remove_unheld(folder: Folder, name: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(name, _READ, dir_fd=folder.handle)
        try:
            if machine.lock(handle):
                folder.remove(name)
        finally:
            os.close(handle)
