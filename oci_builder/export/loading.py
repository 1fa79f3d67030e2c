"""Handing an image to an engine of this machine: docker or podman, whose ``load`` reads it while it is made."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from oci_builder.errors import FileProblem, LoadFailed
from oci_builder.export.output import Passing
from oci_builder.files import in_words, nameless

ENGINES = ("docker", "podman")
"""In the order in which they are looked for."""

_MOST = 64 << 10
"""Bytes of what an engine says that are read: the last ones."""

_MOST_SAID = 16 << 20
"""Bytes of an answer about images."""

_UNPACKED_NOT = "Error unpacking"
"""What Docker says of an image that its containerd store names and cannot run; it then ends as if all were well."""

_ANSWER = 30.0
"""Seconds in which an engine has to say who it is, or what it has."""

_START = "start its daemon, or name the one that runs in DOCKER_HOST; or write a file: --out FILE"

_PATIENCE = 5.0
"""Seconds an engine has to put things away."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's program: its name, and the file that it is."""

    name: str
    program: str


def find_engine(environ: Mapping[str, str]) -> Engine:
    """The first of the engines on PATH. Raises LoadFailed where there is none."""
    for name in ENGINES:
        # Absolute folders alone: what lies in the folder we stand in is no engine.
        folders = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if Path(folder).is_absolute()]
        if program := shutil.which(name, path=os.pathsep.join(folders)):
            return Engine(name, program)
    hint = "install one of them, or write a file: --out FILE"
    raise LoadFailed(" or ".join(ENGINES), "not found on PATH", hint=hint)


def expect_engine(environ: Mapping[str, str]) -> None:
    """See that an engine is there that answers, before an image is made for it. Raises LoadFailed."""
    engine = find_engine(environ)
    if engine.name != "docker":
        return  # podman asks nobody
    try:
        done = subprocess.run(
            [engine.program, "version", "--format", "{{.Server.Version}}"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(engine.name, f"its daemon does not answer within {_ANSWER:.0f} s", hint=_START) from error
    except OSError as error:
        raise LoadFailed(engine.name, f"does not start: {in_words(error)}", hint=_START) from error
    if done.returncode:
        said = done.stderr[-_MOST:].decode("utf-8", "replace").strip().splitlines() or ["it failed and said nothing"]
        raise LoadFailed(engine.name, said[-1], hint=_START)


def load(engine: Engine, write: Callable[[BinaryIO], object], environ: Mapping[str, str]) -> str:
    """Have ``engine`` load what ``write`` writes to the stream that it is given; what the engine said.

    It succeeds if the engine says so, and fails with the engine's own words. Raises LoadFailed, FileProblem, and what
    ``write`` raises.
    """
    with nameless() as said:
        broken: FileProblem | None = None
        with _started(engine, said, environ) as process:
            assert process.stdin, "it is a pipe"
            try:
                write(cast("BinaryIO", Passing(process.stdin.fileno(), engine.name)))
            except FileProblem as error:
                if not isinstance(error.__cause__, BrokenPipeError):
                    raise
                broken = error  # the engine says better why it stopped to read
            process.stdin.close()
            code = process.wait()
        words = _read(said)
    if code or broken or _UNPACKED_NOT in words:
        raise _failure(engine, code, words)
    return words


def answer(engine: Engine, environ: Mapping[str, str], *words: str, fails: bool = False) -> bytes | None:
    """What the engine says on its stdout; None where it says nothing in time, or fails where it should not."""
    try:
        done = subprocess.run(
            [engine.program, *words],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ANSWER,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    return None if (done.returncode and not fails) or len(done.stdout) > _MOST_SAID else done.stdout


def tag(engine: Engine, name: str, others: Sequence[str], environ: Mapping[str, str]) -> None:
    """Have an image that the engine has under one name have ``others`` as well. Raises LoadFailed."""
    for other in others:
        words = [engine.program, "tag", name, other]
        what = f"{engine.name} tag"
        try:
            done = subprocess.run(
                words, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER, check=False
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise LoadFailed(what, f"{other}: {error}") from error
        if done.returncode:
            said = done.stderr[-_MOST:].decode("utf-8", "replace").strip()
            raise LoadFailed(what, f"{other}: {said or f'exit {done.returncode}'}")


@contextlib.contextmanager
def _started(engine: Engine, said: BinaryIO, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The engine, running; it is ended where it has not ended by itself."""
    try:
        process = subprocess.Popen(
            [engine.program, "load"],
            stdin=subprocess.PIPE,
            # A file takes whatever it says: nobody has to listen while the image is written.
            stdout=said,
            stderr=said,
            env=dict(environ),
        )
    except OSError as error:
        raise LoadFailed(engine.name, f"{Path(engine.program)} does not start ({in_words(error)})") from error
    try:
        yield process
    finally:
        if process.poll() is None:
            # Before its stdin closes: the end of half an image must not look like the end of one.
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with contextlib.suppress(OSError):
            assert process.stdin, "it is a pipe"
            process.stdin.close()


def _read(said: BinaryIO) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(size - _MOST, 0))
    return said.read(_MOST).decode("utf-8", "replace").replace("\r", "\n").strip()


def _failure(engine: Engine, code: int, words: str) -> LoadFailed:
    ending = f"exit {code}" if code > 0 else f"killed by signal {-code}" if code else "it did not take the image"
    others = [name for name in ENGINES if name != engine.name]
    hint = f"see that `{engine.name} info` works; another engine takes it with `--out - | {others[0]} load`"
    return LoadFailed(f"{engine.name} load", f"{ending}{f': {words}' if words else ''}", hint=hint)
