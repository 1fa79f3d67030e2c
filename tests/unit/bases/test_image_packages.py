"""Debian packages over images made elsewhere: what is installed there is the ground, and dpkg's list has them all."""

from __future__ import annotations

import re
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from oci_builder.bases import Archives, Base, Supply, WantedPackages, archives_of, open_base, with_packages
from oci_builder.debian.control import stanza
from oci_builder.debian.extralock import read_extra_lock
from oci_builder.debian.recipe import Suite
from oci_builder.errors import PackageError, PathConflict, StaleLock
from oci_builder.platforms import AMD64, ARM64, Platform
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind
from tests.support.archives import make_tar, member
from tests.support.debian import Deb, public_key, small_base, write_layer_folder, write_suite
from tests.support.elves import ElfSpec, make_elf
from tests.support.imported import Member, config_of, files, save_layout, save_like_old_docker
from tests.support.webserver import WebServer, serving

RELEASE = b'ID=debian\nVERSION_ID="12"\nVERSION="12 (bookworm)"\n'
LIBC = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 2.36-9\n"
WEB = "Package: web\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0-1\nConffiles:\n /etc/web 0123\n"
GONE = "Package: tool\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 0.1-1\n"
FOREIGN = "Package: extra\nStatus: install ok installed\nArchitecture: i386\nVersion: 9-1\n"
PASSWD = b"root:x:0:0::/root:/bin/sh\ntaken:x:100:101::/:/bin/sh\n"
WAITS = b"interest-noawait /usr/share/things\n"
WAKES = b'#!/bin/sh\n[ "$1" = triggered ] || exit 0\ntouch /var/lib/woken\n'
CHOOSE = b"""#!/bin/sh
set -e
update-alternatives --install /usr/bin/choice choice /usr/bin/better 90 --slave /usr/share/choice.1 choice.1 /nowhere
"""
USER = b"#!/bin/sh\nadduser --system --group daemonic\n"
ASKS = b'#!/bin/sh\n. /usr/share/debconf/confmodule\ndb_get asks/place\nmkdir "$RET"\n'
TEMPLATES = b"Template: asks/place\nType: string\nDefault: /var/lib/usual\n"
OLD_CHOICE = b"%s\n/usr/bin/choice\nchoice.1\n/usr/share/choice.1\n\n/usr/bin/good\n50\n/usr/share/good.1\n\n"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
DEBS = [
    Deb(
        name="tool",
        files={"usr/bin/tool": b"x", "etc/tool": b"y", "bin/early": b"z"},
        depends="libc6 (>= 2.30), extra",
        scripts={"conffiles": b"/etc/tool\n", "prerm": b"#!/bin/sh\n"},
    ),
    Deb(name="extra", files={"usr/share/extra": b"x"}),
    Deb(name="newer", depends="libc6 (>= 2.37)"),
    Deb(name="exact", depends="needs-newer"),
    Deb(name="needs-newer", depends="web (= 2.0-1)"),
    Deb(name="web", version="2.0-1", files={"usr/bin/web": b"2"}),
    Deb(name="thief", files={"usr/bin/web": b"x"}),
    Deb(name="heir", files={"usr/bin/web": b"heir's"}, replaces="web (<< 2)"),
    Deb(
        name="handmade", files={"usr/bin/handmade": b"p", "etc/handmade": b"p"}, scripts={"conffiles": b"/etc/handmade"}
    ),
    Deb(name="moved", files={"usr/bin/away": b"moved's"}),
    Deb(name="mover", files={"usr/bin/away": b"mover's"}),
    Deb(name="strict", files={"usr/bin/strict": b"x"}),
    Deb(name="better", files={"usr/bin/better": b"x"}, scripts={"postinst": CHOOSE}),
    Deb(name="daemonic", files={"usr/bin/d": b"x"}, scripts={"postinst": USER}),
    Deb(name="things", files={"usr/share/things/a": b"x"}),
    Deb(name="asks", scripts={"postinst": ASKS, "templates": TEMPLATES}),
    Deb(name="papers", files={"usr/share/papers/a": b"x", "usr/share/papers/keep": b"x", "usr/share/man/man1/x": b"x"}),
    Deb(name="scripted", depends="python3, debconf", files={"usr/bin/scripted": b"x"}),
    Deb(name="python3", files={"usr/bin/python3": b"x"}),
    Deb(name="debconf", files={"usr/bin/debconf": b"x"}),
    Deb(
        name="liblinked1",
        files={f"{LIBRARIES}/liblinked.so.1": make_elf(ElfSpec(soname="liblinked.so.1", needed=("libc.so.6",)))},
    ),
    Deb(
        name="waits",
        files={"usr/bin/waits": b"x"},
        scripts={"triggers": b"interest /usr/share/things\ninterest call\n"},
    ),
]


