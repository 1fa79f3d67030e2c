"""Where the time goes: the layers of the reference wheels, made in one process under cProfile."""

from __future__ import annotations

import contextlib
import cProfile
import io
import pstats
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename

from oci_builder.digest import digest_file
from oci_builder.listener import Silent
from oci_builder.platforms import AMD64
from oci_builder.store import Store
from oci_builder.tree.tree import Tree
from oci_builder.wheels import layers
from oci_builder.wheels.layering import Wheel, plan
from oci_builder.wheels.opened import Opened
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Promise, Target

_LINES = 16


def profile(wheels: Path) -> str:
    """The functions that cost most, by their own time."""
    with tempfile.TemporaryDirectory() as folder, _in_this_process():
        recorded = cProfile.Profile()
        given = [_wheel(path) for path in sorted(wheels.glob("*.whl"))]
        recorded.enable()
        layers.wheel_layers(
            plan(given, strategy="size", budget=18),
            Opened(_target()),
            Tree(),
            # Never started: nothing is compiled, so nothing stands in for an interpreter.
            bytecode=layers.Bytecode(mode="none", compiler="", start=contextlib.nullcontext),  # type: ignore[arg-type]
            lost={},
            store=Store(Path(folder)),
            jobs=1,
            listener=Silent(),
        )
        recorded.disable()
    out = io.StringIO()
    pstats.Stats(recorded, stream=out).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    head = next(number for number, line in enumerate(lines) if "ncalls" in line)
    total = next(line.strip() for line in lines if "function calls" in line)
    return "\n".join([re.sub(r" in [\d.]+ seconds", "", total), *filter(None, lines[head:])]) + "\n"


def _wheel(path: Path) -> Wheel:
    name, version, _, _ = parse_wheel_filename(path.name)
    digest, size = digest_file(str(path))
    pin = WheelPin(name=str(name), version=str(version), filename=path.name, sha256=digest, size=size, requested=True)
    return Wheel(pin=pin, path=path, size=size)


def _target() -> Target:
    promise = Promise(
        version="3.11.2",
        interpreter="/usr/local/bin/python3.11",
        prefix="/usr/local",
        purelib="/usr/local/lib/python3.11/site-packages",
        scripts="/usr/local/bin",
        glibc=(2, 36),
    )
    return Target(platform=AMD64, promise=promise)


@dataclass(eq=False)
class _Done:
    def result(self) -> None:
        """It has been done."""


class _Pool:
    """Does at once what a pool of processes would do elsewhere, where no profiler looks."""

    def submit(self, act: object, task: object) -> _Done:
        # The room's own worker function, handed over as the pool would.
        act(task)  # type: ignore[operator]
        return _Done()


@contextlib.contextmanager
def _in_this_process() -> Iterator[None]:
    # Private on purpose: a profiler sees one process, so the pool is replaced by this one for the time.
    workers, wait = layers._workers, layers.wait  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def here(work: layers._Work, count: int) -> Iterator[_Pool]:
        layers._worker = (work, None)
        yield _Pool()

    @dataclass
    class _All:
        done: object

    layers._workers = here  # type: ignore[assignment]
    layers.wait = lambda running, return_when: _All(list(running))  # type: ignore[attr-defined, assignment, misc]
    try:
        yield
    finally:
        layers._workers, layers.wait, layers._worker = workers, wait, None  # type: ignore[attr-defined]
