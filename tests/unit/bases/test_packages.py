"""More packages over a base: by what links to what, locked, in a layer of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.bases import Base, Supply, open_base, update_base, update_libraries, with_packages
from oci_builder.debian.extralock import read_extra_lock
from oci_builder.debian.lock import lock_path, write_lock
from oci_builder.debian.sonames import libraries_path, read_libraries
from oci_builder.errors import PackageError, PackageUnavailable, PathConflict, StaleLock
from oci_builder.platforms import Platform
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.debian import Deb, small_base, write_layer_folder, write_mirror, write_suite
from tests.support.elves import ElfSpec, make_elf
from tests.support.webserver import WebServer, serving

HOST = Platform.parse(os.uname().machine)
LIBRARIES = f"usr/lib/{HOST.machine}-linux-gnu"
CONTENTS = f"""\
{LIBRARIES}/libGL.so.1      libs/libgl1
{LIBRARIES}/libX11.so.6     libs/libx11-6
{LIBRARIES}/libgone.so.1    libs/libgone1
""".encode()


def library(package: str, soname: str, *needed: str, **more: Any) -> Deb:
    data = make_elf(ElfSpec(machine=HOST.machine, soname=soname, needed=needed))
    return Deb(name=package, files={f"{LIBRARIES}/{soname}": data}, **more)


DEBS = [
    library("libgl1", "libGL.so.1", "libX11.so.6", depends="libx11-6, libgl-drivers, libc6"),
    library("libx11-6", "libX11.so.6"),
    library("libneedy1", "libneedy.so.1", "libgone.so.1"),
    library("liborphan1", "liborphan.so.1", "libunheard.so.7"),
    library("libscripted1", "libscripted.so.1", scripts={"postinst": b"#!/bin/sh\nuseradd x\n"}),
    library("libglib2.0-0", "libglib-2.0.so.0", scripts={"postinst": b"#!/bin/sh\nglib-compile-schemas\n"}),
    Deb(name="settings", files={"usr/share/glib-2.0/schemas/a.xml": b"<x/>"}),
    library("libmagic1", "libmagic.so.1", source="file", depends="libmagic-mgc (= 1.0-1), libmagic-tools, other-data"),
    Deb(name="libmagic-mgc", source="file", files={"usr/lib/file/magic.mgc": b"data"}),
    Deb(name="libmagic-tools", source="file", files={"usr/bin/magic": b"a program"}),
    Deb(name="other-data", source="other", files={"usr/share/other": b"data"}),
    library("libfont1", "libfont.so.1", source="font", depends="font-config"),
    Deb(name="font-config", source="font", files={"etc/font": b"x"}, scripts={"postinst": b"#!/bin/sh\nfc-cache\n"}),
    Deb(name="clash", files={"usr/bin/python3.11": b"another\n"}),
]


@dataclass
class World:
    base: Base
    supply: Supply
    lock: Path
    server: WebServer
    store: Store

    def add(self, *packages: str, supply: Supply | None = None) -> Base:
        """The base with ``packages``."""
        how = supply or self.supply
        return with_packages(self.base, packages, lock=self.lock, supply=how, store=self.store, reporter=Quiet())


@pytest.fixture
def world(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # This machine's own apt would be asked first, and these packages are not Debian's.
    monkeypatch.setenv("PATH", "/nonexistent")
    now = int(time.time())
    with serving(tmp_path / "mirror") as server:
        folder = write_layer_folder(tmp_path / "tiny", small_base())
        write_mirror(tmp_path / "mirror", small_base())
        write_suite(tmp_path / "mirror", "debian", "bookworm", [*small_base(), *DEBS], contents=CONTENTS)
        supply = Supply(now=now, mirrors=(server.url,))
        known = update_base(folder, HOST, store=store, supply=supply, reporter=Quiet())
        write_lock(known, lock_path(folder, HOST))
        assert update_libraries(folder, HOST, store=store, supply=supply, reporter=Quiet())
        base = open_base(folder, HOST, store=store, supply=supply, reporter=Quiet())
        yield World(base, supply, tmp_path / "base.lock.json", server, store)


def test_the_index_of_libraries_is_that_of_the_archive(world: World) -> None:
    assert world.base.folder is not None
    known = read_libraries(libraries_path(world.base.folder, HOST))
    assert known == {"libGL.so.1": "libgl1", "libX11.so.6": "libx11-6", "libgone.so.1": "libgone1"}


def test_what_a_library_links_to_comes_along_and_other_dependencies_do_not(world: World) -> None:
    base = world.add("libgl1")
    assert [pin.name for pin in read_extra_lock(world.lock).packages] == ["libgl1", "libx11-6"]
    assert read_extra_lock(world.lock).left_out == {"libgl1": ("libgl-drivers",)}
    assert base.layers[-1].holds == ("libgl1 1.0-1", "libx11-6 1.0-1")
    assert f"{LIBRARIES}/libX11.so.6" in base.tree


def test_data_that_debian_split_off_comes_along_and_nothing_else_of_the_source(world: World) -> None:
    base = world.add("libmagic1")
    lock = read_extra_lock(world.lock)
    assert [pin.name for pin in lock.packages] == ["libmagic-mgc", "libmagic1"]
    assert lock.left_out == {"libmagic1": ("libmagic-tools", "other-data")}
    assert "usr/lib/file/magic.mgc" in base.tree


def test_data_whose_package_has_a_script_to_run_is_left_out(world: World) -> None:
    world.add("libfont1")
    assert read_extra_lock(world.lock).left_out == {"libfont1": ("font-config",)}


def test_the_newest_version_comes_from_the_suite_that_has_it_though_that_lists_no_contents(world: World) -> None:
    newer = replace(next(deb for deb in DEBS if deb.name == "libx11-6"), version="1.0-1+deb12u1")
    mirror = world.lock.parent / "mirror"
    write_suite(mirror, "debian-security", "bookworm-security", [newer])
    recipe = world.lock.parent / "tiny" / "layer.toml"
    text = recipe.read_text()
    assert text.count('"debian/bookworm"') == 1
    recipe.write_text(text.replace('"debian/bookworm"', '"debian/bookworm", "debian-security/bookworm-security"'))
    # The index stays as it was: what counts is who brings which library, and that has not changed.
    assert not update_libraries(recipe.parent, HOST, store=world.store, supply=world.supply, reporter=Quiet())
    base = world.add("libgl1")
    assert base.layers[-1].holds == ("libgl1 1.0-1", "libx11-6 1.0-1+deb12u1")
    (pin,) = [pin for pin in read_extra_lock(world.lock).packages if pin.name == "libx11-6"]
    assert (pin.archive, pin.suite) == ("debian-security", "bookworm-security")


def test_the_layer_holds_the_packages_and_the_loaders_cache(world: World) -> None:
    base = world.add("libgl1")
    files = {entry.path for entry in base.layers[-1].entries if entry.kind == "file"}
    status = {f"var/lib/dpkg/status.d/{name}" for name in ("libgl1", "libx11-6")}
    assert files == {f"{LIBRARIES}/libGL.so.1", f"{LIBRARIES}/libX11.so.6", "etc/ld.so.cache", *status}


def test_a_locked_layer_asks_nobody(world: World) -> None:
    first = world.add("libgl1")
    world.server.asked.clear()
    again = world.add("libgl1", supply=Supply(now=world.supply.now, offline=True, locked=True))
    assert again.layers == first.layers
    assert world.server.paths == []


def test_the_same_packages_are_the_same_layer(world: World, tmp_path: Path) -> None:
    first = world.add("libgl1").layers[-1]
    world.store = Store(tmp_path / "other")
    assert world.add("libgl1").layers[-1].diff_id == first.diff_id


def test_other_packages_make_a_new_lock_unless_it_is_locked(world: World) -> None:
    world.add("libx11-6")
    with pytest.raises(StaleLock):
        world.add("libgl1", supply=Supply(now=world.supply.now, locked=True))
    world.add("libgl1")
    assert read_extra_lock(world.lock).requested == ("libgl1",)


def test_without_a_lock_locked_and_offline_say_so(world: World) -> None:
    with pytest.raises(StaleLock):
        world.add("libgl1", supply=Supply(now=world.supply.now, locked=True))
    with pytest.raises(PackageUnavailable):
        world.add("libgl1", supply=Supply(now=world.supply.now, offline=True))


@pytest.mark.parametrize(
    ("packages", "why"),
    [
        (["libscripted1"], "its postinst script would have to run"),
        (["settings", "libglib2.0-0"], "would do something about /usr/share/glib-2.0/schemas/a.xml"),
        (["libneedy1"], "in none of"),
        (["liborphan1"], r"liborphan1 1.0-1: .* needs libunheard\.so\.7, and no package known here brings it"),
        (["nothing"], "in none of"),
    ],
)
def test_a_package_that_cannot_be_put_there_is_refused(world: World, packages: list[str], why: str) -> None:
    with pytest.raises(PackageError, match=why):
        world.add(*packages)
    assert not world.lock.exists()


def test_a_file_of_the_base_is_not_replaced(world: World) -> None:
    with pytest.raises(PathConflict, match=r"/usr/bin/python3\.11"):
        world.add("clash")


def test_a_script_that_does_nothing_here_is_no_reason(world: World) -> None:
    assert f"{LIBRARIES}/libglib-2.0.so.0" in world.add("libglib2.0-0").tree


def test_a_damaged_lock_is_stale(world: World) -> None:
    for text in ("", "{}", '{"schema": 9}'):
        world.lock.write_text(text)
        with pytest.raises(StaleLock):
            world.add("libgl1")


@pytest.mark.parametrize("machine", ["the same", "another"])
def test_an_index_older_than_one_used_before_adds_no_package(world: World, tmp_path: Path, machine: str) -> None:
    write_suite(tmp_path / "mirror", "debian", "bookworm", [*small_base(), *DEBS], date=int(time.time()) + 60)
    world.add("libmagic1")
    write_suite(tmp_path / "mirror", "debian", "bookworm", [*small_base(), *DEBS])
    if machine == "another":
        # Only the lock beside the recipe came along.
        world.store = Store(tmp_path / "another")
    with pytest.raises(PackageUnavailable, match=r"before (?:one seen before|the lock's own index)"):
        world.add("libgl1")