def debian(*more: Member | tuple[str, bytes] | tuple[str, str], status: str = "", merged: bool = True) -> list[Member]:
    """A small Debian 12 with dpkg's own list, and libc."""
    links: list[tuple[str, str]] = [(name, f"usr/{name}") for name in ("bin", "lib", "sbin")] if merged else []
    libc = make_elf(ElfSpec(soname="libc.so.6"))
    return files(
        *links,
        ("etc/os-release", RELEASE),
        ("etc/passwd", PASSWD),
        ("etc/group", b"root:x:0:\ntaken:x:101:\n"),
        (f"{LIBRARIES}/libc.so.6", libc),
        ("usr/lib/broken", make_elf(ElfSpec(needed=("libnowhere.so.1",)))),
        ("usr/bin/web", b"1"),
        ("var/lib/dpkg/status", "\n".join([LIBC, WEB, GONE, FOREIGN, *([status] if status else [])]).encode()),
        ("var/lib/dpkg/info/web.list", b"/.\n/usr\n/usr/bin\n/bin/web\n" if merged else b"/usr/bin/web\n"),
        *more,
    )


@dataclass
class World:
    """A mirror with packages, a folder of layers that knows its keys, and bases that are made as they are asked for."""

    server: WebServer
    folder: Path
    store: Store
    layers: list[Path]
    said: list[str] = field(default_factory=list)

    def base(self, *layers: Sequence[Member], platform: Platform = AMD64) -> Base:
        """An image of these layers, saved as docker does, read."""
        tars = [make_tar(*members) for members in layers]
        config = {**config_of(tars), "architecture": platform.architecture}
        config |= {"variant": platform.variant} if platform.variant else {}
        path = save_like_old_docker(self.folder / "image.tar", tars, config)
        return open_base(path, platform, store=self.store, reporter=Quiet())

    def add(self, base: Base, *names: str, lock: str = "base.lock.json", **more: object) -> Base:
        """The base with packages of the mirror."""
        self.said = []
        wanted = WantedPackages(names=names, archives=archives_of(base, self.layers, wanted=names[0]))
        supply = Supply(now=int(time.time()), mirrors=(self.server.url,), **more)  # type: ignore[arg-type]
        return with_packages(
            base, wanted, lock=self.folder / lock, supply=supply, store=self.store, reporter=Heard(self.said)
        )

    def read(self, base: Base, path: str) -> str:
        """A file of a base."""
        entry = base.tree.get(base.tree.resolve(path))
        assert entry is not None and entry.content is not None, path
        with MappedFiles() as sources:
            return sources.read(entry.content, what=path).decode()

    def status(self, base: Base) -> Mapping[str, Mapping[str, str]]:
        """What dpkg's list says, by name and architecture."""
        found = [stanza(text) for text in self.read(base, "var/lib/dpkg/status").split("\n\n") if text]
        return {f"{each['package']}:{each['architecture']}": each for each in found}


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
    with serving(tmp_path / "mirror") as server:
        write_suite(tmp_path / "mirror", "debian", "bookworm", DEBS)
        write_suite(tmp_path / "mirror", "debian-security", "bookworm-security", [])
        yield World(server, tmp_path, store, [write_layer_folder(tmp_path / "tiny", small_base())])


