"""A run of apt-get that ends: in its time, when nothing comes any more, and when the disk that it fills is full.

Its methods wait for ever for each other once one of them could not write; nobody but us sees that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from oci_builder import machine
from oci_builder.errors import FileProblem, ToolFailed
from oci_builder.files import in_words, nameless

LONGEST = 600
"""Seconds one run may take."""

SILENCE = 150
"""Seconds in which nothing may come: apt-get itself gives a server 30, and tries three times."""

_LOOK = 0.5
"""Seconds between two looks at the disk."""

_SAID = 4 << 20
"""Bytes that are read of what it says."""


def run_watched(command: Sequence[str], *, folder: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of apt's, which fills ``folder``, to its end.

    Raises ToolFailed where it does not start or does not end, FileProblem where ``folder`` is full.
    """
    with nameless() as out, nameless() as err:
        try:
            process = subprocess.Popen(
                ["env", "LC_ALL=C", *command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolFailed(command[0], f"does not start: {in_words(error)}") from error
        try:
            _await_end(process, command[0], folder)
        finally:
            # Its methods are of its session: none of them outlives it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return subprocess.CompletedProcess(command, process.returncode, _text(out), _text(err))


def disk_full(folder: Path) -> FileProblem:
    """The error of a disk on which ``folder`` of the cache lies, and nothing else fits."""
    cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    hint = (
        "free some space there, or name a folder on another disk with --cache-dir or OCIBUILD_CACHE_DIR: a base and "
        "what it is made of take some 500 MB"
    )
    problem = FileProblem(str(folder.parent), f"{in_words(cause)}, for the packages of the base", hint=hint)
    problem.__cause__ = cause
    return problem


def _await_end(process: subprocess.Popen[bytes], tool: str, folder: Path) -> None:
    began = latest = time.monotonic()
    size = -1
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
            return
        now = time.monotonic()
        if (found := _size(folder)) != size:
            size, latest = found, now
        if _is_full(folder):
            raise disk_full(folder)
        if now - began > LONGEST:
            raise ToolFailed(tool, f"no end after {LONGEST} seconds")
        if now - latest > SILENCE:
            hint = "see whether the servers of this machine's apt sources can be reached, or name a mirror: --mirror"
            raise ToolFailed(tool, f"nothing came for {SILENCE} seconds", hint=hint)


def _is_full(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return hasattr(os, "statvfs") and not machine.has_room(folder)
    return False


def _size(folder: Path) -> int:
    """The bytes of all files in there; they come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read(_SAID).decode("utf-8", "replace")
