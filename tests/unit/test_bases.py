"""A base opened: cached, superseded, locked, offline, for another CPU."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oci_builder.bases import Base, Supply, interpreter, open_base, update_base
from oci_builder.debian.lock import lock_path, write_lock
from oci_builder.errors import PackageUnavailable, StaleLock, ToolFailed
from oci_builder.layer import write_layer
from oci_builder.platforms import AMD64, ARM64, Platform
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.debian import Deb, small_base, write_layer_folder, write_mirror
from tests.support.webserver import WebServer, serving

HOST = Platform.parse(os.uname().machine)
OTHER = ARM64 if HOST == AMD64 else AMD64
NEWER = "3.11.2-6+deb12u10"


@dataclass
class Notes(Quiet):
    """A reporter that keeps what is said."""

    lines: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class World:
    """A layer folder, a mirror that has its packages, and a store."""

    folder: Path
    mirror: Path
    server: WebServer
    store: Store
    notes: Notes

    def publish(self, debs: list[Deb]) -> None:
        """Let the mirror have ``debs`` and nothing else."""
        for path in self.mirror.rglob("*.deb"):
            path.unlink()
        write_mirror(self.mirror, debs)

    def lock(self, *platforms: Platform) -> None:
        """Lock what the mirror has."""
        for platform in platforms:
            lock = update_base(self.folder, platform, store=self.store, supply=self.supply(), reporter=self.notes)
            write_lock(lock, lock_path(self.folder, platform))

    def supply(self, **options: Any) -> Supply:
        """The mirror, and this machine's clock."""
        return Supply(**{"now": int(time.time()), "mirrors": [self.server.url], "jobs": 2, **options})

    def open(self, platform: Platform = HOST, store: Store | None = None, **options: Any) -> Base:
        """The base."""
        return open_base(
            self.folder, platform, store=store or self.store, supply=self.supply(**options), reporter=self.notes
        )


