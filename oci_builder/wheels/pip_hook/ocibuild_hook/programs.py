"""Programs, which are not started: an audit hook refuses them, whatever of pip asks for one."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from pip._internal.network import auth
from pip._vendor.packaging import _musllinux

from ocibuild_hook.insides import attribute, replace
from ocibuild_hook.telling import Teller

_STARTS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")

_IDLE = frozenset({"rustc", "lsb_release", "uname"})
"""Programs that pip asks for its user agent, and does without."""


def start_nothing(teller: Teller) -> Callable[[int], None]:
    """Refuse to start programs, but for the user's keyring and the host's loader.

    What is given back has to be called at the end, with pip's exit code.
    """
    # Of each thread: leave to ask a keyring is not leave for what pip does meanwhile in another.
    permitted = threading.local()
    refused: list[str] = []

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if not (event == "subprocess.Popen" or event in _STARTS) or getattr(permitted, "now", False):
            return
        name = Path(os.fsdecode(arguments[0])).name if arguments and _is_path(arguments[0]) else event
        if name not in _IDLE:
            refused.append(name)
        raise PermissionError(errno.EACCES, "no program is started while wheels are chosen", name)

    def with_leave(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def run(*arguments: Any, **more: Any) -> Any:
            permitted.now = True
            try:
                return method(*arguments, **more)
            finally:
                permitted.now = False

        return run

    for owner, name in (
        (auth.KeyRingCliProvider, "_get_creds"),
        (auth.KeyRingCliProvider, "_set_password"),
        (_musllinux, "_get_musl_version"),  # asks this host's loader for its version
    ):
        replace(owner, name, with_leave(attribute(owner, name)))
    # An audit hook is for good: nothing that is imported later can take it out again.
    sys.addaudithook(audit)

    def ended(code: int) -> None:
        if code != 0 and refused:
            teller.say("program", refused[0])

    return ended


def _is_path(value: object) -> bool:
    return isinstance(value, str | bytes | os.PathLike)
