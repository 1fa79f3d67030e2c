"""Every system call that changes files, of a process and all its children, stopped before it happens.

The kernel stops them (seccomp_unotify(2)) and asks this process what becomes of each: so nothing that a program does to
a file passes unseen, whatever library does it, and no compiler and no other program is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

_TABLES = {
    "x86_64": """
        write=1 pwrite64=18 writev=20 sendfile=40 fsync=74 fdatasync=75 truncate=76 ftruncate=77 rename=82 mkdir=83
        rmdir=84 creat=85 link=86 unlink=87 symlink=88 chmod=90 fchmod=91 chown=92 fchown=93 lchown=94 mknod=133
        setxattr=188 lsetxattr=189 fsetxattr=190 mkdirat=258 mknodat=259 fchownat=260 unlinkat=263 renameat=264
        linkat=265 symlinkat=266 fchmodat=268 splice=275 sync_file_range=277 utimensat=280 fallocate=285 pwritev=296
        syncfs=306 renameat2=316 copy_file_range=326 pwritev2=328 openat2=437 fchmodat2=452 open=2 openat=257 ioctl=16
        seccomp=317
    """,
    "aarch64": """
        setxattr=5 lsetxattr=6 fsetxattr=7 mknodat=33 mkdirat=34 unlinkat=35 symlinkat=36 linkat=37 renameat=38
        truncate=45 ftruncate=46 fallocate=47 fchmod=52 fchmodat=53 fchownat=54 fchown=55 write=64 writev=66
        pwrite64=68 pwritev=70 sendfile=71 splice=76 fsync=82 fdatasync=83 sync_file_range=84 utimensat=88 syncfs=267
        renameat2=276 copy_file_range=285 pwritev2=287 openat2=437 fchmodat2=452 openat=56 ioctl=29 seccomp=277
    """,
}
"""The calls that are watched, by machine; the last are not always."""

_NUMBERS: Mapping[str, Mapping[str, int]] = {
    machine: {name: int(number) for name, number in (each.split("=") for each in table.split())}
    for machine, table in _TABLES.items()
}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SOMETIMES = ("open", "openat", "ioctl", "seccomp")
WATCHED = frozenset(name for table in _NUMBERS.values() for name in table if name != "seccomp")
"""The names of all calls that are seen; of openings those for writing, of ioctl those that share blocks."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONES = (0x40049409, 0x4020940D)
"""FICLONE and FICLONERANGE (ioctl_ficlonerange(2))."""

_BY_HANDLE = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "fsync", "fdatasync"), 0),
    **dict.fromkeys(
        ("ftruncate", "fchmod", "fchown", "fsetxattr", "fallocate", "sync_file_range", "syncfs", "ioctl"), 0
    ),
    **dict.fromkeys(("splice", "copy_file_range"), 2),
}
"""Which argument is the open file that changes; all others name a path."""

_BY_PATH = {
    "openat": (0, 1),
    "openat2": (0, 1),
    "mkdirat": (0, 1),
    "unlinkat": (0, 1),
    "mknodat": (0, 1),
    "fchmodat": (0, 1),
    "fchmodat2": (0, 1),
    "fchownat": (0, 1),
    "utimensat": (0, 1),
    "symlinkat": (1, 2),
    "renameat": (2, 3),
    "renameat2": (2, 3),
    "linkat": (2, 3),
    "rename": (None, 1),
    "link": (None, 1),
    "symlink": (None, 1),
}
"""Which arguments are the folder and the path that appears or changes; the first alone, if nothing else is said."""

# linux/seccomp.h, linux/prctl.h, linux/filter.h
_NO_NEW_PRIVILEGES, _SUBREAPER = 38, 36
_SET_FILTER, _NEW_LISTENER = 1, 8
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_NOTICE = struct.Struct("=QIIiIQ6Q")

_libc = ctypes.CDLL(None, use_errno=True)


