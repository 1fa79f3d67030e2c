"""Layers of wheels: found where they were made before, else made, several at once."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Protocol, TypeAlias

from oci_builder import inputs
from oci_builder.bytecode import Compiler, pyc_path
from oci_builder.errors import CacheEmptied, OcibuildError
from oci_builder.layer import RECORDS, Layer, find, keep, write_layer
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, EntryPath
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree
from oci_builder.wheels.bytecode_cache import BytecodeCache
from oci_builder.wheels.compiling import Compiled, Reading, Room, complete, completed, wanted
from oci_builder.wheels.installed_wheels import InstalledWheels
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.predecessors import Predecessors
from oci_builder.wheels.steps import Anchors, CompilerRef, LayerStep, StepWheel
from oci_builder.workers import in_workers


class CompilerProcess(Protocol):
    """How to start the interpreter that compiles."""

    @property
    def argv(self) -> Sequence[str]:
        """Program and arguments."""

    @property
    def env(self) -> Mapping[str, str]:
        """Its whole environment."""

    @property
    def proves(self) -> str:
        """What its bytecode is called, where it has to prove that it is such."""


class LayerObserver(Protocol):
    """Looks at one layer, in the process that makes it: what it keeps in the store is all that comes of it."""

    def watch(self, entry: Entry, data: bytes | bytearray | memoryview) -> None:
        """Meet a file that is being written, if its content is held whole."""

    def finish(self, layer: Layer) -> None:
        """See the layer when it is done."""


Lend: TypeAlias = Callable[[CompilerRef], AbstractContextManager[CompilerProcess]]
"""Lends the interpreter that is meant; called only when there is something to compile."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A layer to make; ``children`` interpreters compile for it."""

    step: LayerStep
    weight: int
    children: int


@dataclass(frozen=True, kw_only=True)
class LayerMaker:
    """Makes layers in ``jobs`` processes. Every layer that is made has an observer of its own.

    ``fetch`` gets wheels that are not here. With ``keep_going`` an error ends no more than its own layer. ``timed`` is
    told how many seconds each took.
    """

    store: Store
    reporter: Reporter
    jobs: int
    lend: Lend
    observe: Callable[[Store], LayerObserver]
    fetch: Callable[[Sequence[Wheel]], None] | None = None
    keep_going: bool = False
    timed: Callable[[LayerStep, float], None] | None = None

    def run(self, steps: Sequence[LayerStep]) -> Iterator[tuple[LayerStep, Layer | OcibuildError]]:
        """Each step once, by its key, with its layer, which is in the store then.

        Raises WheelError, DigestMismatch, CacheEmptied, PathConflict, ToolFailed, FileProblem; with ``keep_going`` they
        are given in the place of a layer.
        """
        store, unique = self.store, {step.key: step for step in steps}
        store.expect(RECORDS, [key.hex for key in unique])
        done = {key: layer for key in unique if (layer := find(key, store)) is not None}
        todo = [step for key, step in unique.items() if key not in done]
        self._have([wheel for step in todo for wheel in step.wheels])
        failed = self._make(todo, total=sum(step.weight for step in unique.values()))
        for key, step in unique.items():
            # Only now: while there are workers, memory is theirs.
            found = done.get(key) or failed.get(step) or find(key, store)
            if found is None:
                # A worker has kept it, so somebody else took it away.
                found = CacheEmptied(step.label)
                if not self.keep_going:
                    raise found
            yield step, found

    def _make(self, todo: Sequence[LayerStep], *, total: int) -> Mapping[LayerStep, OcibuildError]:
        finished = total - sum(step.weight for step in todo)
        self.reporter.advance("", finished, total)
        failed: dict[LayerStep, OcibuildError] = {}
        if not todo:
            return failed
        with contextlib.ExitStack() as stack:
            refs = dict.fromkeys(step.bytecode.compiler for step in todo if step.bytecode.compiler)
            lent = {ref: stack.enter_context(self.lend(ref)) for ref in refs}
            # Here, whatever becomes of the workers, what they had begun goes with the folder.
            begun = self.store.beginning_in(stack.enter_context(self.store.scratch()))
            # Forked: what was read of the store is there without being sent. Threads would share one interpreter lock.
            act = partial(_worker, begun, self.observe, lent, self.keep_going)
            made = in_workers(self._tasks(todo), act, count=self.jobs, label=_doing)
            stack.enter_context(contextlib.closing(made))
            for task, (error, seconds) in made:
                if error is not None:
                    failed[task.step] = error
                elif self.timed is not None:
                    self.timed(task.step, seconds)
                finished += task.step.weight
                self.reporter.advance(task.step.label, finished, total)
        return failed

    def _have(self, wheels: Sequence[StepWheel]) -> None:
        here = dict.fromkeys(wheel.here(self.store) for wheel in wheels)
        missing = [wheel for wheel in here if not inputs.is_file(wheel.path)]
        if missing and self.fetch is not None:
            self.fetch(missing)

    def _tasks(self, todo: Sequence[LayerStep]) -> list[_Task]:
        """The largest first: one that starts last would be waited for alone.

        One that is more than a process's share of all has several to compile it.
        """
        weights = {step: self._weight(step) for step in todo}
        compiled = max(sum(weights[step] for step in todo if step.bytecode.compiler), 1)
        tasks = [
            _Task(step, each, max(1, math.ceil(self.jobs * each / compiled)) if step.bytecode.compiler else 1)
            for step, each in weights.items()
        ]
        return sorted(tasks, key=lambda task: (-task.weight, task.step.key.hex))

    def _weight(self, step: LayerStep) -> int:
        """Bytes of source to compile: what making the layer costs, nearly; without bytecode, bytes of wheels."""
        if step.bytecode.compiler is None:
            return step.weight
        opened = InstalledWheels(step.target, fetch=self.fetch, most=step.most)
        listing = Listing(opened=opened, store=self.store, jobs=self.jobs)
        return sum(
            claim.size
            for wheel in (each.here(self.store) for each in step.wheels)
            for claim in listing.claims(wheel)
            if wanted(claim.path, step.target.schemes(wheel.pin.name)["purelib"], step.bytecode.mode)
        )


