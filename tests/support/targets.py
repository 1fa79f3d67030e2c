"""Targets and bases small enough to read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oci_builder.digest import digest_file
from oci_builder.gate.facts import FactsCollector
from oci_builder.layer import Layer
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, Kind, directory, entry_path, symlink
from oci_builder.tree.tree import Tree
from oci_builder.wheels.layering import Group, Wheel
from oci_builder.wheels.layers import LayerMaker
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.steps import NO_BYTECODE, Anchors, BytecodeChoice, CompilerRef, layer_steps
from oci_builder.wheels.target import PythonEnvironment, Target

SITE = "usr/local/lib/python3.11/site-packages"

TARGET = Target(
    platform=AMD64,
    promise=PythonEnvironment(
        version="3.11.2",
        interpreter="/usr/local/bin/python3.11",
        prefix="/usr/local",
        purelib=f"/{SITE}",
        scripts="/usr/local/bin",
        glibc=(2, 36),
    ),
)


def base_tree(*more: Entry) -> Tree:
    """A merged-/usr root filesystem: folders with modes worth keeping, links worth following."""
    folders = ["etc", "run", "usr", "usr/bin", "usr/lib", "usr/local", "usr/local/bin", "usr/local/lib", "var"]
    folders += ["usr/local/lib/python3.11", SITE]
    special = {"tmp": 0o1777, "root": 0o700}
    links = {"bin": "usr/bin", "lib": "usr/lib", "var/run": "/run"}
    entries = [directory(path, origin="base") for path in folders]
    entries += [directory(path, mode=mode, origin="base") for path, mode in special.items()]
    entries += [symlink(path, target, origin="base") for path, target in links.items()]
    return Tree([*entries, *more])


def wheel_of(path: Path, *, requested: bool = True, direct_url: str | None = None) -> Wheel:
    """A wheel file as the room knows it, under its own name."""
    name, version = path.name.split("-")[:2]
    digest, size = digest_file(str(path))
    pin = WheelPin(
        name=name.lower().replace("_", "-"),
        version=version,
        filename=path.name,
        sha256=digest,
        size=size,
        requested=requested,
        direct_url=direct_url,
    )
    return Wheel(pin=pin, path=path, size=size)


@dataclass(frozen=True)
class HostPython:
    """The running interpreter, as one that compiles for the target."""

    argv: Sequence[str] = (sys.executable, "-I", "-S")
    env: Mapping[str, str] = None  # type: ignore[assignment]  # set below: dataclasses refuse a mutable default
    proves: str = ""


@contextlib.contextmanager
def host_python() -> Iterator[HostPython]:
    """Lend the running interpreter."""
    yield HostPython(env={})


BYTECODE = BytecodeChoice(mode="default", compiler=CompilerRef(name="this test's", version="0"))


def lend_host_python(ref: CompilerRef) -> contextlib.AbstractContextManager[HostPython]:
    """Lend the running interpreter, whichever is meant."""
    return host_python()


def shelve(wheels: Iterable[Wheel], store: Store) -> list[Wheel]:
    """Have ``store`` hold the wheels, as fetching them does; those that are gone it has."""
    found = []
    for wheel in wheels:
        if wheel.path.is_file():
            store.put_bytes(wheel.path.read_bytes())
        found.append(replace(wheel, path=store.path(wheel.pin.sha256)))
    return found


def make_layers(
    groups: Sequence[Group],
    store: Store,
    base: Tree,
    *,
    bytecode: BytecodeChoice = NO_BYTECODE,
    lost: Mapping[str, frozenset[str]] | None = None,
    jobs: int = 2,
) -> tuple[Layer, ...]:
    """The layers of groups of wheels that ``store`` has, compiled by the running interpreter."""
    steps = layer_steps(groups, TARGET, Anchors.of(TARGET, base), bytecode=bytecode, lost=lost or {})
    maker = LayerMaker(store=store, reporter=Quiet(), jobs=jobs, lend=lend_host_python, observe=FactsCollector)
    made = {step.key: layer for step, layer in maker.run(steps)}
    layers = [made[step.key] for step in steps]
    assert all(isinstance(layer, Layer) for layer in layers)
    return tuple(layer for layer in layers if isinstance(layer, Layer))


def folder(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = 7) -> Entry:
    """A folder with a time of its own."""
    return Entry(path=entry_path(path), kind=Kind.DIRECTORY, mode=mode, uid=uid, gid=gid, mtime=mtime, origin="base")
