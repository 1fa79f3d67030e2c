"""The command line: the only room that knows the environment, the clock, the terminal and exit codes.

Loading it loads nothing: until the program is there, Ctrl-C is this module's affair.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

__all__ = ["main", "run"]

_SAID = b"\nocibuild: interrupted\n"
_INTERRUPTED = 130
_PATIENCE = 2.0
"""Seconds in which a further Ctrl-C is the same one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ocibuild`` with ``argv`` (by default the process's own) and return its exit code. Raises nothing."""
    from oci_builder.cli import entry

    return entry.main(argv)


def run() -> None:
    """The console script. Ctrl-C ends it at any instant; a polite kill leaves no half-written file behind either."""
    _at_interrupt(_leave)
    from oci_builder.cli import entry, terminal

    terminal.prepare()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    _at_interrupt(_interrupting())
    try:
        code = entry.main()
    finally:
        _at_interrupt(_leave)
    if code == _INTERRUPTED:
        # At once, and with this code: CPython dies of SIGINT in the end where that met code made by exec (dataclasses).
        os._exit(code)
    sys.exit(code)


def _at_interrupt(act: Callable[[int, FrameType | None], None]) -> None:
    # A shell lets what it runs in the background ignore Ctrl-C (POSIX, "Asynchronous Lists"): then so do we.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, act)


def _leave(number: int, frame: FrameType | None) -> None:
    # While modules are being loaded, and when all is done: there is nothing to unwind, and an exception out of half an
    # import would show as a traceback.
    try:
        os.write(2, _SAID)
    finally:
        os._exit(_INTERRUPTED)


def _interrupting() -> Callable[[int, FrameType | None], None]:
    began = -_PATIENCE

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal began
        # Who presses twice must not stop what the first time began to put in order.
        if time.monotonic() - began >= _PATIENCE:
            began = time.monotonic()
            raise KeyboardInterrupt

    return interrupt
