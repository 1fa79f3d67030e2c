"""What the machine that runs us has, and what is done where it has it not: each difference of systems, at one place.

Everything here is asked of the machine when it is called. What Linux alone has is looked up by name, so that another
system lacks no more than that.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

_fcntl: Any = None
# Not there on Windows, and in Pythons for browsers.
with contextlib.suppress(ImportError):
    _fcntl = importlib.import_module("fcntl")

_LINUX: Final[bool] = sys.platform == "linux"

CLOSED_ON_EXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
"""Python's own descriptors are not inherited, either way; the flag spares a moment in which they would be."""

FOLDER: Final[int] = getattr(os, "O_DIRECTORY", 0)
AS_IT_IS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
AT_ONCE: Final[int] = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

PASSED: Final[int] = getattr(os, "O_PATH", os.O_RDONLY) | FOLDER | CLOSED_ON_EXEC
"""How a folder is opened that is only gone through; without O_PATH it has to be readable."""

_FICLONE = 0x40049409
"""ioctl_ficlone(2); of the standard library only from 3.12 on."""


def cpu_count() -> int:
    """The CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def linux_cpu() -> str | None:
    """What ``uname -m`` calls the CPU, where programs for Linux can be started; None anywhere else."""
    return os.uname().machine if _LINUX else None


def forks() -> bool:
    """Whether a process may be forked from one that has threads: frameworks of other systems do not bear it."""
    return _LINUX


def lock(handle: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Whether the lock on what is open was got; None where there are no locks. Another's shared one lets others in."""
    if _fcntl is None:
        return None
    how = _fcntl.LOCK_SH if shared else _fcntl.LOCK_EX
    try:
        _fcntl.flock(handle, how if wait else how | _fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def share_blocks(source: int, sink: int) -> bool:
    """Make ``sink``, a new file, share the blocks of ``source``; False where that cannot be done."""
    if _fcntl is None or not _LINUX:
        return False
    try:
        _fcntl.ioctl(sink, _FICLONE, source)
    except OSError:
        return False
    return True


def only_reads(handle: int) -> bool:
    """Whether what is open cannot be written to."""
    if _fcntl is None:
        return False
    return bool(_fcntl.fcntl(handle, _fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY)


_NO_MODES = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


def give_mode(place: int | Path, mode: int) -> None:
    """Give a file its permissions, where its file system has any: vfat, exFAT and some disks far away refuse.

    Raises OSError for what is no such refusal.
    """
    try:
        os.chmod(place, mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def may(path: Path, how: int) -> bool:
    """Whether we may do with ``path`` what ``how`` says (os.R_OK …), by the user that we act as."""
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def has_room(folder: Path) -> bool:
    """Whether its file system says that more fits in; False where that cannot be asked. Raises OSError."""
    ask = getattr(os, "statvfs", None)
    if ask is None:
        return False
    room = ask(folder)
    # Some file systems count no files, and say that there is room for none.
    return room.f_bavail > 0 and (room.f_favail > 0 or not room.f_files)


def is_read_only(folder: Path) -> bool:
    """Whether nobody can write to what ``folder`` lies on."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def memory_file(name: str) -> BinaryIO:
    """A file that is in memory, or, where there is no such thing, in the folder of temporary things. Raises OSError."""
    create = getattr(os, "memfd_create", None)
    if create is not None:
        return cast("BinaryIO", os.fdopen(create(name), "w+b"))
    import tempfile  # which loads a lot, and is asked for on few machines

    return cast("BinaryIO", tempfile.TemporaryFile())


CAN_PEEK: Final[bool] = hasattr(os, "waitid")
"""Whether a child's end can be seen before it is reaped; Macs learnt it with Python 3.13."""


def has_ended(pid: int, *, wait: bool = False) -> bool | None:
    """Whether a child has ended, without its being reaped, or ``wait`` until it has; None where that cannot be told."""
    waitid = getattr(os, "waitid", None)
    if waitid is None:
        return None
    return waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)) is not None