def make_layer(
    step: LayerStep, store: Store, compiler: Compiler | None, *, observer: LayerObserver, children: int = 1
) -> Layer:
    """Make the layer, and keep it under its key in ``store``, which has its wheels.

    ``compiler`` compiles, in so many ``children``. Raises as ``LayerMaker.run``.
    """
    tag, entries = _tag(step), list[Entry]()
    with MappedFiles() as sources:
        last = Predecessors(store, step) if compiler is not None else None
        means = _Means(store, compiler, children, sources, Room(), last)
        for wheel in step.wheels:
            made = _complete(step, wheel, means)
            given_up = _with_bytecode(wheel.lost, tag)
            entries += (entry for entry in made.entries if entry.path not in given_up)
        tree = place(entries, _base(step.anchors))
        said = f"ocibuild wheels: {', '.join(step.holds)}"
        layer = write_layer(tree, store, created_by=said, holds=step.holds, sources=sources, watch=observer.watch)
    keep(layer, step.key, store)
    if means.last is not None:
        means.last.keep(means.compiled)
    observer.finish(layer)
    return layer


@dataclass(frozen=True, slots=True)
class _Means:
    """What a layer is made with, and the ``last`` ones; ``compiled`` are the wheels that have been compiled for it."""

    store: Store
    compiler: Compiler | None
    children: int
    sources: MappedFiles
    room: Room
    last: Predecessors | None
    compiled: list[str] = field(default_factory=list)


@lru_cache(maxsize=4)
def _base(anchors: Anchors) -> Tree:
    """The base that the layers of an image stand on: most of those that a process makes have the same."""
    return anchors.tree()


def _complete(step: LayerStep, each: StepWheel, means: _Means) -> Compiled:
    store, compiler, wheel = means.store, means.compiler, each.here(means.store)
    opened = InstalledWheels(step.target, most=step.most)
    installed = opened.installed(wheel, means.sources)
    # A wheel that is alone in its layer is compiled when its layer is made, and then never again.
    shares = len(step.wheels) > 1 and compiler is not None
    mode, name = step.bytecode.key
    cache = BytecodeCache(store=store, compiler=name, mode=mode, schemes=step.target.schemes(wheel.pin.name))
    if shares and (known := cache.recall(wheel, origin=installed.origin)) is not None:
        return completed(installed, known)
    tag, last = _tag(step), means.last

    def recall(modules: Sequence[Entry]) -> Mapping[EntryPath, Entry]:
        return last.recall(wheel.pin.name, modules, tag, means.sources) if last is not None else {}

    reading = Reading(means.sources, means.room, means.children, recall)
    made = complete(installed, compiler, tag, step.bytecode.mode, reading)
    if shares:
        cache.keep(wheel, made.made)
    if made.made:
        means.compiled.append(wheel.pin.name)
    return made


def start_compiler(process: CompilerProcess) -> Compiler:
    """Start the interpreter that was lent. Raises ToolFailed."""
    return Compiler(process.argv, process.env, proves=process.proves)


def _tag(step: LayerStep) -> str:
    major, minor = step.target.minor
    return f"cpython-{major}{minor}"


def _with_bytecode(paths: frozenset[str], tag: str) -> frozenset[str]:
    """``paths``, and the bytecode of the modules among them: a module that is given up takes its bytecode along."""
    return paths | {pyc_path(path, tag) for path in paths if path.endswith(".py")}


def _doing(task: _Task) -> str:
    return f"the layer of {task.step.label}"


@contextlib.contextmanager
def _worker(
    store: Store,
    observe: Callable[[Store], LayerObserver],
    lent: Mapping[CompilerRef, CompilerProcess],
    keep_going: bool,
) -> Iterator[Callable[[_Task], tuple[OcibuildError | None, float]]]:
    """A worker that makes layers; of each interpreter that is needed, one compiles for it until it leaves."""
    with contextlib.ExitStack() as stack:
        started: dict[CompilerRef, Compiler] = {}

        def compiler_for(ref: CompilerRef | None) -> Compiler | None:
            if ref is not None and ref not in started:
                started[ref] = stack.enter_context(start_compiler(lent[ref]))
            return started[ref] if ref is not None else None

        def act(task: _Task) -> tuple[OcibuildError | None, float]:
            began = time.monotonic()
            try:
                compiler = compiler_for(task.step.bytecode.compiler)
                make_layer(task.step, store, compiler, observer=observe(store), children=task.children)
            except OcibuildError as error:
                if not keep_going:
                    raise
                return error, 0.0
            return None, time.monotonic() - began

        yield act