class _Step(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step)))


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to happen: its ``number`` from 1 on, its name, the path, and whose it is."""

    number: int
    name: str
    path: str
    pid: int
    leader: int

    @property
    def child(self) -> bool:
        """Whether not the program itself makes it, but a process that it has started."""
        return self.pid != self.leader

    def __str__(self) -> str:
        return f"{self.number} {self.name}({self.path}){' in a child' if self.child else ''}"


@dataclass
class Ending:
    """How a run ended: exit code (minus the signal that killed it; None if it had to be), words, calls.

    ``left`` are its processes that did not end with it.
    """

    code: int | None
    said: str
    calls: list[Call] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    seconds: float = 0.0


Act = Callable[[Call], int]
"""Decides on a call: an errno that it fails with, or 0 to let it happen. It may kill whom it likes before."""


def why_not() -> str:
    """What is missing on this machine; empty where all is there."""
    if platform.machine() not in _NUMBERS:
        return f"system calls of {platform.machine()} are not in the table"
    try:
        code = watched(lambda: 0, Path(os.devnull), lambda call: 0).code
    except OSError as error:
        return f"the kernel hands no system calls over: {error.strerror}"
    return "" if code == 0 else "the kernel hands no system calls over"


def watched(run: Callable[[], int], said: Path, act: Act, *, patience: float = 60) -> Ending:
    """Run ``run`` in a child, its output in the file ``said``, and have ``act`` decide on every call that counts.

    What is written to pipes, sockets, memory and /dev/null does not count: no disk is there to fail. All children of
    this process have ended when this returns: who has not after ``patience`` seconds is killed. So it is for a process
    that has no others. Raises OSError where the kernel cannot.
    """
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    began = time.monotonic()
    leader = os.fork()
    if leader == 0:
        ours.close()
        _live(run, said, theirs)
    theirs.close()
    with ours:
        data, handles, _, _ = socket.recv_fds(ours, 4, 1)
    if not handles:
        os.waitpid(leader, 0)
        number = int.from_bytes(data, "little") or errno.EIO
        raise OSError(number, os.strerror(number))
    ending = Ending(None, "")
    try:
        _attend(_Listener(handles[0], leader), act, ending, until=began + patience)
    finally:
        os.close(handles[0])
        ending.left = [pid for pid in end_all() if pid != leader]
    if said.is_file():
        ending.said = said.read_text(errors="replace")
    ending.seconds = time.monotonic() - began
    return ending


def end_all() -> list[int]:
    """Kill all our descendants and wait for them; gives who there was."""
    found = kill_all()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return found


def kill_all() -> list[int]:
    """Kill all our descendants as at one instant: none runs on when the first dies. Gives who there was."""
    found: dict[int, None] = {}
    while new := [pid for pid in _descendants(os.getpid()) if pid not in found]:
        for pid in new:
            found[pid] = None
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return list(found)


def _attend(reporter: _Listener, act: Act, ending: Ending, *, until: float) -> None:
    while time.monotonic() < until:
        reporter.reap(ending)
        if not reporter.wait():
            if reporter.deserted:
                reporter.reap(ending, for_good=True)
                return
            continue
        if (call := reporter.receive(len(ending.calls) + 1)) is None:
            continue
        failure = 0
        if call.name:
            ending.calls.append(call)
            failure = act(call)
        reporter.answer(failure)
    ending.code = None


class _Listener:
    """Our end of what the kernel asks about one tree of processes."""

    def __init__(self, handle: int, leader: int) -> None:
        self._handle, self._leader = handle, leader
        self._names = {number: name for name, number in _NUMBERS[platform.machine()].items()}
        self._poll = select.poll()
        self._poll.register(handle, select.POLLIN)
        self._asked = 0
        self.deserted = False

    def wait(self) -> bool:
        """Whether somebody asks; ``deserted`` when nobody ever will."""
        events = self._poll.poll(200)
        self.deserted = bool(events) and not events[0][1] & select.POLLIN
        return bool(events) and bool(events[0][1] & select.POLLIN)

    def receive(self, number: int) -> Call | None:
        """What is asked; a call without a name does not count. None if who asked is gone."""
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self._handle, _RECEIVE, notice, True)
        except OSError:
            return None
        self._asked, pid, _, which, _, _, *arguments = _NOTICE.unpack(notice)
        name = self._names[which]
        path = _path(name, pid, arguments)
        if path.startswith(("pipe:", "socket:", "anon_inode:", "/memfd:", "/dev/null", "/dev/tty", "/dev/pts/")):
            name = ""
        return Call(number, name, path, _process(pid, self._leader), self._leader)

    def answer(self, failure: int) -> None:
        """Let the call happen, or fail."""
        reply = struct.pack("=QqiI", self._asked, 0, -failure, 0 if failure else _CONTINUE)
        # Who was killed or signalled meanwhile waits for no answer: it is gone, or asks again.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._handle, _SEND, reply)

    def reap(self, ending: Ending, *, for_good: bool = False) -> None:
        """Take note of who has ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, 0 if for_good else os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._leader:
                    ending.code = os.waitstatus_to_exitcode(status)


