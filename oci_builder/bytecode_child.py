"""The program that a target's Python runs to compile: requests on stdin, ``.pyc`` files on stdout.

It is run as a file, by any Python from 3.8 on, with next to no standard library: all it imports is built in, frozen or
named in ``debian/interpreter.py``. (A program after ``-c`` makes Python 3.13 import ``linecache`` and more.)
"""

import _frozen_importlib_external as importlib
import _imp
import gc
import marshal
import sys
import warnings

TYPE_CHECKING = False  # typing itself is not there
if TYPE_CHECKING:
    from types import CodeType

_FORMAT = 2
"""Of marshal: neither references nor interning, so that the bytes do not depend on what else the process holds."""

_SLICE = b":"
_MAGIC = importlib.MAGIC_NUMBER
# The hash is SipHash with the interpreter's own rounds: only the target's importlib knows it (PEP 552).
_KEY = int.from_bytes(_MAGIC, "little")
_HEAD = _MAGIC + (1).to_bytes(4, "little")


def main() -> None:
    """Answer until stdin ends. Nothing but this writes to stdout: not what a source makes Python warn of."""
    gc.disable()
    warnings.simplefilter("ignore")
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(sizes := requests.read(8)) == 8:
        length, size = (int.from_bytes(half, "little") for half in (sizes[:4], sizes[4:]))
        path, source = requests.read(length).decode(), requests.read(size)
        answer = _pyc(path, source)
        answers.write(len(answer).to_bytes(4, "little") + answer)
        answers.flush()


def _pyc(path: str, source: bytes) -> bytes:
    """The ``.pyc`` file, empty for a source that does not compile."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        seal = _imp.source_hash(_KEY, source)
        return _HEAD + seal + _dumped(code, seal)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return b""


def _dumped(code: "CodeType", seal: bytes) -> bytes:
    try:
        return marshal.dumps(code, _FORMAT)
    except ValueError:
        return _with_slices(code, seal)


def _with_slices(code: "CodeType", seal: bytes) -> bytes:
    """``code`` in the same format, and the slices among its constants as format 5 has them.

    Python 3.14 made them constants; asked for format 5, marshal would write references, too.
    """
    slices: list[slice] = []
    data = marshal.dumps(_without_slices(code, slices, seal), _FORMAT)  # type: ignore[arg-type]  # what code consists of
    for number, found in enumerate(slices):
        stand_in = marshal.dumps(_stand_in(number, seal), _FORMAT)
        if data.count(stand_in) != 1:
            raise ValueError("a source that holds its own hash")
        parts = (found.start, found.stop, found.step)
        data = data.replace(stand_in, _SLICE + b"".join(marshal.dumps(part, _FORMAT) for part in parts))
    return data


def _without_slices(constant: object, slices: "list[slice]", seal: bytes) -> object:
    """``constant`` with a stand-in for every slice, which is added to ``slices``."""
    if isinstance(constant, slice):
        slices.append(constant)
        return _stand_in(len(slices) - 1, seal)
    if isinstance(constant, tuple):
        return tuple(_without_slices(one, slices, seal) for one in constant)
    if isinstance(constant, type(main.__code__)):
        return constant.replace(co_consts=tuple(_without_slices(one, slices, seal) for one in constant.co_consts))
    return constant


def _stand_in(number: int, seal: bytes) -> bytes:
    return b"slice of " + seal + number.to_bytes(4, "little")


if __name__ == "__main__":
    main()
