"""More packages over a base: by what links to what, locked, in a layer of their own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.bases import Base, Supply, WantedPackages, open_base, update_base, update_libraries, with_packages
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


CHOOSE = b"""#!/bin/sh
set -e
if [ "$1" = configure ]; then
    update-alternatives --install /usr/bin/choice choice /usr/bin/NAME 50
fi
"""
BLAS = f"""#!/bin/sh
update-alternatives --install /{LIBRARIES}/libblas.so.3 libblas.so.3 /{LIBRARIES}/blas/libblas.so.3 10
""".encode()
EVERYTHING = [
    *("etc/default/everything", "usr/games/everything", "usr/include/everything.h", "usr/share/base-passwd/everything"),
    *("usr/share/doc/everything/README", "usr/share/doc/everything/copyright", "usr/share/locale/de/everything.mo"),
    *("usr/share/locale/locale.alias", "usr/share/man/man1/everything.1", "usr/src/everything.c"),
]
DEBS = [
    library("libgl1", "libGL.so.1", "libX11.so.6", depends="libx11-6, libgl-drivers, libc6"),
    Deb(name="libgl-drivers", files={"usr/lib/drivers": b"x"}),
    library("libcareless1", "libcareless.so.1", "libX11.so.6"),
    Deb(name="tool", files={"usr/bin/tool": b"x"}, depends="debconf (>= 1) | debconf-2, libmagic-mgc, font-config"),
    Deb(name="debconf", files={"usr/bin/debconf": b"x"}),
    Deb(name="everything", files=dict.fromkeys(EVERYTHING, b"x")),
    Deb(name="giver", files={"usr/share/taken": b"giver's"}),
    Deb(name="taker", replaces="giver (<< 2)", files={"usr/share/taken": b"taker's"}),
    Deb(name="thief", replaces="giver (<< 1)", files={"usr/share/taken": b"thief's"}),
    Deb(name="python-is-python3", files={"usr/bin/python": "-> python3"}),
    library("libx11-6", "libX11.so.6"),
    library("libneedy1", "libneedy.so.1", "libgone.so.1"),
    library("liborphan1", "liborphan.so.1", "libunheard.so.7"),
    library("libscripted1", "libscripted.so.1", scripts={"postinst": b"#!/bin/sh\nchpasswd x\n"}),
    library("libglib2.0-0", "libglib-2.0.so.0", scripts={"postinst": b"#!/bin/sh\nglib-compile-schemas\n"}),
    Deb(name="settings", files={"usr/share/glib-2.0/schemas/a.xml": b"<x/>"}),
    library("libmagic1", "libmagic.so.1", source="file", depends="libmagic-mgc (= 1.0-1)"),
    Deb(name="libmagic-mgc", source="file", files={"usr/lib/file/magic.mgc": b"data"}),
    Deb(name="font-config", files={"etc/font": b"x"}, scripts={"postinst": b"#!/bin/sh\nmake-fonts\n"}),
    Deb(
        name="chosen",
        files={"usr/bin/chosen": b"x"},
        scripts={"postinst": CHOOSE.replace(b"NAME", b"chosen") + b"mkdir -m 750 -p /var/lib/chosen\n"},
    ),
    Deb(
        name="other-choice",
        files={"usr/bin/other": b"x"},
        scripts={"postinst": CHOOSE.replace(b"NAME 50", b"other 20")},
    ),
    library("libwanting1", "libwanting.so.1", "libblas.so.3", depends="libblas3"),
    Deb(
        name="libblas3",
        files={f"{LIBRARIES}/blas/libblas.so.3": make_elf(ElfSpec(machine=HOST.machine, soname="libblas.so.3"))},
        scripts={"postinst": BLAS},
    ),
    Deb(
        name="waiting",
        files={"usr/share/waiting": b"x", "var/": b""},
        scripts={
            "triggers": b"interest-noawait called\ninterest /usr/share/things # files\ninterest never\n",
            "postinst": b"#!/bin/sh\n[ $1 = triggered ] || exit 0\nfor x in $2; do touch /var/waited-${x##*/}; done\n",
        },
    ),
    Deb(
        name="calling",
        files={"usr/share/things/a": b"x"},
        scripts={"postinst": b"#!/bin/sh\ndpkg-trigger --no-await called\n"},
    ),
    Deb(name="clash", files={"usr/bin/python3.11": b"another\n"}),
]


@dataclass
class World:
    base: Base
    supply: Supply
    lock: Path
    server: WebServer
    store: Store

    said: list[str] = field(default_factory=list)

    def add(
        self, *packages: str, supply: Supply | None = None, keep: Sequence[str] = (), drop: Sequence[str] = ()
    ) -> Base:
        """The base with ``packages``; ``keep`` and ``drop`` are globs of their files."""
        wanted = WantedPackages(names=packages, keep=tuple(keep), drop=tuple(drop))
        how, self.said = supply or self.supply, []
        return with_packages(self.base, wanted, lock=self.lock, supply=how, store=self.store, reporter=Heard(self.said))

    def left_out(self) -> dict[str, tuple[str, ...]]:
        """What the lock says is not there, and who would have it."""
        return {name: each.wanted_by for name, each in read_extra_lock(self.lock).left_out.items()}


class Heard(Quiet):
    """A reporter whose notes are kept."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def note(self, line: str) -> None:
        """Keep it."""
        self._notes.append(line)


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


