"""A Mac, imitated: what Python finds there and here is taken away, or refuses, in every process that starts with this.

No other system was at hand. The kernel is Linux; that a base's programs do not start, that locks, modes and links are
refused, and what Python lacks, is as it would be elsewhere, all at once.
"""

import builtins
import errno
import fcntl
import io
import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

MISSING = ("sched_getaffinity", "memfd_create", "copy_file_range", "posix_fadvise", "waitid", "pidfd_open", "O_PATH")
for name in (*MISSING, "O_TMPFILE"):
    if hasattr(os, name):
        delattr(os, name)


def refuse(number: int) -> Any:
    def call(*args: object, **named: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


fcntl.flock = refuse(errno.ENOLCK)
fcntl.ioctl = refuse(errno.ENOTTY)
os.fork = refuse(errno.ENOSYS)
for name in ("chmod", "fchmod", "lchmod", "symlink", "link"):
    setattr(os, name, refuse(errno.EPERM))
os.uname = lambda: os.uname_result(("Darwin", "mac", "23.0.0", "Darwin Kernel", "arm64"))

started = subprocess.Popen.__init__


def start(self: Any, args: Any, *others: Any, **named: Any) -> None:
    program = os.fspath(args if isinstance(args, (str, os.PathLike)) else args[0])
    if "ld-linux" in program:
        raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC), program)
    started(self, args, *others, **named)


subprocess.Popen.__init__ = start  # type: ignore[method-assign]  # every start goes through it


def without_proc(real: Callable[..., Any]) -> Any:
    def call(path: Any, *others: Any, **named: Any) -> Any:
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        return real(path, *others, **named)

    return call


builtins.open = io.open = without_proc(io.open)
os.open = without_proc(os.open)
os.supports_dir_fd.add(os.open)

# What urllib asks a Mac for its proxies with.
proxies = types.ModuleType("_scproxy")
vars(proxies).update(_get_proxy_settings=dict, _get_proxies=dict)
sys.modules["_scproxy"] = proxies
sys.platform = "darwin"