@pytest.fixture
def world(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # This machine's own apt would be asked first, and these packages are not Debian's.
    monkeypatch.setenv("PATH", "/nonexistent")
    with serving(tmp_path / "mirror") as server:
        folder = write_layer_folder(tmp_path / "tiny", small_base())
        made = World(folder, tmp_path / "mirror", server, store, Notes())
        made.publish(small_base())
        made.lock(HOST, OTHER)
        yield made


def test_a_base_is_a_layer_with_its_tree_and_its_promise(world: World) -> None:
    base = world.open()
    assert base.name == "tiny"
    assert base.target.promise.purelib == "/usr/local/lib/python3.11/site-packages"
    assert base.target.promise.glibc == (2, 36)
    assert base.env == {"LANG": "C.UTF-8"}
    assert set(base.tree.paths) == {entry.path for entry in base.layers[0].entries}
    assert "libc6 2.36-9" in base.layers[0].holds


def test_the_standard_library_is_compiled_links_too(world: World) -> None:
    tree = world.open().tree
    assert "usr/lib/python3.11/__pycache__/os.cpython-311.pyc" in tree
    assert "usr/lib/python3.11/__pycache__/link.cpython-311.pyc" in tree


def test_a_base_in_the_store_asks_nobody(world: World) -> None:
    first = world.open()
    world.server.asked.clear()
    assert world.open(mirrors=[], offline=True).layers == first.layers
    assert world.server.paths == []


def test_the_same_packages_under_a_newer_date_are_the_same_layer(world: World, tmp_path: Path) -> None:
    first = world.open()
    world.lock(HOST)
    assert world.open(store=Store(tmp_path / "other")).layers[0].diff_id == first.layers[0].diff_id


def test_a_layer_is_the_same_bytes_when_it_is_written_from_its_own_index(world: World) -> None:
    base = world.open()
    again = write_layer(base.tree, world.store, created_by="x", holds=())
    assert again.diff_id == base.layers[0].diff_id


def test_a_superseded_package_is_replaced_and_that_is_said(world: World) -> None:
    world.publish(small_base(python=NEWER))
    base = world.open()
    assert base.python == NEWER
    assert len(world.notes.lines) == 1
    assert f"python3.11 3.11.2-6+deb12u9 → {NEWER}" in world.notes.lines[0]
    assert "ocibuild base update tiny" in world.notes.lines[0]


def test_what_replaced_it_is_remembered(world: World) -> None:
    world.publish(small_base(python=NEWER))
    first = world.open()
    world.server.asked.clear()
    assert world.open(offline=True, mirrors=[]).digest == first.digest
    assert world.server.paths == [] and len(world.notes.lines) == 2


def test_a_locked_build_takes_no_successor(world: World) -> None:
    world.publish(small_base(python=NEWER))
    with pytest.raises(PackageUnavailable, match=r"cannot get python3\.11 3\.11\.2-6\+deb12u9") as raised:
        world.open(locked=True)
    assert "ocibuild base update tiny" in (raised.value.hint or "")
    world.open()
    with pytest.raises(PackageUnavailable):
        world.open(locked=True)


def test_a_locked_build_of_a_base_in_the_store_needs_nothing(world: World) -> None:
    first = world.open()
    world.publish(small_base(python=NEWER))
    assert world.open(locked=True).digest == first.digest
    assert world.open().digest == first.digest


def test_an_offline_build_of_an_unknown_base_says_what_to_do(world: World) -> None:
    with pytest.raises(PackageUnavailable) as raised:
        world.open(offline=True)
    assert "with a network" in (raised.value.hint or "")
    assert world.server.paths.count("/debian/pool") == 0


def test_a_folder_of_packages_is_enough(world: World, tmp_path: Path) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    for path in sorted(world.mirror.rglob("*.deb")):
        (debs / path.name).write_bytes(path.read_bytes())
    world.server.asked.clear()
    assert world.open(debs=debs, offline=True).layers
    assert world.server.paths == []


def test_a_package_that_cannot_be_had_although_it_is_current_is_not_called_superseded(world: World) -> None:
    for path in world.mirror.rglob("tzdata*.deb"):
        path.unlink()
    with pytest.raises(PackageUnavailable, match="tzdata") as raised:
        world.open()
    assert "still list it" in (raised.value.hint or "")


def test_a_base_without_a_lock_for_a_platform_says_how_to_get_one(world: World) -> None:
    lock_path(world.folder, HOST).unlink()
    with pytest.raises(StaleLock, match="none for this platform"):
        world.open()


def test_a_lock_that_cannot_be_read_can_be_made_anew(world: World) -> None:
    path = lock_path(world.folder, HOST)
    before = path.read_bytes()
    path.write_bytes(b"{}")
    world.lock(HOST)
    assert path.read_bytes() == before


def test_another_cpus_base_is_compiled_by_this_ones(world: World) -> None:
    base = world.open(OTHER)
    assert "usr/lib/python3.11/__pycache__/os.cpython-311.pyc" in base.tree
    assert base.target.platform == OTHER and world.notes.lines == []


def test_another_cpus_base_of_another_version_comes_without_bytecode_and_says_so(world: World) -> None:
    world.publish(small_base(python=NEWER))
    world.lock(OTHER)
    world.publish(small_base())
    world.lock(HOST)
    world.open()
    world.publish(small_base(python=NEWER))
    base = world.open(OTHER)
    assert not any(path.endswith(".pyc") for path in base.tree.paths)
    assert "without bytecode" in world.notes.lines[-1]
    with (
        pytest.raises(ToolFailed, match="this machine can run"),
        interpreter(base, store=world.store, supply=world.supply(), reporter=world.notes),
    ):
        pass


def test_the_bases_python_runs_here(world: World) -> None:
    with interpreter(world.open(), store=world.store, supply=world.supply(), reporter=world.notes) as python:
        said = subprocess.run(
            [*python.argv, "-c", "import sys; print(sys.flags.isolated)"],
            env=dict(python.env),
            capture_output=True,
            text=True,
            check=True,
        )
        folder = Path(python.argv[0]).parents[3]
    assert said.stdout == "1\n"
    assert not folder.exists()
