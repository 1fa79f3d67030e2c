"""Groups of wheels as layers: found where they were made before, else made, several at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from oci_builder.bytecode import Compiler, pyc_path
from oci_builder.layer import RECORDS, Layer, LayerKey, find, keep, write_layer
from oci_builder.listener import Listener
from oci_builder.store import Store
from oci_builder.tree.content import Sources
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, parents
from oci_builder.wheels.compiling import Compiled, Mode, Room, complete, completed, wanted
from oci_builder.wheels.install import RULES
from oci_builder.wheels.layering import Group, Wheel
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.opened import Opened
from oci_builder.wheels.remembered import Remembered
from oci_builder.wheels.target import Target
from oci_builder.workers import in_workers


class Interpreter(Protocol):
    """How to start the interpreter that compiles."""

    @property
    def argv(self) -> Sequence[str]:
        """Program and arguments."""

    @property
    def env(self) -> Mapping[str, str]:
        """Its whole environment."""


class Examiner(Protocol):
    """Looks at one layer, in the process that makes it: what it keeps in the store is all that comes of it."""

    def watch(self, entry: Entry, data: bytes | bytearray | memoryview) -> None:
        """Meet a file that is being written, if its content is held whole."""

    def finish(self, layer: Layer) -> None:
        """See the layer when it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytecode:
    """Which modules are compiled, and by whom. ``compiler`` names the exact interpreter: the bytes depend on it.

    ``start`` lends that interpreter; it is called only when there is something to compile.
    """

    mode: Mode
    compiler: str
    start: Callable[[], AbstractContextManager[Interpreter]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """All that making one layer needs, the same in every process."""

    opened: Opened
    base: Tree
    store: Store
    lost: Mapping[str, frozenset[str]]
    mode: Mode
    compiler: str
    interpreter: Interpreter | None
    examine: Callable[[Store], Examiner]


@dataclass(frozen=True, slots=True)
class _Task:
    """A layer to make; ``children`` interpreters compile for it."""

    group: Group
    key: LayerKey
    weight: int
    children: int


def wheel_layers(
    groups: Sequence[Group],
    listing: Listing,
    base: Tree,
    *,
    bytecode: Bytecode,
    lost: Mapping[str, frozenset[str]],
    listener: Listener,
    examine: Callable[[Store], Examiner],
) -> tuple[Layer, ...]:
    """One layer for each group, in their order; ``lost`` are the paths that distributions give up to others.

    Every layer that is made has an examiner of its own. Raises WheelError, DigestMismatch, PathConflict, ToolFailed,
    FileProblem.
    """
    opened, store, target = listing.opened, listing.store, listing.opened.target
    anchors = _anchors(target, base)
    keys = [_key(group, opened, anchors, bytecode, lost) for group in groups]
    store.expect(RECORDS, [key.hex for key in keys])
    done = {key: layer for key in keys if (layer := find(key, store)) is not None}
    todo = [(group, key) for group, key in zip(groups, keys, strict=True) if key not in done]
    opened.have(wheel for group, _ in todo for wheel in group.wheels)
    total = sum(group.size for group in groups)
    finished = total - sum(group.size for group, _ in todo)
    listener.advance("", finished, total)
    with _interpreter(bytecode, needed=bool(todo)) as interpreter, store.scratch() as begun:
        work = _Work(
            opened=opened,
            base=base,
            # Here, whatever becomes of the workers, what they had begun goes with the folder.
            store=store.beginning_in(begun),
            lost=lost,
            mode=bytecode.mode,
            compiler=bytecode.compiler,
            interpreter=interpreter,
            examine=examine,
        )
        tasks = _tasks(todo, work, listing)
        # Forked: the base's tree is there without being sent. Threads would share one interpreter lock.
        made = in_workers(tasks, partial(_worker, work), count=listing.jobs, label=_doing)
        with contextlib.closing(made):
            for task, _ in made:
                finished += task.group.size
                listener.advance(task.group.label, finished, total)
    for _, key in todo:
        # Only now: while there are workers, memory is theirs.
        layer = find(key, store)
        assert layer is not None, "a worker keeps what it has made"
        done[key] = layer
    return tuple(done[key] for key in keys)


def _interpreter(bytecode: Bytecode, *, needed: bool) -> AbstractContextManager[Interpreter | None]:
    return bytecode.start() if needed and bytecode.mode != "none" else contextlib.nullcontext()


def _key(
    group: Group, opened: Opened, anchors: list[list[object]], bytecode: Bytecode, lost: Mapping[str, frozenset[str]]
) -> LayerKey:
    wheels = [
        {
            "filename": wheel.pin.filename,
            "sha256": wheel.pin.sha256.hex,
            "requested": wheel.pin.requested,
            "direct_url": wheel.pin.direct_url,
            "lost": sorted(lost.get(wheel.pin.name, ())),
            # Only where it is so: the keys of all other layers stay what they were.
            **({"unverified": True} if opened.takes_unverified(wheel) else {}),
        }
        for wheel in group.wheels
    ]
    target = opened.target
    return LayerKey.of(
        kind="wheels",
        rules=RULES,
        wheels=wheels,
        schemes=dict(target.schemes("")),
        interpreter=target.promise.interpreter,
        anchors=anchors,
        bytecode=[bytecode.mode, "" if bytecode.mode == "none" else bytecode.compiler],
    )


def _anchors(target: Target, base: Tree) -> list[list[object]]:
    """The base's folders and links that a wheel's layer repeats or passes through: they are part of its bytes."""
    prefix = target.promise.prefix.strip("/")
    above = {*parents(f"{prefix}/x")}
    return [
        [entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, entry.mtime, entry.target]
        for path in base.paths
        if (path in above or path.startswith(f"{prefix}/")) and (entry := base.paths[path]).kind is not Kind.FILE
    ]


def _make(task: _Task, work: _Work, compiler: Compiler | None, examiner: Examiner) -> Layer:
    group = task.group
    tag = _tag(work)
    entries: list[Entry] = []
    with Sources() as sources:
        room = Room()
        for wheel in group.wheels:
            made = _complete(wheel, task, work, compiler, sources, room)
            given_up = _with_bytecode(work.lost.get(wheel.pin.name, frozenset()), tag)
            entries += (entry for entry in made.entries if entry.path not in given_up)
        names = tuple(wheel.label for wheel in group.wheels)
        tree = place(entries, work.base)
        said = f"ocibuild wheels: {', '.join(names)}"
        return write_layer(tree, work.store, created_by=said, holds=names, sources=sources, watch=examiner.watch)


def _complete(
    wheel: Wheel, task: _Task, work: _Work, compiler: Compiler | None, sources: Sources, room: Room
) -> Compiled:
    installed = work.opened.installed(wheel, sources)
    # A wheel that is alone in its layer is compiled when its layer is made, and then never again.
    shares = len(task.group.wheels) > 1 and compiler is not None
    remembered = Remembered(
        store=work.store, compiler=work.compiler, mode=work.mode, schemes=work.opened.target.schemes(wheel.pin.name)
    )
    if shares and (known := remembered.recall(wheel, origin=installed.origin)) is not None:
        return completed(installed, known)
    made = complete(
        installed, compiler, tag=_tag(work), mode=work.mode, children=task.children, sources=sources, room=room
    )
    if shares:
        remembered.keep(wheel, made.made)
    return made


def _tag(work: _Work) -> str:
    minor = work.opened.target.minor
    return f"cpython-{minor[0]}{minor[1]}"


def _with_bytecode(paths: frozenset[str], tag: str) -> frozenset[str]:
    # Who gives up a module gives up its bytecode.
    return paths | {pyc_path(path, tag) for path in paths if path.endswith(".py")}


def _tasks(todo: Sequence[tuple[Group, LayerKey]], work: _Work, listing: Listing) -> list[_Task]:
    """The largest first: one that starts last would be waited for alone.

    One that is more than a process's share of all has several to compile it.
    """
    if work.interpreter is None:
        tasks = [_Task(group, key, group.size, 1) for group, key in todo]
    else:
        wheels = [wheel for group, _ in todo for wheel in group.wheels]
        listing.have(wheels)
        weights = {wheel: _weight(wheel, work.mode, listing) for wheel in wheels}
        sums = [sum(weights[wheel] for wheel in group.wheels) for group, _ in todo]
        whole = max(sum(sums), 1)
        tasks = [
            _Task(group, key, each, max(1, math.ceil(listing.jobs * each / whole)))
            for (group, key), each in zip(todo, sums, strict=True)
        ]
    return sorted(tasks, key=lambda task: (-task.weight, task.key.hex))


def _weight(wheel: Wheel, mode: Mode, listing: Listing) -> int:
    """Bytes of source to compile: what making the layer costs, nearly."""
    purelib = listing.opened.target.schemes(wheel.pin.name)["purelib"]
    return sum(claim.size for claim in listing.claims(wheel) if wanted(claim.path, purelib, mode))


def _doing(task: _Task) -> str:
    return f"the layer of {task.group.label}"


@contextlib.contextmanager
def _worker(work: _Work) -> Iterator[Callable[[_Task], None]]:
    """A worker that makes layers; one interpreter compiles for it until it leaves."""
    if work.interpreter is None:
        yield partial(_make_and_keep, work, None)
        return
    with Compiler(work.interpreter.argv, work.interpreter.env) as compiler:
        yield partial(_make_and_keep, work, compiler)


def _make_and_keep(work: _Work, compiler: Compiler | None, task: _Task) -> None:
    examiner = work.examine(work.store)
    layer = _make(task, work, compiler, examiner)
    keep(layer, task.key, work.store)
    examiner.finish(layer)
