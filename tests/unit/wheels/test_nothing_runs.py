"""Nothing of a package runs on the host: each way to build code, with a canary, by every command that resolves."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.canary import STEM, WHEEL, Canary
from tests.support.index import serve_index
from tests.support.tiny import NAME, Ending, Tiny, make_tiny
from tests.support.webserver import WebServer, serving
from tests.support.wheels import make_wheel, sha256

Way = Callable[["Trap"], None]


class Trap:
    """A project of the user's into which a way leads; ``server`` serves what lies in ``outside``."""

    def __init__(self, tiny: Tiny, outside: Path, server: WebServer) -> None:
        self.tiny, self.outside, self.server = tiny, outside, server
        self.canary = Canary(outside / "witness")
        self.flags: tuple[str, ...] = ()

    def needs(self, requirement: str) -> None:
        """Let the user ask for a wheel that asks for ``requirement``."""
        make_wheel(self.tiny.wheels, "good", "1.0", requires=[requirement])
        self.tiny.require("good==1.0")

    def lock(self, **wheel: str) -> None:
        """A lock of somebody else's, which names evil 1.0; ``direct`` goes into our own table."""
        direct = wheel.pop("direct", None)
        packed = self.canary.archive(self.outside / f"{STEM}.tar.gz")
        lines = ['lock-version = "1.0"', 'created-by = "x"', "[[packages]]", 'name = "evil"', 'version = "1.0"']
        fields = "".join(f"{key} = {json.dumps(value)}, " for key, value in wheel.items())
        lines += [f'wheels = [{{{fields}hashes = {{sha256 = "{sha256(packed)}"}}}}]']
        if direct is not None:
            lines += ["[packages.tool.ocibuild]", f"direct-url = {json.dumps(direct)}"]
        self.tiny.require("evil")
        (self.tiny.image / "pylock.toml").write_text("\n".join([*lines, ""]))


WAYS: dict[str, Way] = {}


def way(make: Way) -> Way:
    """Register a way by the name of its function."""
    WAYS[make.__name__.replace("_", " ")] = make
    return make


# Ways that only pip meets: in the metadata of a wheel.


@way
def an_archive_of_this_machine_in_metadata(trap: Trap) -> None:
    trap.needs(f"evil @ {trap.canary.archive(trap.outside / f'{STEM}.tar.gz').as_uri()}")


@way
def an_archive_of_the_network_in_metadata(trap: Trap) -> None:
    trap.canary.archive(trap.outside / f"{STEM}.zip")
    trap.needs(f"evil @ {trap.server.url}/{STEM}.zip#egg=evil")


@way
def a_checkout_in_metadata(trap: Trap) -> None:
    trap.needs(f"evil @ git+{trap.canary.checkout(trap.outside / 'g').as_uri()}")


@way
def a_checkout_with_the_name_of_a_wheel_in_metadata(trap: Trap) -> None:
    trap.needs(f"evil @ git+{trap.canary.checkout(trap.outside / WHEEL).as_uri()}")


@way
def a_folder_in_metadata(trap: Trap) -> None:
    trap.needs(f"evil @ {trap.canary.folder(trap.outside / 'evil').as_uri()}")


@way
def a_folder_with_the_name_of_a_wheel_in_metadata(trap: Trap) -> None:
    trap.needs(f"evil @ {trap.canary.folder(trap.outside / WHEEL).as_uri()}")


@way
def a_subdirectory_of_an_archive_in_metadata(trap: Trap) -> None:
    packed = trap.canary.archive(trap.outside / "all.tar.bz2")
    trap.needs(f"evil @ {packed.as_uri()}#subdirectory={STEM}&egg=evil")


@way
def an_archive_served_as_a_wheel(trap: Trap) -> None:
    trap.canary.archive(trap.outside / WHEEL)
    trap.needs(f"evil @ {trap.server.url}/{WHEEL}")


@way
def a_wheel_that_is_moved_to_an_archive(trap: Trap) -> None:
    trap.canary.archive(trap.outside / f"{STEM}.tar.gz")
    moved = (302, {"Location": f"{trap.server.url}/{STEM}.tar.gz"}, b"")
    trap.server.faults[f"/{WHEEL}"] = [moved] * 20
    trap.needs(f"evil @ {trap.server.url}/{WHEEL}")


