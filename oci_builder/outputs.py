"""Outputs that appear whole or not at all, whoever else writes there or was killed at it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from oci_builder import machine
from oci_builder.errors import FileProblem
from oci_builder.files import discarded_on_error, expect_regular, explained, hint_of, in_words, trouble, unique, written
from oci_builder.folders import Folder

_READ = os.O_RDONLY | machine.AS_IT_IS | machine.AT_ONCE | machine.CLOSED_ON_EXEC
_LONG = 200
"""Bytes of a name that its temporary names begin with: a process's number and 16 digits follow."""


_LINKS = 40
"""Links that one path may lead through, as in Linux."""


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
        with discarded_on_error(folder, name):
            with explained(path):
                # Not by tempfile, which knows no umask: what appears at the end has a new file's usual mode.
                handle = folder.create(name, mode=0o666 if before is None else 0o600)
            with written(handle, path) as file:
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
        place = _followed(path)
        _replaced(place)
        if place != path and not place.parent.is_dir():
            raise trouble(errno.ENOENT, path, f"it leads to {place}, and there is no such folder")
        if place.parent.is_dir() and not machine.may(place.parent, os.W_OK | os.X_OK):
            raise trouble(errno.EROFS if machine.is_read_only(place.parent) else errno.EACCES, place.parent)
    except OSError as error:
        hint = "what is written appears whole, in a file: name one" if error.errno == errno.EINVAL else hint_of(error)
        raise FileProblem(str(path), in_words(error), hint=hint) from error


def _followed(path: Path) -> Path:
    """Where a link leads, though nothing may be there yet."""
    for _ in range(_LINKS):
        if not path.is_symlink():
            return path
        # What the kernel sees goes first: a link in /proc need not say in words where it leads.
        with contextlib.suppress(FileNotFoundError):
            expect_regular(path.stat(), path)
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
    expect_regular(info, path)
    return info


def _give(handle: int, before: os.stat_result) -> None:
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(handle, before.st_uid, before.st_gid)
    # After the owner, which takes bits away.
    machine.give_mode(handle, stat.S_IMODE(before.st_mode) & 0o777)


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
    """Remove what processes that were killed had begun under names with ``stem``; what is being written stays."""
    # By the lock, not by the process's number in the name: that may be another's by now, or of another machine's.
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
            # The kernel gives back the locks of the dead; who does not get it meets a writer that lives.
            if machine.lock(handle):
                folder.remove(name)
        finally:
            os.close(handle)