def test_the_layers_of_the_image_stay_and_the_packages_are_one_above(world: World) -> None:
    base = world.base(debian(), files(("srv/own", b"mine")))
    found = world.add(base, "tool")
    assert found.layers[:2] == base.layers and len(found.layers) == 3
    assert found.layers[2].holds == ("extra 1.0-1", "tool 1.0-1")
    assert found.layers[2].created_by == "ocibuild packages: tool"


def test_dpkgs_list_has_the_old_and_the_new_in_its_own_order_and_words(world: World) -> None:
    found = world.add(world.base(debian()), "tool")
    status = world.status(found)
    assert list(status) == ["extra:all", "extra:i386", "libc6:amd64", "tool:all", "web:all"]
    assert world.read(found, "var/lib/dpkg/status").endswith(f"{WEB}\n")
    assert status["tool:all"] == {
        "package": "tool",
        "status": "install ok installed",
        "architecture": "all",
        "version": "1.0-1",
        "depends": "libc6 (>= 2.30), extra",
        "conffiles": "\n/etc/tool 415290769594460e2e485922904f345d",
    }
    listed = world.read(found, "var/lib/dpkg/info/tool.list")
    assert listed == "/.\n/usr/bin/tool\n/etc/tool\n/bin/early\n"
    prerm = found.tree.get("var/lib/dpkg/info/tool.prerm")
    assert prerm is not None and prerm.kind is Kind.FILE and "var/lib/dpkg/info/tool.conffiles" in found.tree


def test_what_several_machines_may_have_is_called_by_its_machine(world: World) -> None:
    same = Deb(name="same", architecture="amd64", files={"usr/share/same": b"x"})
    text = same.control
    object.__setattr__(same, "depends", "libc6\nMulti-Arch: same")
    assert same.control != text
    write_suite(world.folder / "mirror", "debian", "bookworm", [same])
    found = world.add(world.base(debian()), "same")
    assert "var/lib/dpkg/info/same:amd64.list" in found.tree


def test_who_waits_for_triggers_is_written_down_for_dpkg(world: World) -> None:
    base = world.base(debian(("var/lib/dpkg/triggers/File", b"/usr/share/old web\n")))
    found = world.add(base, "waits")
    assert world.read(found, "var/lib/dpkg/triggers/File") == "/usr/share/old web\n/usr/share/things waits\n"
    assert world.read(found, "var/lib/dpkg/triggers/call") == "waits\n"


def test_what_is_installed_stays_and_what_needs_a_newer_one_names_both(world: World) -> None:
    base = world.base(debian())
    with pytest.raises(PackageError, match=r"newer 1\.0-1: it needs libc6 \(>= 2\.37\): libc6 is 2\.36-9 there"):
        world.add(base, "newer")
    why = r"exact 1\.0-1: it needs needs-newer, which needs web \(= 2\.0-1\): web 1\.0-1 is there already"
    with pytest.raises(PackageError, match=why):
        world.add(base, "exact")


def test_what_is_there_already_makes_no_layer(world: World) -> None:
    base = world.base(debian())
    assert world.add(base, "web").layers == base.layers
    assert "image.tar: has web already, as it is" in world.said


def test_a_newer_layer_of_the_image_says_what_is_installed(world: World) -> None:
    upper = files((".wh.etc", b""), ("var/lib/dpkg/status", (LIBC + "\n" + WEB.replace("1.0-1", "2.0-1")).encode()))
    upper = [each for each in upper if not each[0].name.startswith(".wh.")]
    base = world.base(debian(), upper)
    assert "exact:all" in world.status(world.add(base, "exact"))


@pytest.mark.parametrize(("merged", "place"), [(True, "usr/bin/early"), (False, "bin/early")])
def test_files_lie_where_the_links_of_the_base_lead(world: World, merged: bool, place: str) -> None:
    found = world.add(world.base(debian(merged=merged)), "tool")
    assert place in found.layers[-1].tree(world.store).paths
    link = found.tree.get("bin")
    assert link is not None and link.kind is (Kind.SYMLINK if merged else Kind.DIRECTORY)


