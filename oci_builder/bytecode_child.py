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

_SLICE, _SET = b":", b">"
_ORDERS_SETS = sys.version_info >= (3, 11)
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
    if not _ORDERS_SETS:
        return _with_own(code, seal)
    try:
        return marshal.dumps(code, _FORMAT)
    except ValueError:
        return _with_own(code, seal)


def _with_own(code: "CodeType", seal: bytes) -> bytes:
    """``code`` in the same format, and those of its constants that marshal does not write as they are wanted.

    Slices are as format 5 has them: Python 3.14 made them constants, and asked for format 5, marshal would write
    references, too. Before 3.11 sets are in whatever order the process has them in: here in that of later versions.
    """
    found: list[slice | frozenset[object]] = []
    data = marshal.dumps(_without(code, found, seal), _FORMAT)  # type: ignore[arg-type]  # what code consists of
    for number, each in enumerate(found):
        stand_in = marshal.dumps(_stand_in(number, seal), _FORMAT)
        if data.count(stand_in) != 1:
            raise ValueError("a source that holds its own hash")
        data = data.replace(stand_in, _written(each))
    return data


def _written(constant: "slice | frozenset[object]") -> bytes:
    if isinstance(constant, slice):
        parts = (constant.start, constant.stop, constant.step)
        return _SLICE + b"".join(marshal.dumps(part, _FORMAT) for part in parts)
    inner = sorted(marshal.dumps(each, _FORMAT) for each in constant)  # type: ignore[arg-type]  # constants are
    return _SET + len(inner).to_bytes(4, "little") + b"".join(inner)


def _without(constant: object, found: "list[slice | frozenset[object]]", seal: bytes) -> object:
    """``constant`` with a stand-in for everything that is written apart, which is added to ``found``."""
    if isinstance(constant, slice) or (isinstance(constant, frozenset) and not _ORDERS_SETS):
        found.append(constant)
        return _stand_in(len(found) - 1, seal)
    if isinstance(constant, tuple):
        return tuple(_without(one, found, seal) for one in constant)
    if isinstance(constant, type(main.__code__)):
        return constant.replace(co_consts=tuple(_without(one, found, seal) for one in constant.co_consts))
    return constant


def _stand_in(number: int, seal: bytes) -> bytes:
    return b"slice of " + seal + number.to_bytes(4, "little")


if __name__ == "__main__":
    main()