def test_what_a_package_depends_on_comes_along(world: World) -> None:
    base = world.add("libgl1")
    assert [pin.name for pin in read_extra_lock(world.lock).packages] == ["libgl-drivers", "libgl1", "libx11-6"]
    assert base.layers[-1].holds == ("libgl-drivers 1.0-1", "libgl1 1.0-1", "libx11-6 1.0-1")
    assert f"{LIBRARIES}/libX11.so.6" in base.tree and "usr/lib/drivers" in base.tree


def test_what_is_left_out_is_said_by_every_build_and_has_its_reason_in_the_lock(world: World) -> None:
    for _ in range(2):
        world.add("tool")
        lines = [line for line in world.said if "left out" in line]
        assert lines == [
            "tiny: debconf is left out, though tool depends on it: only maintainer scripts use it",
            "tiny: font-config is left out, though tool depends on it: its postinst script would have to run, line 2, "
            "'make-fonts': what make-fonts does is not known",
        ]
    lock = read_extra_lock(world.lock)
    assert [pin.name for pin in lock.packages] == ["libmagic-mgc", "tool"]
    assert lock.left_out["debconf"].reason == "only maintainer scripts use it"


def test_what_was_left_out_comes_when_it_is_named(world: World) -> None:
    base = world.add("tool", "debconf")
    assert "usr/bin/debconf" in base.tree
    assert world.left_out() == {"font-config": ("tool",)}


def test_what_a_library_links_to_comes_along_though_nobody_depends_on_it(world: World) -> None:
    world.add("libcareless1")
    assert [pin.name for pin in read_extra_lock(world.lock).packages] == ["libcareless1", "libx11-6"]


def test_a_lock_of_before_is_followed_and_says_what_it_lacks(world: World) -> None:
    world.add("libx11-6")
    lock = json.loads(world.lock.read_text())
    lock |= {"schema": 1, "left_out": {"libx11-6": ["libx11-data (>= 2)", "libxcb1"]}}
    world.lock.write_text(json.dumps(lock))
    world.add("libx11-6")
    assert read_extra_lock(world.lock).left_out["libx11-data"].wanted_by == ("libx11-6",)
    assert [line.partition(": ")[2].partition(",")[0] for line in world.said] == [
        "libx11-data is left out",
        "libxcb1 is left out",
    ]


def test_of_an_added_package_only_documentation_and_translations_are_dropped(world: World) -> None:
    base = world.add("everything")
    assert [path for path in EVERYTHING if path in base.tree] == [
        *("etc/default/everything", "usr/games/everything", "usr/include/everything.h"),
        *("usr/share/base-passwd/everything", "usr/share/doc/everything/copyright"),
        *("usr/share/locale/locale.alias", "usr/src/everything.c"),
    ]
    assert "usr/share/man" not in base.tree


