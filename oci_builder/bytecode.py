"""Bytecode made by the interpreter that will run it: child processes, sources in, ``.pyc`` files out."""

from __future__ import annotations

import _imp
import contextlib
import queue
import signal
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from oci_builder.errors import OcibuildError, ProcessKilled, ToolFailed
from oci_builder.exhausted import exhaustion
from oci_builder.machine import memory_file

WINDOW = 4 << 20
"""Bytes of source that may wait for the child: enough that it never idles, little enough to hold."""

PATIENCE = 300.0
"""Seconds in which one source is compiled: a thousand times what the largest takes, and a child that hangs is met."""

_FAREWELL = 10.0
"""Seconds that a child has to end by itself when it is asked nothing more; what is killed has as many."""

_HUNG_UP = 5.0
"""Seconds in which a child that has hung up has ended, too."""

_TOOL = "the target's Python"
_REQUEST = struct.Struct("<II")
_ANSWER = struct.Struct("<I")
_MAX_ANSWER = 256 << 20

_PROGRAM = Path(__file__).with_name("bytecode_child.py")
GUARD = Path(__file__).with_name("bytecode_guard.py")
"""What starts an interpreter that nobody vouches for."""


def pyc_path(path: str, tag: str) -> str:
    """Where Python looks for the bytecode of the module at ``path`` (PEP 3147); ``tag`` is ``cpython-311``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


MAGIC = {"cpython-311": 3495, "cpython-312": 3531, "cpython-313": 3571, "cpython-314": 3627}
"""Lib/importlib/_bootstrap_external.py of each version. Before 3.11 the hash was another one."""

CHECKED = (3).to_bytes(4, "little")
"""The flags of bytecode that is held to its source whenever it is loaded (PEP 552)."""

_UNCHECKED_HASH = (1).to_bytes(4, "little")


def magic_of(tag: str) -> bytes:
    """What bytecode of the kind ``tag``, one of MAGIC, begins with."""
    return MAGIC[tag].to_bytes(2, "little") + b"\r\n"


def source_hash(tag: str, source: bytes) -> bytes:
    """The hash of ``source`` that stands in its bytecode (PEP 552)."""
    return _imp.source_hash(int.from_bytes(magic_of(tag), "little"), source)


def header(tag: str, source: bytes) -> bytes:
    """What the bytecode of ``source`` begins with, for interpreters whose bytecode is called ``tag``.

    Of those that are not among MAGIC nothing but the kind is known.
    """
    return magic_of(tag) + _UNCHECKED_HASH + source_hash(tag, source) if tag in MAGIC else b""


def why_not_started(program: Path) -> str:
    """What the system says when it is to start ``program``, in words; empty where it does, and ends it at once."""
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen([str(program)], stdin=quiet, stdout=quiet, stderr=quiet, env={}) as process:
            process.kill()
    except OSError as error:
        if (ran_out := exhaustion(error)) is not None:
            raise ran_out from error
        return (error.strerror or str(error)).lower()
    return ""


class Compiler:
    """Running interpreters that compile what they are given; a context manager that ends them.

    ``argv`` starts one (a program's path is added), ``env`` is its whole environment. One is started at once, more
    when they are asked for. What they give has to begin as bytecode of its source, for the interpreter that ``proves``
    names, where it does. Raises ToolFailed when it cannot be started.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, proves: str = "") -> None:
        self._argv, self._env, self._proves = argv, env, proves
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
        is not read to its end ends them all. Raises ToolFailed when one dies, hangs or gives something else,
        ProcessKilled for one that was killed.
        """
        while len(self._children) < children:
            self._children.append(_Child(self._argv, self._env))
        able = self._children[:children]
        waiting: deque[tuple[_Child, str, int, bytes]] = deque()
        ahead, done = 0, False
        try:
            for path, source in items:
                child = min(able, key=lambda child: child.behind)
                child.ask(path, source)
                waiting.append((child, path, len(source), header(self._proves, source) if self._proves else b""))
                ahead += len(source)
                while waiting and (ahead > WINDOW * children or waiting[0][0].has_answered()):
                    child, asked, size, head = waiting.popleft()
                    ahead -= size
                    yield _proved(child.answer(asked), head, asked)
            for child, asked, _, head in waiting:
                yield _proved(child.answer(asked), head, asked)
            done = True
        finally:
            if not done:
                self.close(at_once=True)


def _proved(data: bytes | None, head: bytes, path: str) -> bytes | None:
    """What was given for the source at ``path``. Raises ToolFailed where it does not begin with ``head``."""
    if data is not None and not data.startswith(head):
        hint = 'take compiler = "base" out of [python] in image.toml, or take another base'
        raise ToolFailed(_TOOL, f"what it gave for {path} is no bytecode of that module", hint=hint)
    return data


class _Child:
    """One interpreter. Threads feed it and take its answers off, so nobody waits for anybody's pipe."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        # In memory: the child says a line or nothing, and there need be no folder to write in.
        self._complaints = memory_file("complaints")
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
            raise exhaustion(error) or ToolFailed(_TOOL, f"{argv[0]} does not start: {error.strerror}") from error
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._asked = self._answered = 0
        self._threads: list[threading.Thread] = []
        try:
            for work in (self._feed, self._collect):
                thread = threading.Thread(target=work, daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException:
            self.close(at_once=True)
            raise

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

    def answer(self, path: str) -> bytes | None:
        """The answer to the earliest request that has had none: the one for ``path``.

        Raises ToolFailed when none can come any more or it takes too long, ProcessKilled for a child that was killed.
        """
        try:
            answer = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise self._hanging(path) from None
        if answer is None:
            self._answers.put(None)
            raise self._failed(path)
        return answer or None

    def close(self, *, at_once: bool) -> None:
        """End the process; a second time nothing happens. It takes no longer than it may, whatever the child does."""
        if at_once:
            self._process.kill()
        self._requests.put(None)
        try:
            for thread in self._threads:
                thread.join(_FAREWELL)
        finally:
            # Interrupted while the child was at work, or it does not leave; one that has left is not touched by this.
            self._process.kill()
            self._wait()
            if not any(thread.is_alive() for thread in self._threads):
                self._complaints.close()

    def _wait(self) -> int | None:
        """How it ended; None for one that the kernel holds, which even a kill does not end."""
        try:
            return self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            return None

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

    def _hanging(self, path: str) -> ToolFailed:
        self._process.kill()
        hint = 'set [python] bytecode = "none" in image.toml; programs start slower then'
        return ToolFailed(_TOOL, f"has compiled {path} for {PATIENCE:.0f} s and does not end", hint=hint)

    def _failed(self, path: str) -> OcibuildError:
        # It has hung up, so it ends by itself, and how tells why: killed first, all would look alike.
        try:
            status = self._process.wait(_HUNG_UP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return ToolFailed(_TOOL, f"has hung up while compiling {path}, and does not end")
        if status == -signal.SIGKILL:
            return ProcessKilled(_TOOL, f"the bytecode of {path}", status=status)
        self._complaints.seek(0)
        last = self._complaints.read(1 << 20).decode(errors="replace").strip().splitlines()[-1:]
        return ToolFailed(_TOOL, f"ended while compiling (status {status}){''.join(f': {line}' for line in last)}")
