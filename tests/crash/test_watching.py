"""What stops the calls sees all of them: strace, which other people wrote, sees no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.crash.running import why_not
from tests.support.real import need, skip
from tests.support.syscalls import WATCHED

CHECKOUT = Path(__file__).parents[2]

_READING = """
access chdir close close_range creat dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 execve
faccessat faccessat2 fadvise64 fchdir fcntl flock fstat fstatfs getcwd getdents getdents64 getxattr inotify_add_watch
inotify_init1 ioctl lgetxattr listxattr lseek lstat memfd_create mmap newfstatat open openat pipe pipe2 poll ppoll
pread64 preadv preadv2 pselect6 read readahead readlink readlinkat readv select signalfd4 stat statfs statx
timerfd_create timerfd_settime
"""
READING = frozenset(_READING.split())
"""Calls with a file or a name that change none; openings count where they are for writing."""

PROGRAM = """
import os, shutil, subprocess, sys, tempfile
from pathlib import Path
root = Path(sys.argv[1])
(root / "folder" / "deeper").mkdir(parents=True)
with open(root / "one", "wb") as sink:
    sink.write(bytes(100_000))
    sink.flush()
    os.fsync(sink.fileno())
    os.ftruncate(sink.fileno(), 10)
    os.pwrite(sink.fileno(), b"x", 3)
    os.fchmod(sink.fileno(), 0o600)
os.rename(root / "one", root / "two")
os.link(root / "two", root / "three")
os.symlink("two", root / "four")
os.utime(root / "two", (1, 1))
os.chmod(root / "two", 0o644)
os.truncate(root / "two", 5)
shutil.copyfile(root / "two", root / "five")
os.unlink(root / "three")
with tempfile.TemporaryFile(dir=root) as sink:
    sink.write(b"x")
subprocess.run(["sh", "-c", "echo x > six; mv six seven; mkdir eight; rmdir eight; rm seven"], cwd=root, check=True)
if os.fork() == 0:
    (root / "child").write_bytes(b"x")
    os._exit(0)
os.wait()
shutil.rmtree(root)
"""

WATCHING = """
import json, os, sys
from pathlib import Path
from tests.support.syscalls import watched
said, *words = sys.argv[1:]
ending = watched(lambda: os.execv(words[0], words), Path(said), lambda call: 0)
assert ending.code == 0, ending.said
print(json.dumps([call.name for call in ending.calls]))
"""


def counted(log: str) -> Counter[str]:
    """The calls in what strace wrote down that change a file on a disk."""
    found: Counter[str] = Counter()
    for name, words in re.findall(r"^(\w+)\((.*)$", log, re.MULTILINE):
        if name in ("open", "openat") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", words):
            continue
        if name == "ioctl" and "FICLONE" not in words:
            continue
        if name in WATCHED and not re.search(r"^-?\d+<(pipe|socket|anon_inode|/dev/null|/memfd)|\"/dev/null\"", words):
            found[name] += 1
    return found


def test_every_call_that_strace_sees_is_stopped(tmp_path: Path) -> None:
    if why := why_not():
        skip(why)
    need("strace", root=False)
    words = [sys.executable, "-S", "-c", PROGRAM]
    strace = ["strace", "-ff", "-qq", "-y", "-e", "trace=%file,%desc", "-o", str(tmp_path / "log")]
    done = subprocess.run([*strace, *words, str(tmp_path / "a")], capture_output=True, text=True, check=False)
    if done.returncode:
        skip(f"strace may not trace here: {done.stderr}")
    log = "".join(path.read_text(errors="replace") for path in tmp_path.glob("log.*"))
    names = set(re.findall(r"^(\w+)\(", log, re.MULTILINE))
    assert names - READING - WATCHED == set()

    # In a process of its own: whoever watches ends all its children in the end.
    command = [sys.executable, "-c", WATCHING, str(tmp_path / "said"), *words, str(tmp_path / "b")]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    assert Counter(json.loads(told)) == counted(log)
    assert sum(counted(log).values()) > 30
