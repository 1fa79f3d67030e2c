"""The program that starts an interpreter nobody vouches for: it takes away what compiling does not need, and goes.

It is run as a file, by the Python that runs us, with the number of bytes that the interpreter may have in memory, the
folder that is all the interpreter sees, and the interpreter's own command line. What the kernel cannot do is left out:
who names the base's own Python as compiler has decided to start it.
"""

import contextlib
import ctypes
import os
import resource
import struct
import sys

_SECONDS = 3600
"""Of computing: a hundred times what the largest stacks of wheels take."""

_WRITTEN = 1 << 20
"""Bytes that it may write to a file: its complaints."""

_NEW_PRIVILEGES, _DROP_FROM_BOUNDING_SET = 38, 24
_CAPABILITIES = 64
_OWN_USERS, _OWN_NETWORK = 0x10000000, 0x40000000

# Landlock's system calls have the same numbers everywhere (landlock(7)).
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_FIRST_RIGHTS = 13
"""How many rights the first version of Landlock knows; later ones added one each, at these versions."""

_ADDED_RIGHTS = (2, 3, 5)
_READ, _LOOK_THROUGH = 1 << 2, (1 << 0) | (1 << 2) | (1 << 3)
_ALL_PORTS, _ALL_SCOPES = 3, 3
_NAMED: int = getattr(os, "O_PATH", os.O_RDONLY)


def main() -> None:
    """Become the interpreter, with less."""
    memory, folder, *command = sys.argv[1:]
    for limit, most in (
        (resource.RLIMIT_AS, int(memory)),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_FSIZE, _WRITTEN),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        # One that is lower already stays so.
        hard = resource.getrlimit(limit)[1]
        lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (lower, lower))
    system = ctypes.CDLL(None)
    if system.unshare(_OWN_NETWORK) != 0:
        system.unshare(_OWN_USERS | _OWN_NETWORK)
    system.prctl(_NEW_PRIVILEGES, 1, 0, 0, 0)
    for number in range(_CAPABILITIES):
        system.prctl(_DROP_FROM_BOUNDING_SET, number, 0, 0, 0)
    with contextlib.suppress(OSError):
        _see_only(system, folder, program=command[-1])
    os.execv(command[0], command)


def _see_only(system: ctypes.CDLL, folder: str, *, program: str) -> None:
    """See nothing but ``folder`` and the file ``program``, write nowhere, connect to nobody, where the kernel can that.

    Raises OSError.
    """
    version = system.syscall(_CREATE, None, 0, 1)
    if version < 1:
        return
    rights = _FIRST_RIGHTS + sum(version >= added for added in _ADDED_RIGHTS)
    wanted = [(1 << rights) - 1, *([_ALL_PORTS] if version >= 4 else []), *([_ALL_SCOPES] if version >= 6 else [])]
    asked = struct.pack(f"{len(wanted)}Q", *wanted)
    rules = system.syscall(_CREATE, asked, len(asked), 0)
    for place, allowed in ((folder, _LOOK_THROUGH), (program, _READ)):
        opened = os.open(place, _NAMED | os.O_CLOEXEC)
        system.syscall(_ADD, rules, 1, struct.pack("=Qi", allowed, opened), 0)
        os.close(opened)
    # Should a rule not have been taken, the interpreter sees less, and says that it cannot start.
    system.syscall(_RESTRICT, rules, 0)
    os.close(rules)


if __name__ == "__main__":
    main()
