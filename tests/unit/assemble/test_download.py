"""Everything an image is made from, put beside its recipe, so that nothing else is needed there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from oci_builder.cli import main
from oci_builder.debian.lock import lock_path, read_lock, write_lock
from oci_builder.platforms import ARM64
from oci_builder.wheels.lock import read
from tests.support.debian import Deb
from tests.support.index import Index, serve_index
from tests.support.projects import make_project, with_backend
from tests.support.tiny import IMAGE, NAME, Ending, Tiny, build, built, make_tiny
from tests.support.webserver import WebServer, serving
from tests.support.wheels import corrupt, make_wheel, sha256


@dataclass
class World:
    """A project without wheels and packages of its own, an index and a mirror that have them, and nothing else."""

    tiny: Tiny
    index: Index
    mirror: WebServer

    def download(self, *flags: str) -> Ending:
        """Run ``ocibuild download`` in this process."""
        said = io.StringIO()
        places = ("--project-dir", str(self.tiny.root), "--cache-dir", str(self.tiny.cache))
        with contextlib.redirect_stderr(said):
            code = main(["download", NAME, *places, "--mirror", self.mirror.url, "--progress", "none", *flags])
        return Ending(code, said.getvalue())

    def downloaded(self, *flags: str) -> str:
        """The same, which succeeds; what it says."""
        ending = self.download(*flags)
        assert ending.code == 0, ending.said
        return ending.said

    def forget(self) -> None:
        """Have an empty cache, and remember no request."""
        shutil.rmtree(self.tiny.cache, ignore_errors=True)
        self.index.paths.clear()
        self.mirror.asked.clear()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # This machine's own apt would be asked first, and these packages are not Debian's.
    monkeypatch.setenv("PATH", "/nonexistent")
    tiny = make_tiny(tmp_path / "project")
    (tiny.image / "pylock.toml").unlink()
    mirror = tmp_path / "mirror"
    for deb in tiny.debs.iterdir():
        place = mirror / "debian" / "pool" / "main" / deb.name.partition("_")[0] / deb.name
        place.parent.mkdir(parents=True)
        shutil.move(deb, place)
    tiny.debs.rmdir()
    shutil.move(tiny.wheels, tmp_path / "index")
    with serve_index(tmp_path / "index") as index, serving(mirror) as server:
        for name, value in index.environ({}).items():
            monkeypatch.setenv(name, value)
        yield World(tiny, index, server)


def online(world: World) -> bytes:
    """The image as it is built where there is a network."""
    return built(world.tiny, "--mirror", world.mirror.url, "--online")


def test_a_download_makes_the_lock_and_the_build_from_it_needs_nothing_else(world: World) -> None:
    world.downloaded()
    first = online(world)
    world.forget()
    assert built(world.tiny, "--offline") == first
    assert world.index.paths == [] and world.mirror.paths == []


def test_a_wheels_folder_makes_the_build_offline_without_being_told(world: World) -> None:
    world.downloaded()
    world.forget()
    built(world.tiny)
    assert world.index.paths == [] and world.mirror.paths == []


def test_files_that_are_there_are_not_fetched_again(world: World) -> None:
    world.downloaded()
    world.forget()
    assert "9 files, 0 of them new" in world.downloaded()
    assert world.index.paths == [] and world.mirror.paths == []


def test_an_interrupted_download_goes_on_where_it_was(world: World) -> None:
    world.downloaded()
    world.forget()
    (world.tiny.wheels / "many-1.0-py3-none-any.whl").unlink()
    (world.tiny.debs / "tzdata_1.0-1_all.deb").unlink()
    assert "9 files, 2 of them new" in world.downloaded()
    assert [path for path in world.index.paths if path.startswith("/files/")] == ["/files/many-1.0-py3-none-any.whl"]
    assert world.mirror.paths == ["/debian/pool/main/tzdata/tzdata_1.0-1_all.deb"]


def test_a_file_that_is_not_what_the_lock_names_is_replaced(world: World) -> None:
    world.downloaded()
    world.forget()
    wheel, deb = world.tiny.wheels / "many-1.0-py3-none-any.whl", world.tiny.debs / "tzdata_1.0-1_all.deb"
    before = sha256(wheel), sha256(deb)
    corrupt(wheel)
    corrupt(deb)
    assert "2 of them new" in world.downloaded()
    assert (sha256(wheel), sha256(deb)) == before


def test_strangers_are_told_and_only_prune_removes_them(world: World) -> None:
    world.downloaded()
    strangers = [make_wheel(world.tiny.wheels, "other"), world.tiny.debs / "nano_7.2-1_amd64.deb"]
    strangers[1].write_bytes(b"nano")
    kept = world.tiny.wheels / ".gitignore"
    kept.write_text("*")
    said = world.downloaded()
    assert all(f"{path}: no lock names it; --prune removes it" in said for path in strangers)
    assert all(path.exists() for path in strangers)
    said = world.downloaded("--prune")
    assert all(f"{path}: removed" in said for path in strangers)
    assert not any(path.exists() for path in strangers) and kept.exists()
    assert "removed" not in world.downloaded("--prune")


def test_a_download_may_go_elsewhere(world: World, tmp_path: Path) -> None:
    world.downloaded("--dest", str(tmp_path / "usb"))
    assert not world.tiny.wheels.exists()
    assert len(list((tmp_path / "usb" / "wheels").iterdir())) == 3
    assert len(list((tmp_path / "usb" / "debs").iterdir())) == 6
    first = online(world)
    shutil.copytree(tmp_path / "usb", world.tiny.image, dirs_exist_ok=True)
    world.forget()
    assert built(world.tiny) == first


def two_platforms(world: World) -> None:
    """Let the image be for both platforms, with a wheel for each."""
    text = IMAGE.replace('["linux/amd64"]', '["linux/amd64", "linux/arm64"]')
    (world.tiny.image / "image.toml").write_text(text)
    for machine in ("x86_64", "aarch64"):
        make_wheel(world.index.folder, "fast", "1.0", tag=f"cp311-cp311-manylinux_2_17_{machine}")
    world.tiny.require("whole==3.0", "fast")


def test_a_download_is_for_every_platform_of_the_recipe(world: World) -> None:
    two_platforms(world)
    world.downloaded()
    first = {arch: built(world.tiny, "--online", "--platform", f"linux/{arch}") for arch in ("amd64", "arm64")}
    world.forget()
    assert {arch: built(world.tiny, "--platform", f"linux/{arch}") for arch in ("amd64", "arm64")} == first
    assert world.index.paths == [] and world.mirror.paths == []


def test_one_platform_leaves_the_wheels_of_the_others_away_but_calls_them_no_strangers(world: World) -> None:
    two_platforms(world)
    world.downloaded("--platform", "linux/arm64")
    names = {path.name for path in world.tiny.wheels.iterdir()}
    assert "fast-1.0-cp311-cp311-manylinux_2_17_aarch64.whl" in names
    assert "fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl" not in names
    world.downloaded()
    assert "no lock names it" not in world.downloaded("--platform", "linux/arm64")


def test_another_cpus_image_comes_with_the_packages_of_the_python_that_compiles_here(world: World) -> None:
    text = IMAGE.replace("linux/amd64", "linux/arm64")
    (world.tiny.image / "image.toml").write_text(text)
    # The two platforms' packages are the same here but for one.
    path, deb = lock_path(world.tiny.base, ARM64), Deb(name="tzdata", architecture="arm64")
    lock, data = read_lock(path), deb.build()
    pool = f"pool/main/tzdata/{deb.filename}"
    (world.mirror.folder or Path()).joinpath("debian", pool).write_bytes(data)
    fields = {"path": pool, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    pins = tuple(replace(pin, **fields) if pin.name == "tzdata" else pin for pin in lock.packages)
    write_lock(replace(lock, packages=pins), path)
    world.downloaded()
    assert {"tzdata_1.0-1_all.deb", "tzdata_1.0-1_arm64.deb"} <= {deb.name for deb in world.tiny.debs.iterdir()}


def test_a_platform_that_is_not_the_recipes_is_refused(world: World) -> None:
    ending = world.download("--platform", "linux/arm64")
    assert ending.code == 2
    assert "'linux/arm64/v8' is not a platform of the image: app is for linux/amd64" in ending.said


def test_a_locked_download_makes_no_lock(world: World) -> None:
    ending = world.download("--locked")
    assert ending.code == 1
    assert "there is no lock" in ending.said and "write it: ocibuild lock " in ending.said


def test_a_lock_that_fell_behind_is_brought_up_to_date(world: World) -> None:
    world.downloaded()
    (world.tiny.image / "requirements.txt").write_text("tool\n")
    said = world.downloaded("--prune")
    assert "has been brought up to date: - many 1.0, - whole 3.0" in said
    assert [path.name for path in world.tiny.wheels.iterdir()] == ["tool-2.0-py3-none-any.whl"]
    assert [package.name for package in read(world.tiny.image / "pylock.toml").document.packages] == ["tool"]


def test_a_wheels_folder_filled_by_pip_alone_builds_offline(world: World) -> None:
    world.downloaded()
    shutil.rmtree(world.tiny.wheels)
    (world.tiny.image / "pylock.toml").unlink()
    asked = ["download", "--dest", str(world.tiny.wheels), "--only-binary=:all:", "-r", "requirements.txt"]
    subprocess.run([sys.executable, "-m", "pip", *asked], cwd=world.tiny.image, check=True, capture_output=True)
    world.forget()
    assert build(world.tiny).code == 0
    assert world.index.paths == [] and world.mirror.paths == []


def test_a_wheel_that_a_requirement_names_by_its_path_comes_along(world: World) -> None:
    vendored = make_wheel(world.tiny.image / "vendor", "own", "1.0")
    world.tiny.require(f"./vendor/{vendored.name}")
    world.downloaded()
    world.forget()
    assert built(world.tiny, "--offline", "--locked")
    vendored_only = world.tiny.wheels / vendored.name
    vendored_only.unlink()
    world.forget()
    assert built(world.tiny, "--offline", "--locked")


def test_what_builds_a_project_comes_along(world: World) -> None:
    backend = with_backend(make_project(world.tiny.root / "src", requires=["tool"]), world.index.folder)
    (world.tiny.image / "requirements.txt").unlink()
    head = IMAGE.partition("[python]")[0]
    (world.tiny.image / "image.toml").write_text(f'{head}[python]\nbytecode = "none"\nproject = "../../src"\n')
    world.downloaded()
    assert (world.tiny.wheels / "build-system" / backend.name).is_file()
    assert "no lock names it" not in world.downloaded()
    first = online(world)
    world.forget()
    assert built(world.tiny, "--locked") == first
    assert world.index.paths == []


def test_a_wheels_that_is_no_folder_is_said_and_nothing_is_left_behind(world: World) -> None:
    world.tiny.wheels.write_text("in the way")
    ending = world.download()
    assert ending.code == 1 and str(world.tiny.wheels) in ending.said
    assert not [path for path in world.tiny.image.iterdir() if path.name.startswith(".")]
