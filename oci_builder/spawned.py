"""Workers that are started anew instead of forked, where a fork does not bear what the process holds.

Such a worker shares nothing with this process but one end of a pair of sockets: what it is to do, and each task, is
sent to it.
"""

from __future__ import annotations

import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Collection
from typing import Any

_SIZE = struct.Struct("<Q")

_PROGRAM = "import sys; sys.path[:] = sys.argv[3:]; from {0} import {1}; {1}(sys.argv[1], sys.argv[2])"


def start(line: socket.socket, serve: Callable[[str, str], object], mask: Collection[signal.Signals]) -> int:
    """Start a process that calls ``serve`` with the number of its end of ``line`` and the signals of ``mask``.

    ``serve`` is a function of a module. Its id is given, and whoever gets it waits for it. Raises OSError.
    """
    # Not the folder we were started in: a module there would be taken for one of ours.
    how = "-I" if sys.flags.isolated else "-P"
    program = _PROGRAM.format(serve.__module__, serve.__name__)
    held = ",".join(str(int(number)) for number in mask)
    process = subprocess.Popen(
        [sys.executable, how, "-c", program, str(line.fileno()), held, *sys.path],
        stdin=subprocess.DEVNULL,
        pass_fds=(line.fileno(),),
    )
    # The pool asks for its end, so that subprocess need not.
    process.returncode = 0
    return process.pid


def packed(value: object) -> bytes:
    """``value`` as it is sent. Raises TypeError, AttributeError, pickle.PicklingError for what cannot be."""
    data = pickle.dumps(value)
    return _SIZE.pack(len(data)) + data


def received(read: Callable[[int], bytes]) -> Any:
    """What the other side ``packed``, of which ``read`` gives so many bytes. Raises EOFError when it is gone."""
    return pickle.loads(_whole(read, _SIZE.unpack(_whole(read, _SIZE.size))[0]))


def _whole(read: Callable[[int], bytes], size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = read(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
