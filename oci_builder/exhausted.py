"""What this machine, or a limit set on us, does not give any more: memory, open files, processes; in words."""

from __future__ import annotations

import errno

from oci_builder.errors import MachineExhausted

_FILES = "raise the limit on open files (`ulimit -n 1024`)"
_MEMORY = "build with --jobs 1, or where there is more memory (`ulimit -v` says what one process may have)"
_PROCESSES = "raise the limit on processes (`ulimit -u`; of a container, its pids limit), or build with --jobs 1"

_OF_CALLS = {
    errno.EMFILE: ("too many open files", _FILES),
    errno.ENFILE: ("too many open files on this machine", "close some programs, or raise fs.file-max"),
    errno.ENOMEM: ("not enough memory", _MEMORY),
}
_THREAD = "can't start new thread"


def exhaustion(error: BaseException) -> MachineExhausted | None:
    """``error`` in our words, where it is Python's for something that ran out."""
    if isinstance(error, MemoryError):
        return out_of_memory("this process")
    if isinstance(error, RuntimeError) and _THREAD in str(error):
        return MachineExhausted("cannot start a thread", "no more are allowed, or memory is short", hint=_PROCESSES)
    if isinstance(error, OSError) and error.errno in _OF_CALLS:
        why, hint = _OF_CALLS[error.errno]
        return MachineExhausted(str(error.filename or "this process"), why, hint=hint)
    return None


def out_of_memory(what: str) -> MachineExhausted:
    """``what`` got no more memory."""
    return MachineExhausted(what, "not enough memory", hint=_MEMORY)


def no_process(what: str, error: OSError) -> MachineExhausted:
    """``what`` could not be forked. EAGAIN means a limit here, and elsewhere other things."""
    if error.errno == errno.EAGAIN:
        return MachineExhausted(what, "cannot be started: no more processes are allowed", hint=_PROCESSES)
    known = exhaustion(error)
    why, hint = (known.why, known.hint) if known else (error.strerror or str(error), None)
    return MachineExhausted(what, f"cannot be started: {why.lower()}", hint=hint)
