"""Programs that keep a user's logins (docker-credential-helpers, "Protocol"), heard for so long and so much."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

_TIME = 60.0
"""Seconds; some helpers open a window and wait for a person."""

_MOST = 1 << 20
"""Bytes of an answer."""


_LONGEST_KEY = 1024
"""Letters; what is no longer fits a pipe, whoever reads it or does not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a helper wrote, and whether it says that it has done as asked."""

    good: bool
    output: bytes
    complaints: bytes


def ask_helper(program: str, key: str, environ: Mapping[str, str], *, time_limit: float = _TIME) -> Answer | None:
    """What ``program`` gives for ``key``; None where it does not start, does not end or says too much."""
    if len(key) > _LONGEST_KEY:
        return None
    try:
        process = subprocess.Popen(
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    with process:
        try:
            return _heard(process, key, time.monotonic() + time_limit)
        finally:
            # Whatever it started may hold its pipes open: those are ours to close.
            process.kill()


def _heard(process: subprocess.Popen[bytes], key: str, until: float) -> Answer | None:
    assert process.stdin and process.stdout and process.stderr, "they are pipes"
    try:
        process.stdin.write(key.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it asks for nothing
    heard = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    open_pipes = dict.fromkeys(heard)
    with selectors.DefaultSelector() as selector:
        for pipe in heard:
            selector.register(pipe, selectors.EVENT_READ)
        while open_pipes:
            if (left := until - time.monotonic()) <= 0:
                return None
            for ready, _ in selector.select(left):
                data = os.read(ready.fd, _MOST)
                heard[ready.fd] += data
                if len(heard[ready.fd]) > _MOST:
                    return None
                if not data:
                    selector.unregister(ready.fd)
                    del open_pipes[ready.fd]
    try:
        code = process.wait(max(until - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        return None
    return Answer(code == 0, *map(bytes, heard.values()))