def test_a_recipe_says_what_else_stays_and_what_else_goes(world: World) -> None:
    base = world.add("everything", keep=["/usr/share/man/*", "usr/share/doc/every*/README"], drop=["/usr/share/*"])
    assert [path for path in EVERYTHING if path in base.tree] == [
        *("etc/default/everything", "usr/games/everything", "usr/include/everything.h"),
        *("usr/share/doc/everything/README", "usr/share/man/man1/everything.1", "usr/src/everything.c"),
    ]
    again = world.add("everything")
    assert again.layers[-1].diff_id != base.layers[-1].diff_id


def test_a_named_package_of_the_base_brings_what_the_base_left_out_of_it(world: World) -> None:
    base = world.add("base-passwd")
    assert "usr/share/base-passwd/passwd.master" not in world.base.tree
    assert "usr/share/base-passwd/passwd.master" in base.tree
    files = [entry.path for entry in base.layers[-1].entries if entry.kind == "file"]
    assert "var/lib/dpkg/status.d/base-passwd" not in files


def test_a_file_of_two_packages_is_that_of_the_one_that_replaces_the_other(world: World) -> None:
    base = world.add("taker", "giver")
    taken = base.tree.get("usr/share/taken")
    assert taken is not None and taken.origin == "taker 1.0-1"
    with pytest.raises(PathConflict, match="usr/share/taken"):
        world.add("thief", "giver")


def test_a_link_that_leads_where_the_base_has_it_is_no_conflict(world: World) -> None:
    base = world.add("python-is-python3")
    link = base.tree.get("usr/bin/python")
    assert link is not None and link.target == "python3.11"


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
    assert base.layers[-1].holds == ("libgl-drivers 1.0-1", "libgl1 1.0-1", "libx11-6 1.0-1+deb12u1")
    (pin,) = [pin for pin in read_extra_lock(world.lock).packages if pin.name == "libx11-6"]
    assert (pin.archive, pin.suite) == ("debian-security", "bookworm-security")


def test_the_layer_holds_the_packages_and_the_loaders_cache(world: World) -> None:
    base = world.add("libgl1")
    files = {entry.path for entry in base.layers[-1].entries if entry.kind == "file"}
    status = {f"var/lib/dpkg/status.d/{name}" for name in ("libgl1", "libgl-drivers", "libx11-6")}
    assert files == {
        "usr/lib/drivers",
        f"{LIBRARIES}/libGL.so.1",
        f"{LIBRARIES}/libX11.so.6",
        "etc/ld.so.cache",
        *status,
    }


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
        (
            ["libscripted1"],
            r"libscripted1 1\.0-1: its postinst script would have to run, line 2, 'chpasswd x': what chpasswd",
        ),
        (["settings", "libglib2.0-0"], "it would compile the settings in /usr/share/glib-2.0/schemas"),
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


def test_what_a_script_would_make_is_made_and_nothing_is_run(world: World) -> None:
    base = world.add("chosen", "other-choice")
    link = base.tree.get("usr/bin/choice")
    assert link is not None and link.target == "/etc/alternatives/choice"
    assert base.tree.resolve("usr/bin/choice") == "usr/bin/chosen"
    made = base.tree.get("var/lib/chosen")
    assert made is not None and (made.mode, made.origin) == (0o750, "chosen 1.0-1")
    world.store = Store(world.lock.parent / "again")
    assert world.add("chosen", "other-choice").layers[-1].diff_id == base.layers[-1].diff_id


def test_a_script_is_walked_once_more_for_a_trigger_at_the_end(world: World) -> None:
    base = world.add("waiting", "calling")
    waited = {path for path in base.tree.paths if path.startswith("var/waited")}
    assert waited == {"var/waited-called", "var/waited-things"}


def test_a_link_that_a_script_makes_is_where_libraries_are_found(world: World) -> None:
    base = world.add("libwanting1")
    assert base.tree.resolve(f"{LIBRARIES}/libblas.so.3") == f"{LIBRARIES}/blas/libblas.so.3"


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