def _live(run: Callable[[], int], said: Path, parent: socket.socket) -> NoReturn:
    """Be the child: a session of its own, its output in a file, every call of it watched."""
    code = 99
    try:
        os.setsid()
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        try:
            handle = _install()
        except OSError as error:
            parent.sendall((error.errno or errno.EIO).to_bytes(4, "little"))
            os._exit(code)
        socket.send_fds(parent, [b"here"], [handle])
        os.close(handle)
        parent.close()
        code = run()
    finally:
        os._exit(code)


def _install() -> int:
    """Watch this process and all that come of it; gives the file by which another decides."""
    steps = list(_program(platform.machine()))
    program = _Program(len(steps), (_Step * len(steps))(*(_Step(*step) for step in steps)))
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    number = _NUMBERS[platform.machine()]["seccomp"]
    handle: int = _libc.syscall(number, _SET_FILTER, _NEW_LISTENER, ctypes.byref(program))
    if handle < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return handle


def _program(machine: str) -> Iterator[tuple[int, int, int, int]]:
    table = _NUMBERS[machine]
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, _AUDIT[machine]
    yield _RETURN, 0, 0, _ALLOW
    yield _LOAD, 0, 0, _NUMBER
    for name, number in table.items():
        if name not in _SOMETIMES:
            yield _EQUAL, 0, 1, number
            yield _RETURN, 0, 0, _ASK
    for name, argument, operation, values in (
        ("open", 1, _ANY_BIT, (_WRITING,)),
        ("openat", 2, _ANY_BIT, (_WRITING,)),
        ("ioctl", 1, _EQUAL, _CLONES),
    ):
        if name in table:
            yield _EQUAL, 0, 2 + 2 * len(values), table[name]
            yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument
            for value in values:
                yield operation, 0, 1, value
                yield _RETURN, 0, 0, _ASK
            yield _RETURN, 0, 0, _ALLOW
    yield _RETURN, 0, 0, _ALLOW


def _path(name: str, pid: int, arguments: Sequence[int]) -> str:
    try:
        if name in _BY_HANDLE:
            return os.readlink(f"/proc/{pid}/fd/{_signed(arguments[_BY_HANDLE[name]])}")
        folder, argument = _BY_PATH.get(name, (None, 0))
        path = _text(pid, arguments[argument])
        if path.startswith("/"):
            return path
        at = -100 if folder is None else _signed(arguments[folder])
        return os.path.join(os.readlink(f"/proc/{pid}/cwd" if at < 0 else f"/proc/{pid}/fd/{at}"), path)
    except OSError:
        return "?"


def _process(thread: int, leader: int) -> int:
    """The process of a thread: the kernel names the thread."""
    if thread != leader:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{thread}/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("Tgid:")).split()[1])
    return thread


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value - (1 << 32) if (1 << 31) <= value < 1 << 32 else value


def _text(pid: int, address: int) -> str:
    """A C string in another process's memory."""
    if address == 0:
        return ""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        # Up to the end of the page: what is behind it may not be there.
        data = os.pread(memory.fileno(), 4096 - address % 4096, address)
        if b"\0" not in data:
            data += os.pread(memory.fileno(), 4096, address + len(data))
    return os.fsdecode(data.partition(b"\0")[0])


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()):
                yield child
                yield from _descendants(child)