@way
def a_page_among_the_wheels_that_links_to_an_archive(trap: Trap) -> None:
    packed = trap.canary.archive(trap.outside / f"{STEM}.tar.gz")
    trap.needs("evil")
    (trap.tiny.wheels / "index.html").write_text(f'<a href="{packed.as_uri()}">{WHEEL}</a>')


# Ways in the files of the user.


@way
def an_option_that_undoes_ours(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.tiny.require("--only-binary=:none:", "evil")


@way
def an_option_behind_another_one_abbreviated(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.tiny.require("--pre --only-b :none:", "evil")


@way
def an_option_behind_a_tab_in_quotes(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.tiny.require("--pre\t'--no-bin'\t\":all:\"", "evil")


@way
def an_option_in_a_variable(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.tiny.require("${WAY}", "evil")


@way
def a_line_in_an_encoding_that_hides_it(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.tiny.require("# coding: utf-7", "# +AAo---no-binary+AD0:all:", "evil")


@way
def an_editable_folder(trap: Trap) -> None:
    trap.canary.folder(trap.tiny.image / "evil")
    trap.tiny.require("--pre -e ./evil")


@way
def a_folder_with_an_at_in_its_name(trap: Trap) -> None:
    trap.canary.folder(trap.tiny.image / "evil@1")
    trap.tiny.require("evil@1/")


@way
def a_folder_called_like_a_requirement(trap: Trap) -> None:
    trap.canary.folder(trap.tiny.image / f"evil @ https:/host.example/{WHEEL}")
    trap.tiny.require(f"evil @ https://host.example/{WHEEL}")


@way
def a_folder_of_home(trap: Trap) -> None:
    trap.canary.folder(trap.tiny.image / "~" / "evil")
    trap.tiny.require("~/evil")


@way
def a_name_at_a_folder(trap: Trap) -> None:
    trap.canary.folder(trap.tiny.image / "evil")
    trap.tiny.require("evil @ ./evil")


@way
def an_archive_beside_the_requirements(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.image / f"{STEM}.tar.xz")
    trap.tiny.require(f"{STEM}.tar.xz")


@way
def a_checkout_in_capitals(trap: Trap) -> None:
    trap.tiny.require(f"evil @ GIT+{trap.canary.checkout(trap.outside / 'g').as_uri()}")


@way
def a_constraint_that_is_a_url(trap: Trap) -> None:
    packed = trap.canary.archive(trap.outside / f"{STEM}.tgz")
    (trap.tiny.image / "limits.txt").write_text(f"evil @ {packed.as_uri()}\n")
    trap.tiny.require("evil", "-c limits.txt")


@way
def an_environment_that_asks_for_sources(trap: Trap) -> None:
    trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.tiny.require("evil")


# Ways in a lock.


@way
def a_url_in_a_lock(trap: Trap) -> None:
    trap.lock(name=WHEEL, url=f"{trap.server.url}/{STEM}.tar.gz")
    trap.flags = ("--frozen", "--online")


@way
def a_url_in_a_lock_with_a_line_in_it(trap: Trap) -> None:
    trap.lock(name=WHEEL, url=f"{trap.server.url}/x\nevil @ {trap.server.url}/{STEM}.tar.gz\n/{WHEEL}")
    trap.flags = ("--frozen", "--online")


@way
def a_direct_url_in_a_lock(trap: Trap) -> None:
    direct = json.dumps({"url": f"{trap.server.url}/{STEM}.tar.gz"})
    trap.lock(name=WHEEL, path=f"wheels/{WHEEL}", direct=direct)
    trap.flags = ("--frozen", "--online")


@way
def a_lock_that_says_it_was_built(trap: Trap) -> None:
    packed = trap.canary.archive(trap.tiny.wheels / f"{STEM}.tar.gz")
    trap.lock(name=WHEEL, path=f"wheels/{WHEEL}")
    file = trap.tiny.image / "pylock.toml"
    table = f'[packages.tool.ocibuild]\nbuilt-from = {{name = "{packed.name}", sha256 = "{sha256(packed)}"}}\n'
    file.write_text(file.read_text() + table)
    trap.flags = ("--frozen",)


ONLY_BUILD = {each for each in WAYS if "lock" in each}
EVERY_COMMAND = {"an archive of this machine in metadata", "a folder with an at in its name"}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A project whose base is in its cache, to copy."""
    tiny = make_tiny(tmp_path_factory.mktemp("clean") / "project")
    with contextlib.redirect_stderr(io.StringIO()):
        assert main(tiny.words()) == 0
    return tiny


@pytest.fixture
def trap(clean: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    tiny = Tiny(tmp_path / "project")
    shutil.copytree(clean.root, tiny.root)
    tiny.out.unlink()
    outside = tmp_path / "outside"
    outside.mkdir()
    home = tmp_path / "home" / ".config" / "pip"
    home.mkdir(parents=True)
    # What a person may have configured must not open a way either.
    (home / "pip.conf").write_text("[global]\nno-binary = :all:\nno-build-isolation = false\npython = /bin/false\n")
    with serving(outside) as server, serve_index(tiny.wheels) as index:
        for name, value in index.environ(os.environ).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("PIP_CONFIG_FILE")
        for name in ("PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_EDITABLE", "PIP_USE_PEP517", "PIP_NO_BUILD_ISOLATION"):
            monkeypatch.setenv(name, ":none:" if name == "PIP_ONLY_BINARY" else ":all:")
        monkeypatch.setenv("WAY", "--no-binary=:all:")
        yield Trap(tiny, outside, server)


def ended(trap: Trap, command: str, *flags: str) -> Ending:
    """Run a command on the project, in this process."""
    places = ["--project-dir", str(trap.tiny.root), "--cache-dir", str(trap.tiny.cache), "--progress", "none"]
    out = ["--out", str(trap.tiny.out)] if command == "build" else []
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main([command, NAME, *places, *out, *flags])
    return Ending(code, said.getvalue())


def commands(name: str) -> list[tuple[str, str]]:
    """The commands a way is tried with, and where they look."""
    if name in ONLY_BUILD:
        return [("build", "")]
    if name in EVERY_COMMAND:
        found = [(command, where) for command in ("build", "lock", "check") for where in ("--online", "--offline")]
        return [*found, ("download", "")]
    return [("build", "--online"), ("build", "--offline")]


@pytest.mark.parametrize(
    ("name", "command", "where"), [(name, command, where) for name in WAYS for command, where in commands(name)]
)
def test_nothing_of_a_package_runs(name: str, command: str, where: str, trap: Trap) -> None:
    WAYS[name](trap)
    ending = ended(trap, command, *([where] if where else []), *trap.flags)
    assert not trap.canary.ran
    assert ending.code in (1, 2), ending.said
    assert "evil" in ending.said or "requirements.txt:" in ending.said, ending.said
    assert "internal error" not in ending.said and "Traceback" not in ending.said
    assert not trap.tiny.out.exists() or command != "build"


def test_the_refusal_names_the_requirement_who_asks_for_it_and_the_way_out(trap: Trap) -> None:
    packed = trap.canary.archive(trap.outside / f"{STEM}.tar.gz")
    make_wheel(trap.tiny.wheels, "middle", "2.0", requires=[f"evil @ {packed.as_uri()}"])
    make_wheel(trap.tiny.wheels, "good", "1.0", requires=["middle"])
    trap.tiny.require("# first", "many", "good==1.0")
    said = ended(trap, "build", "--offline").said
    asked = f"requirements.txt:3, good==1.0, middle: evil @ {packed.as_uri()}: a source archive"
    assert asked in said
    assert "ask for a version of middle that needs evil by name" in said


def test_the_canary_sings_where_pip_alone_is_asked(trap: Trap) -> None:
    # Else the tests above would prove nothing.
    packed = trap.canary.archive(trap.outside / f"{STEM}.tar.gz")
    make_wheel(trap.tiny.wheels, "good", "1.0", requires=[f"evil @ {packed.as_uri()}"])
    words = ["install", "--dry-run", "--no-index", "--ignore-installed", f"--find-links={trap.tiny.wheels}", "good"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    fixed = ["--isolated", "--only-binary=:all:"]
    subprocess.run(
        [sys.executable, "-m", "pip", *words, *fixed],
        env={**environ, "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert trap.canary.ran