def test_what_was_diverted_is_diverted_but_for_whom_it_was(world: World) -> None:
    told = b"/usr/bin/away\n/usr/bin/away.real\nmover\n"
    base = world.base(debian(("var/lib/dpkg/diversions", told)))
    found = world.add(base, "moved", "mover")
    assert (world.read(found, "usr/bin/away"), world.read(found, "usr/bin/away.real")) == ("mover's", "moved's")
    assert "/usr/bin/away\n" in world.read(found, "var/lib/dpkg/info/moved.list")


def test_a_mode_and_an_owner_that_were_asked_for_hold(world: World) -> None:
    base = world.base(debian(("var/lib/dpkg/statoverride", b"taken #7 2750 /bin/strict\n")))
    entry = world.add(base, "strict").tree.get("usr/bin/strict")
    assert entry is not None and (entry.uid, entry.gid, entry.mode) == (100, 7, 0o2750)


@pytest.mark.parametrize(("mode", "target"), [(b"auto", "/usr/bin/better"), (b"manual", "/usr/bin/good")])
def test_alternatives_of_the_base_go_on_and_those_chosen_by_hand_stay(world: World, mode: bytes, target: str) -> None:
    base = world.base(
        debian(
            ("usr/bin/good", b"x"),
            ("usr/bin/choice", "/etc/alternatives/choice"),
            ("etc/alternatives/choice", "/usr/bin/good"),
            ("usr/share/choice.1", "/etc/alternatives/choice.1"),
            ("etc/alternatives/choice.1", "/usr/share/good.1"),
            ("usr/share/good.1", b"x"),
            ("var/lib/dpkg/alternatives/choice", OLD_CHOICE % mode),
        )
    )
    found = world.add(base, "better")
    link = found.tree.get("etc/alternatives/choice")
    assert link is not None and link.target == target
    state = world.read(found, "var/lib/dpkg/alternatives/choice").split("\n")
    assert state == [
        *(mode.decode(), "/usr/bin/choice", "choice.1", "/usr/share/choice.1", ""),
        *("/usr/bin/better", "90", "/nowhere", "/usr/bin/good", "50", "/usr/share/good.1", "", ""),
    ]
    page = found.tree.get("usr/share/choice.1")
    assert page is not None and page.target == "/etc/alternatives/choice.1"


def test_a_new_user_has_the_first_number_that_the_base_has_free(world: World) -> None:
    found = world.add(world.base(debian()), "daemonic")
    assert world.read(found, "etc/passwd").splitlines()[-1].startswith("daemonic:x:101:100:")


def test_a_package_of_the_base_that_waits_for_files_is_woken(world: World) -> None:
    scripts = [("var/lib/dpkg/info/web.triggers", WAITS), ("var/lib/dpkg/info/web.postinst", WAKES)]
    base = world.base(debian(*scripts))
    assert "var/lib/woken" in world.add(base, "things").tree
    assert "var/lib/woken" not in world.add(base, "extra").tree
    bad = [scripts[0], ("var/lib/dpkg/info/web.postinst", b"#!/bin/sh\nmake-fonts\n")]
    with pytest.raises(PackageError, match=r"web 1\.0-1: the base has it, and what comes wakes it: .*make-fonts"):
        world.add(world.base(debian(*bad)), "things")


def test_what_debconf_was_told_in_the_base_is_the_answer(world: World) -> None:
    assert "var/lib/usual" in world.add(world.base(debian()), "asks").tree
    told = b"Name: asks/place\nTemplate: asks/place\nValue: /var/lib/told\nOwners: asks\n"
    base = world.base(debian(("var/cache/debconf/config.dat", told)))
    assert "var/lib/told" in world.add(base, "asks").tree


def test_files_of_nobody_give_way_and_configuration_of_nobody_stays(world: World) -> None:
    base = world.base(debian(("usr/bin/handmade", b"by hand"), ("etc/handmade", b"by hand")))
    found = world.add(base, "handmade")
    assert (world.read(found, "usr/bin/handmade"), world.read(found, "etc/handmade")) == ("p", "by hand")


