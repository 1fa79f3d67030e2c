"""Bytecode made by the interpreter that will run it: child processes, sources in, ``.pyc`` files out."""

from __future__ import annotations

import contextlib
import queue
import struct
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from oci_builder.errors import ToolFailed

WINDOW = 4 << 20
"""Bytes of source that may wait for the child: enough that it never idles, little enough to hold."""

_TOOL = "the target's Python"
_REQUEST = struct.Struct("<II")
_ANSWER = struct.Struct("<I")
_MAX_ANSWER = 256 << 20

_PROGRAM = Path(__file__).with_name("bytecode_child.py")


def pyc_path(path: str, tag: str) -> str:
    """Where Python looks for the bytecode of the module at ``path`` (PEP 3147); ``tag`` is ``cpython-311``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


class Compiler:
    """Running interpreters that compile what they are given; a context manager that ends them.

    ``argv`` starts one (a program's path is added), ``env`` is its whole environment. One is started at once, more
    when they are asked for. Raises ToolFailed when it cannot be started.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._argv, self._env = argv, env
        self._children = [_Child(argv, env)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(at_once=kind is not None)

    def close(self, *, at_once: bool = False) -> None:
        """End the interpreters: when they have done what they were asked, or ``at_once``."""
        for child in self._children:
            child.close(at_once=at_once)

    def compile(self, items: Iterable[tuple[str, bytes]], *, children: int = 1) -> Iterator[bytes | None]:
        """Yield one ``.pyc`` file for each ``(absolute path in the image, source)``, in their order.

        Files are of the unchecked hash kind (PEP 552): no time in them, never rewritten. None stands for a source that
        does not compile. ``children`` work at once, and the bytes depend on none of them. One call at a time; one that
        is not read to its end ends them all. Raises ToolFailed when one dies.
        """
        while len(self._children) < children:
            self._children.append(_Child(self._argv, self._env))
        able = self._children[:children]
        waiting: deque[tuple[_Child, int]] = deque()
        ahead, done = 0, False
        try:
            for path, source in items:
                child = min(able, key=lambda child: child.behind)
                child.ask(path, source)
                waiting.append((child, len(source)))
                ahead += len(source)
                while waiting and (ahead > WINDOW * children or waiting[0][0].has_answered()):
                    child, size = waiting.popleft()
                    ahead -= size
                    yield child.answer()
            for child, _ in waiting:
                yield child.answer()
            done = True
        finally:
            if not done:
                self.close(at_once=True)


class _Child:
    """One interpreter. Threads feed it and take its answers off, so nobody waits for anybody's pipe."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                [*argv, str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=dict(env),
            )
        except OSError as error:
            self._complaints.close()
            raise ToolFailed(_TOOL, f"{argv[0]} does not start: {error.strerror}") from error
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._asked = self._answered = 0
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._feed, self._collect)]
        for thread in self._threads:
            thread.start()

    @property
    def behind(self) -> int:
        """How many requests it has yet to answer."""
        return self._asked - self._answered

    def ask(self, path: str, source: bytes) -> None:
        """Queue a request."""
        name = path.encode()
        self._asked += 1
        self._requests.put(_REQUEST.pack(len(name), len(source)) + name + source)

    def has_answered(self) -> bool:
        """Whether ``answer`` would not have to wait."""
        return not self._answers.empty()

    def answer(self) -> bytes | None:
        """The answer to the earliest request that has had none. Raises ToolFailed when none can come any more."""
        answer = self._answers.get()
        if answer is None:
            self._answers.put(None)
            raise self._failed()
        return answer or None

    def close(self, *, at_once: bool) -> None:
        """End the process; a second time nothing happens."""
        if at_once:
            self._process.kill()
        self._requests.put(None)
        try:
            for thread in self._threads:
                thread.join()
        except BaseException:  # interrupted while the child was still at work
            self._process.kill()
            raise
        finally:
            self._process.wait()
            self._complaints.close()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        # A child that has gone is noticed by whoever waits for its answers.
        with contextlib.suppress(OSError), self._process.stdin as stream:
            while (request := self._requests.get()) is not None:
                stream.write(request)
                stream.flush()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while len(head := stream.read(_ANSWER.size)) == _ANSWER.size:
                (size,) = _ANSWER.unpack(head)
                answer = stream.read(size) if size <= _MAX_ANSWER else b""
                if len(answer) != size:
                    break
                self._answered += 1
                self._answers.put(answer)
            self._answers.put(None)

    def _failed(self) -> ToolFailed:
        self._process.kill()
        status = self._process.wait()
        self._complaints.seek(0)
        last = self._complaints.read(1 << 20).decode(errors="replace").strip().splitlines()[-1:]
        return ToolFailed(_TOOL, f"ended while compiling (status {status}){''.join(f': {line}' for line in last)}")
