"""What a build does, counted: nothing is inflated, hashed, opened or started twice. No clock is asked.

The counters are shared with the worker processes, which are forked from this one.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deflate
import msgspec
import pytest

from oci_builder.gate.facts import RECORDS, layer_facts
from oci_builder.layer import Layer
from oci_builder.store import Store
from oci_builder.wheels.conflicts import resolve_conflicts
from oci_builder.wheels.installed_wheels import InstalledWheels
from oci_builder.wheels.layering import Group, Wheel
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.steps import NO_BYTECODE, BytecodeChoice
from tests.support.elves import ElfSpec, make_elf
from tests.support.targets import BYTECODE, TARGET, base_tree, make_layers, shelve, wheel_of
from tests.support.wheels import make_wheel

JOBS = 2
SLACK = 48_000
"""Bytes of names, keys and records that are hashed beside contents."""


@dataclass(frozen=True)
class Counts:
    """Bytes inflated and hashed; wheels and the cache's records opened; processes forked and programs started."""

    inflated: int
    hashed: int
    opened: int
    records: int
    forked: int
    started: int


class Counter:
    """Counts while it is told to: an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._values = {name: context.Value("q", 0) for name in Counts.__dataclass_fields__}
        self._on = context.Value("b", 0)
        self.wheels: set[str] = set()
        sys.addaudithook(self._heard)

    def add(self, name: str, amount: int) -> None:
        if self._on.value:
            with self._values[name].get_lock():
                self._values[name].value += amount

    def of(self, act: Callable[[], object]) -> Counts:
        for value in self._values.values():
            value.value = 0
        self._on.value = 1
        try:
            act()
        finally:
            self._on.value = 0
        return Counts(**{name: value.value for name, value in self._values.items()})

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]) in self.wheels:
            self.add("opened", 1)
        elif event == "open" and "/records/" in str(arguments[0]):
            self.add("records", 1)
        elif event == "os.fork":
            self.add("forked", 1)
        elif event == "subprocess.Popen":
            self.add("started", 1)


COUNTER = Counter()


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = hashlib.sha256

    def counting(inflate: Callable[[bytes, int], bytearray]) -> Callable[[bytes, int], bytearray]:
        def inflating(data: bytes, size: int) -> bytearray:
            COUNTER.add("inflated", size)
            return inflate(data, size)

        return inflating

    class Hashing:
        def __init__(self, data: bytes = b"") -> None:
            self._real = sha256()
            self.update(data)

        def update(self, data: bytes) -> None:
            COUNTER.add("hashed", len(data))
            self._real.update(data)

        def digest(self) -> bytes:
            return self._real.digest()

        def hexdigest(self) -> str:
            return self._real.hexdigest()

    for name in ("deflate_decompress", "gzip_decompress"):
        monkeypatch.setattr(deflate, name, counting(getattr(deflate, name)))
    monkeypatch.setattr(hashlib, "sha256", Hashing)


def wheels_in(folder: Path, **versions: str) -> list[Wheel]:
    made = []
    for name, version in versions.items():
        text = f"version = {version!r}\n" + "".join(f"def f{n}(a):\n    return a + {n}\n" for n in range(3000))
        files: dict[str, bytes | str] = {
            f"{name}/__init__.py": text,
            f"{name}/library.so": make_elf(ElfSpec(needed=["libc.so.6"])) + text.encode() * 3,
            f"{name}/empty.py": "",
        }
        made.append(wheel_of(make_wheel(folder, name, version, files=files)))
    return made


def content_of(wheels: Sequence[Wheel]) -> int:
    """Bytes of all files of wheels."""
    total = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            total += sum(info.file_size for info in archive.infolist())
    return total


def built(wheels: Sequence[Wheel], store: Store, bytecode: BytecodeChoice) -> tuple[Counts, tuple[Layer, ...]]:
    layers: list[Layer] = []
    wheels = shelve(wheels, store)
    COUNTER.wheels = {str(wheel.path) for wheel in wheels}

    def build() -> None:
        listing = Listing(opened=InstalledWheels(TARGET), store=store, jobs=JOBS)
        resolve_conflicts(wheels, listing, policy="error")
        groups = [Group(wheels=(wheel,)) for wheel in wheels]
        layers.extend(make_layers(groups, store, base_tree(), bytecode=bytecode, jobs=JOBS))

    return COUNTER.of(build), tuple(layers)


@pytest.mark.parametrize(("bytecode", "compilers"), [(NO_BYTECODE, 0), (BYTECODE, JOBS)])
def test_the_first_time_everything_is_inflated_once_and_hashed_three_times(
    tmp_path: Path, store: Store, bytecode: BytecodeChoice, compilers: int
) -> None:
    wheels = wheels_in(tmp_path, one="1.0", two="1.0", three="1.0")
    counts, layers = built(wheels, store, bytecode)
    content = content_of(wheels)
    # RECORD is read and not copied; WHEEL is read and copied.
    assert content * 0.99 <= counts.inflated <= content + 3_000
    # RECORD's digests, the diff ID, the blob's digest; and a .pyc's own.
    three = content + sum(layer.unpacked + layer.descriptor.size for layer in layers)
    pyc = sum(entry.size for layer in layers for entry in layer.entries if entry.path.endswith(".pyc"))
    assert three * 0.99 <= counts.hashed <= three + pyc + SLACK
    # To see what is in it; then, in the process that makes its layer, for the contents.
    assert counts.opened == 2 * len(wheels)
    assert (counts.forked >= JOBS, counts.started) == (True, compilers)


def test_what_the_gate_wants_to_know_is_gathered_from_the_same_pass(tmp_path: Path, store: Store) -> None:
    wheels = wheels_in(tmp_path, one="1.0")
    _, (layer,) = built(wheels, store, NO_BYTECODE)
    gathered = store.record(RECORDS, layer.descriptor.digest.hex)
    assert gathered is not None and b"libc.so.6" in gathered
    store.drop_record(RECORDS, layer.descriptor.digest.hex)
    # Read from the finished layer they are the same.
    assert msgspec.json.encode(layer_facts(layer, store)) == gathered


def test_a_changed_wheel_is_all_that_a_second_build_looks_at(tmp_path: Path, store: Store) -> None:
    first = wheels_in(tmp_path, one="1.0", two="1.0", three="1.0")
    built(first, store, NO_BYTECODE)
    bumped = wheels_in(tmp_path, two="1.1")
    counts, _ = built([first[0], *bumped, first[2]], store, NO_BYTECODE)
    assert counts.opened == 2
    assert counts.inflated <= content_of(bumped) + 1_000


def test_with_nothing_changed_nothing_is_opened_inflated_or_started(tmp_path: Path, store: Store) -> None:
    wheels = wheels_in(tmp_path, one="1.0", two="1.0")
    _, layers = built(wheels, store, BYTECODE)
    counts, again = built(wheels, store, BYTECODE)
    assert again == layers
    assert counts.hashed < SLACK
    # That no path has two owners, and each layer with its index.
    assert counts.records == 1 + len(layers)
    assert (counts.inflated, counts.opened, counts.forked, counts.started) == (0, 0, 0, 0)
