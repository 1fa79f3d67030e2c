"""Bytecode made by the interpreter that will run it: one child process, sources in, ``.pyc`` files out."""

from __future__ import annotations

import queue
import struct
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Self

from oci_builder.errors import ToolFailed

WINDOW = 8 << 20
"""Bytes of source that may wait for the child: enough that it never idles, little enough to hold."""

_TOOL = "the target's Python"
_REQUEST = struct.Struct("<II")
_ANSWER = struct.Struct("<I")
_MAX_ANSWER = 256 << 20

# Version 2 of marshal writes neither references nor interning, so the bytes do not depend on what else the process
# holds. The hash is SipHash with the interpreter's own rounds: only the target's importlib knows it (PEP 552).
# Programs on the way (site, warnings about sources) must not reach stdout, so nothing but the loop writes there.
_CHILD = """
import gc, importlib.util as util, marshal, struct, sys, warnings
gc.disable()
warnings.simplefilter("ignore")
requests, answers = sys.stdin.buffer, sys.stdout.buffer
head = util.MAGIC_NUMBER + struct.pack("<I", 1)
while len(sizes := requests.read(8)) == 8:
    length, size = struct.unpack("<II", sizes)
    path, source = requests.read(length).decode(), requests.read(size)
    try:
        code = marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0), 2)
        answer = head + util.source_hash(source) + code
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        answer = b""
    answers.write(struct.pack("<I", len(answer)) + answer)
    answers.flush()
"""


def pyc_path(path: str, tag: str) -> str:
    """Where Python looks for the bytecode of the module at ``path`` (PEP 3147); ``tag`` is ``cpython-311``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


class Compiler:
    """One running interpreter that compiles what it is given; a context manager that ends it.

    ``argv`` starts the interpreter (``-c`` and a program are added), ``env`` is its whole environment.
    Raises ToolFailed when it cannot be started.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._child = subprocess.Popen(
                [*argv, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=dict(env),
            )
        except OSError as error:
            self._complaints.close()
            raise ToolFailed(_TOOL, f"{argv[0]} does not start: {error.strerror}") from error
        # Answers are taken off the pipe as they come, whatever the caller is doing: neither side can block the other.
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._child.kill()
        try:
            self._close()
        except BaseException:  # interrupted while the child was still at work
            self._child.kill()
            self._close()
            raise

    def compile(self, items: Iterable[tuple[str, bytes]]) -> Iterator[bytes | None]:
        """Yield one ``.pyc`` file for each ``(absolute path in the image, source)``, in their order.

        Files are of the unchecked hash kind (PEP 552): no time in them, never rewritten. None stands for a source that
        does not compile. One call at a time; one that is not read to its end ends the child. Raises ToolFailed when
        the child dies.
        """
        waiting: deque[int] = deque()
        ahead, done = 0, False
        try:
            for path, source in items:
                self._ask(path, source)
                waiting.append(len(source))
                ahead += len(source)
                while waiting and (ahead > WINDOW or not self._answers.empty()):
                    ahead -= waiting.popleft()
                    yield self._answer()
            for _ in waiting:
                yield self._answer()
            done = True
        finally:
            if not done:
                self._child.kill()

    def _ask(self, path: str, source: bytes) -> None:
        name = path.encode()
        try:
            self._requests.write(_REQUEST.pack(len(name), len(source)) + name)
            self._requests.write(source)
            self._requests.flush()
        except (OSError, ValueError) as error:
            raise self._failed() from error

    def _answer(self) -> bytes | None:
        answer = self._answers.get()
        if answer is None:
            self._answers.put(None)
            raise self._failed()
        return answer or None

    def _collect(self) -> None:
        assert self._child.stdout is not None
        stream = self._child.stdout
        while len(head := stream.read(_ANSWER.size)) == _ANSWER.size:
            (size,) = _ANSWER.unpack(head)
            answer = stream.read(size) if size <= _MAX_ANSWER else b""
            if len(answer) != size:
                break
            self._answers.put(answer)
        self._answers.put(None)

    @property
    def _requests(self) -> BinaryIO:
        assert self._child.stdin is not None
        return self._child.stdin  # type: ignore[return-value]

    def _failed(self) -> ToolFailed:
        self._child.kill()
        status = self._child.wait()
        self._complaints.seek(0)
        last = self._complaints.read(1 << 20).decode(errors="replace").strip().splitlines()[-1:]
        return ToolFailed(_TOOL, f"ended while compiling (status {status}){''.join(f': {line}' for line in last)}")

    def _close(self) -> None:
        try:
            self._requests.close()
        except OSError:
            self._child.kill()
        self._reader.join()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._complaints.close()
