"""The making of one layer of wheels as a value: all that decides its bytes, and nothing that is only here.

No store, path, environment, tree or callable is in it, so it can be pickled and run wherever there is a store that has
its wheels.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from oci_builder.layer import LayerKey
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree
from oci_builder.wheels.compiling import Mode
from oci_builder.wheels.install import RULES
from oci_builder.wheels.layering import Group, Wheel
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilerRef:
    """The interpreter that compiles. ``name`` tells apart those that compile differently: the bytes depend on it.

    ``layer`` is the key of the base's layer that holds it, in hex; where that is empty, it is a Python of this
    ``version`` that the machine has.
    """

    name: str
    version: str
    layer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BytecodeChoice:
    """Which modules are compiled, and by whom; without a ``compiler`` none are."""

    mode: Mode = "none"
    compiler: CompilerRef | None = None

    @property
    def key(self) -> list[str]:
        """What a layer's key has of it."""
        return ["none", ""] if self.compiler is None or self.mode == "none" else [self.mode, self.compiler.name]


NO_BYTECODE = BytecodeChoice()


class _Row(NamedTuple):
    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    target: str
    origin: str


@dataclass(frozen=True, slots=True)
class Anchors:
    """The base's folders and links that a wheel's layer repeats or passes through: they are part of its bytes."""

    packed: bytes

    @classmethod
    def of(cls, target: Target, base: Tree) -> Anchors:
        """Those of ``base`` at and below the prefix of its Python, and where links lead from there."""
        prefix = target.promise.prefix.strip("/")
        found = {path: base.paths[path] for path in base.paths if _is_at(path, prefix)}
        anchors = {path: entry for path, entry in found.items() if entry.kind is not Kind.FILE}
        for path, entry in found.items():
            if entry.kind is Kind.SYMLINK and not _is_at(end := base.resolve(path), prefix):
                # What is installed through such a link lands elsewhere, among folders that it repeats as well.
                anchors.update({each: value for each in base.paths if _is_at(each, end)
                                if (value := base.paths[each]).kind is not Kind.FILE})  # fmt: skip
        rows = [_row_of(anchors[path]) for path in base.paths if path in anchors]
        return cls(zlib.compress(json.dumps(rows).encode(), 9))

    @property
    def decides(self) -> bytes:
        """What of them decides bytes, in some order of its own."""
        return json.dumps(self.key).encode()

    @property
    def key(self) -> list[list[object]]:
        """What a layer's key has of them; whose they are decides no bytes."""
        return [list(row[:-1]) for row in self._rows()]

    def tree(self) -> Tree:
        """A base to install upon, where nothing else is."""
        return Tree(
            Entry(
                path=EntryPath(row.path),
                kind=Kind(row.kind),
                mode=row.mode,
                uid=row.uid,
                gid=row.gid,
                mtime=row.mtime,
                target=row.target,
                origin=row.origin,
            )
            for row in self._rows()
        )

    def _rows(self) -> list[_Row]:
        return [_Row(*row) for row in json.loads(zlib.decompress(self.packed))]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWheel:
    """A wheel of a layer, with its size in bytes and the paths that it gives up to other distributions.

    The files in one that is ``unverified`` are not held to its RECORD.
    """

    pin: WheelPin
    size: int
    lost: frozenset[str] = frozenset()
    unverified: bool = False

    @property
    def label(self) -> str:
        """``numpy 2.4.6``."""
        return str(self.pin)

    def here(self, store: Store) -> Wheel:
        """The wheel as ``store`` has it, or would."""
        path: Path = store.path(self.pin.sha256)
        return Wheel(pin=self.pin, path=path, size=self.size, unverified=self.unverified)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStep:
    """One layer to make. ``most`` is how many bytes each of its wheels may unpack to; 0 is the usual limit."""

    key: LayerKey
    wheels: tuple[StepWheel, ...]
    target: Target
    anchors: Anchors
    bytecode: BytecodeChoice = NO_BYTECODE
    most: int = 0

    def __repr__(self) -> str:
        return f"LayerStep({self.label}, {self.key.hex[:12]})"

    @property
    def label(self) -> str:
        """What the layer holds, in a few words."""
        first = self.wheels[0].label
        return first if len(self.wheels) == 1 else f"{first} and {len(self.wheels) - 1} more"

    @property
    def holds(self) -> tuple[str, ...]:
        """What the layer holds."""
        return tuple(wheel.label for wheel in self.wheels)

    @property
    def weight(self) -> int:
        """Bytes of its wheels."""
        return sum(wheel.size for wheel in self.wheels)

    @property
    def kind(self) -> str:
        """``wheels``: the layers that are made of nothing else."""
        return "wheels"


def layer_steps(
    groups: Sequence[Group],
    target: Target,
    anchors: Anchors,
    *,
    bytecode: BytecodeChoice = NO_BYTECODE,
    lost: Mapping[str, frozenset[str]],
    most: int = 0,
) -> tuple[LayerStep, ...]:
    """A step for each group; ``lost`` are the paths that distributions give up to others."""
    found = []
    shared = anchors.key
    for group in groups:
        wheels = tuple(_step_wheel(each, lost.get(each.pin.name, frozenset())) for each in group.wheels)
        key = LayerKey.of(
            kind="wheels",
            rules=RULES,
            wheels=[_decides(wheel) for wheel in wheels],
            schemes=dict(target.schemes("")),
            interpreter=target.promise.interpreter,
            anchors=shared,
            bytecode=bytecode.key,
        )
        found.append(LayerStep(key=key, wheels=wheels, target=target, anchors=anchors, bytecode=bytecode, most=most))
    return tuple(found)


def _step_wheel(wheel: Wheel, lost: frozenset[str]) -> StepWheel:
    return StepWheel(pin=wheel.pin, size=wheel.size, lost=lost, unverified=wheel.unverified)


def _decides(wheel: StepWheel) -> dict[str, object]:
    return {
        "filename": wheel.pin.filename,
        "sha256": wheel.pin.sha256.hex,
        "requested": wheel.pin.requested,
        "direct_url": wheel.pin.direct_url,
        "lost": sorted(wheel.lost),
        # Only where it is so: the keys of all other layers stay what they were.
        **({"unverified": True} if wheel.unverified else {}),
    }


def _is_at(path: str, place: str) -> bool:
    """Whether ``path`` is ``place``, above it or below it."""
    return path == place or path.startswith(f"{place}/") or place.startswith(f"{path}/")


def _row_of(entry: Entry) -> _Row:
    return _Row(entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, entry.mtime, entry.target, entry.origin)