def test_a_file_of_the_bases_package_goes_only_to_who_replaces_it(world: World) -> None:
    base = world.base(debian())
    with pytest.raises(PathConflict, match=r"/usr/bin/web: both web 1\.0-1 and thief 1\.0-1|web 1\.0-1"):
        world.add(base, "thief")
    assert world.read(world.add(base, "heir"), "usr/bin/web") == "heir's"


def test_what_dpkg_was_told_to_leave_out_is_left_out(world: World) -> None:
    told = b"# docker\npath-exclude /usr/share/papers/*\npath-include=/usr/share/papers/keep\n"
    base = world.base(debian(("etc/dpkg/dpkg.cfg.d/docker", told)))
    papers = [path for path in world.add(base, "papers").tree.paths if "papers/" in path and "info" not in path]
    assert papers == ["usr/share/papers/keep"]


def test_what_is_broken_in_the_base_is_not_ours_to_judge(world: World) -> None:
    assert f"{LIBRARIES}/liblinked.so.1" in world.add(world.base(debian()), "liblinked1").tree


def test_over_dpkg_nothing_is_cut_and_without_it_what_only_scripts_use(world: World) -> None:
    assert {"debconf:all", "python3:all"} <= world.status(world.add(world.base(debian()), "scripted")).keys()
    bare = world.base(distroless())
    found = world.add(bare, "scripted", lock="bare.json")
    assert [pin.name for pin in read_extra_lock(world.folder / "bare.json").packages] == ["python3", "scripted"]
    assert "usr/bin/debconf" not in found.tree


def distroless() -> list[Member]:
    """A root filesystem without dpkg, with a file for each package, and folders in the place of usrmerge's links."""
    known = LIBC.replace("Status: install ok installed\n", "")
    return files(
        ("usr/lib/os-release", b'PRETTY_NAME="Distroless"\nID="debian"\nVERSION_ID="12"\n'),
        ("lib/x86_64-linux-gnu/libc.so.6", make_elf(ElfSpec(soname="libc.so.6"))),
        ("bin/busybox", b"x"),
        ("var/lib/dpkg/status.d/libc6", known.encode()),
    )


def test_without_dpkg_each_package_has_a_file_as_those_of_the_base_have(world: World) -> None:
    found = world.add(world.base(distroless()), "tool")
    names = [path.rpartition("/")[2] for path in found.tree.paths if path.startswith("var/lib/dpkg/")]
    assert names == ["status.d", "extra", "libc6", "tool"]
    assert "bin/early" in found.tree and "usr/bin/early" not in found.tree and "etc/ld.so.cache" not in found.tree


def test_an_image_for_another_machine_gets_packages_of_that_machine(world: World) -> None:
    members = [(info, data.replace(b"amd64", b"arm64")) for info, data in debian()]
    found = world.add(world.base(members, platform=ARM64), "tool")
    assert (
        "tool:all" in world.status(found) and read_extra_lock(world.folder / "base.lock.json").architecture == "arm64"
    )


def test_a_lock_is_of_the_very_layers_and_another_image_makes_another(world: World) -> None:
    base = world.base(debian())
    first = world.add(base, "tool")
    world.server.asked.clear()
    assert world.add(base, "tool", offline=True, locked=True).layers == first.layers
    assert world.server.paths == []
    other = world.base(debian(), files(("srv/own", b"mine")))
    with pytest.raises(StaleLock, match="another base"):
        world.add(other, "tool", locked=True)
    assert read_extra_lock(world.folder / "base.lock.json").base == str(base.layers[0].diff_id)
    # The same layers in another form are the same ground.
    tars = [make_tar(*debian())]
    layout = open_base(
        save_layout(world.folder / "layout", tars, config_of(tars)), AMD64, store=world.store, reporter=Quiet()
    )
    assert world.add(layout, "tool", offline=True, locked=True).layers[-1] == first.layers[-1]


APK = files(("etc/os-release", b'ID=alpine\nPRETTY_NAME="Alpine Linux v3.20"\n'), ("lib/apk/db/installed", b"P:musl\n"))
RPM = files(("etc/os-release", b"ID=fedora\nNAME=Fedora\nVERSION_ID=40\n"), ("var/lib/rpm/rpmdb.sqlite", b"x"))
PACMAN = files(("etc/os-release", b"ID=arch\nNAME=Arch\n"), ("var/lib/pacman/local/x/desc", b"x"))
UBUNTU = b'ID=ubuntu\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\nPRETTY_NAME="Ubuntu 22.04.4 LTS"\n'
HALF = debian(status="Package: half\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n")
REFUSED = [
    (APK, r"image\.tar is Alpine Linux v3\.20, whose packages are apk's", "apk add"),
    (RPM, "is Fedora 40, whose packages are rpm's", "dnf install"),
    (PACMAN, "pacman's", "pacman -S"),
    (files(("usr/bin/x", b"x")), "no list of packages", "python-3.11"),
    (debian(("etc/os-release", UBUNTU)), r"is Ubuntu 22\.04\.4 LTS, and no base", r'suites = \["ubuntu/jammy"\]'),
    (debian(("etc/os-release", b"")), "of no distribution that it names", "suites = "),
    (HALF, "half: the base has it half-configured", "dpkg --audit"),
]


@pytest.mark.parametrize(("members", "why", "hint"), REFUSED)
def test_a_base_that_is_no_whole_debian_is_refused_with_what_to_do(
    world: World, members: list[Member], why: str, hint: str
) -> None:
    base = world.base(members)
    with pytest.raises(PackageError, match=why) as caught:
        world.add(base, "tool")
    assert caught.value.hint is not None
    assert re.search(hint, caught.value.hint)


def test_nothing_is_no_debian(world: World) -> None:
    base = open_base(None, AMD64, store=world.store, reporter=Quiet())
    with pytest.raises(PackageError, match="scratch is empty"):
        world.add(base, "tool")


def test_suites_and_keys_that_somebody_names_serve_a_release_that_nobody_knows(world: World) -> None:
    debs = [Deb(name="tool", files={"usr/bin/tool": b"x"})]
    write_suite(world.folder / "mirror", "ubuntu", "jammy-updates", debs, more="Suite: jammy-updates\n")
    index = world.folder / "mirror" / "ubuntu" / "dists" / "jammy-updates" / "InRelease"
    assert b"Codename: jammy-updates" in index.read_bytes()
    (world.folder / "keys.gpg").write_bytes(public_key())
    base = world.base(debian(("etc/os-release", UBUNTU)))
    archives = Archives(suites=(Suite.parse("ubuntu/jammy-updates"),), keys=(world.folder / "keys.gpg",))
    wanted = WantedPackages(names=("tool",), archives=archives)
    supply = Supply(now=int(time.time()), mirrors=(world.server.url,))
    found = with_packages(
        base, wanted, lock=world.folder / "u.json", supply=supply, store=world.store, reporter=Quiet()
    )
    assert "tool:all" in world.status(replace(found))
    (pin,) = read_extra_lock(world.folder / "u.json").packages
    assert (pin.archive, pin.suite) == ("ubuntu", "jammy-updates")


def test_an_odd_path_in_dpkgs_lists_is_no_reason_to_fail(world: World) -> None:
    odd = [member("var/lib/dpkg/info/libc6:amd64.list", data=b"/usr/bin/caf\xe9\n\n/\n")]
    odd.append(member("usr/round", tarfile.SYMTYPE, target="round"))
    base = world.base(
        debian(
            *odd,
            (
                "var/lib/dpkg/diversions",
                b"/usr/round/x\n/usr/round/y\n:\n/usr/bin/tool\n/usr/bin/.wh.x\n:\n/..\n/\n:\nrest",
            ),
        )
    )
    assert "usr/bin/tool" in world.add(base, "tool").tree
