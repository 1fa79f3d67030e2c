"""Bases that are images: each platform has its own Python, the lock speaks for all, a download is enough."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.platforms import AMD64, ARM64
from oci_builder.verify.verify import verify_file
from oci_builder.wheels.lock import read
from oci_builder.wheels.lock_writing import encode
from oci_builder.wheels.target import PythonEnvironment, Target
from tests.support.archives import make_tar
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.imported import (
    config_of,
    docker_python,
    files,
    index_of,
    save_layout,
    save_like_old_docker,
)
from tests.support.registries import close_opened
from tests.support.targets import wheel_of
from tests.support.tiny import make_tiny
from tests.support.wheels import make_wheel

Images = Sequence[tuple[Sequence[bytes], Mapping[str, Any]]]

NEWER = make_tar(*files(("etc/moved", b"")))
ARM = {"architecture": "arm64", "variant": "v8"}
BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\n'


def image(version: str = "3.11.9", *, glibc: str = "2.36", arm: bool = False) -> tuple[list[bytes], dict[str, Any]]:
    """An image with a Python."""
    machine = "aarch64" if arm else "x86_64"
    layers = [make_tar(*docker_python(version, machine=machine, glibc=glibc))]
    run = {"Env": ["PATH=/usr/local/bin:/usr/bin"], "Cmd": ["python3"]}
    return layers, config_of(layers, run=run, **(ARM if arm else {}))


# What differs between the two would be noticed: version and C library.
IMAGES = [image(), image("3.11.8", glibc="2.31", arm=True)]


def promise(version: str, glibc: int) -> PythonEnvironment:
    """What such an image promises."""
    return PythonEnvironment(
        version=version,
        interpreter="/usr/local/bin/python3.11",
        prefix="/usr/local",
        purelib="/usr/local/lib/python3.11/site-packages",
        scripts="/usr/local/bin",
        glibc=(2, glibc),
    )


TARGETS = [
    Target(platform=AMD64, promise=promise("3.11.9", 36)),
    Target(platform=ARM64, promise=promise("3.11.8", 31)),
]


@dataclass
class World:
    """A project of one image, whose base is in ``registry`` unless a test says otherwise, and a cache."""

    root: Path
    registry: FakeRegistry
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The image's."""
        return self.root / "build" / "app"

    @property
    def reference(self) -> str:
        """The base's tag."""
        return str(self.registry.reference("team/py:3"))

    @property
    def out(self) -> Path:
        """The image's file."""
        return self.root / "app.tar"

    def recipe(self, base: str, more: str = "") -> None:
        """Write image.toml."""
        text = f'base = "{base}"\n{more}[python]\nbytecode = "none"\nfind-links = ["../../shelf"]\n'
        (self.folder / "image.toml").write_text(text)

    def hold(self, images: Images, *, docker: bool = False) -> str:
        """Have the registry's tag name ``images``; the index's digest."""
        blobs, descriptor, raw = index_of(images, docker=docker)
        for digest, blob in blobs.items():
            self.registry.hold(blob)
            self.registry.hold_manifest(f"team/py:{digest}", blob, _media_type(blob))
        self.registry.hold_manifest("team/py:3", raw, descriptor["mediaType"])
        return str(descriptor["digest"])

    def lock(self, digest: str) -> None:
        """Lock the wheel there is, and the base as it is: no command starts pip."""
        pins = [wheel_of(path).pin for path in sorted((self.root / "shelf").iterdir())]
        text = encode(dict.fromkeys(TARGETS, pins), fingerprint="", base=f"{self.reference}@{digest}")
        (self.folder / "pylock.toml").write_bytes(text)

    def unlock(self) -> None:
        """Have no lock: pip decides."""
        (self.folder / "pylock.toml").unlink()

    def run(self, *words: str) -> int:
        """Run a command on the image, in this process."""
        told = io.StringIO()
        places = ("--project-dir", str(self.root), "--cache-dir", str(self.root / "cache"), "--progress", "none")
        with contextlib.redirect_stderr(told):
            code = main([*words, *places])
        self.said.append(told.getvalue())
        return code

    def build(self, *flags: str) -> bytes:
        """Build the image, which holds; its bytes."""
        assert self.run("build", "app", "--out", str(self.out), *flags) == 0, self.said[-1]
        assert verify_file(self.out).findings == ()
        return self.out.read_bytes()

    def forget(self) -> None:
        """Have an empty cache, and remember no request."""
        shutil.rmtree(self.root / "cache")
        self.registry.asked.clear()


def _media_type(blob: bytes) -> str:
    try:
        return str(json.loads(blob).get("mediaType", ""))
    except ValueError:
        return ""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with fake_registry() as registry:
        made = World(tmp_path / "project", registry)
        made.folder.mkdir(parents=True)
        make_wheel(made.root / "shelf", "pure", "1.0")
        (made.folder / "requirements.txt").write_text("pure\n")
        made.lock(made.hold(IMAGES))
        made.recipe(made.reference)
        yield made
    close_opened()


def test_every_platform_is_locked_for_its_own_base_and_read_when_it_is_built(world: World) -> None:
    world.recipe(world.reference, BOTH)
    world.unlock()
    assert world.run("lock", "app") == 0, world.said
    lock = read(world.folder / "pylock.toml")
    assert sorted(lock.targets) == sorted(map(str, TARGETS))
    assert lock.base == f"{world.reference}@{world.hold(IMAGES)}"
    for platform in ("linux/amd64", "linux/arm64"):
        world.forget()
        world.build("--locked", "--platform", platform)
        blobs = [line for line in world.registry.methods() if line.startswith("GET") and "/blobs/" in line]
        assert len(blobs) == 2  # one platform's configuration and its one layer


def test_a_layout_with_several_platforms_serves_each_its_own(world: World) -> None:
    save_layout(world.folder / "py", *IMAGES[0], beside=IMAGES[1:])
    world.recipe("./py", BOTH)
    world.unlock()
    assert world.run("lock", "app") == 0, world.said
    assert sorted(read(world.folder / "pylock.toml").targets) == sorted(map(str, TARGETS))
    assert world.build("--platform", "linux/amd64") != world.build("--platform", "linux/arm64")


def test_a_layout_named_on_the_command_line_lies_where_the_user_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_layout(world.root / "py", *IMAGES[0])
    monkeypatch.chdir(world.root)
    world.build("--base", "./py")
    assert world.registry.asked == []


def test_a_platform_that_the_base_does_not_have_is_named_when_the_lock_is_made(world: World) -> None:
    world.hold(IMAGES[:1])
    world.recipe(world.reference, BOTH)
    world.unlock()
    assert world.run("lock", "app") == 1
    assert "there is no image for linux/arm64/v8 in it" in world.said[-1]
    assert "it has images for linux/amd64" in world.said[-1]
    assert not (world.folder / "pylock.toml").exists()


def test_a_tag_that_moved_is_refused_by_a_locked_build(world: World) -> None:
    first = world.build("--locked")
    world.hold([([*image()[0], NEWER], config_of([*image()[0], NEWER]))])
    assert world.run("build", "app", "--out", str(world.out), "--locked") == 1
    assert "its tag has moved to sha256:" in world.said[-1]
    assert "take the new one with: ocibuild lock app" in world.said[-1]
    assert world.build("--frozen") == first


@pytest.mark.parametrize("docker", [False, True])
def test_a_download_is_all_that_a_build_without_registry_needs(world: World, docker: bool) -> None:
    world.lock(world.hold(IMAGES, docker=docker))
    world.recipe(world.reference, BOTH)
    assert world.run("download", "app") == 0, world.said
    shutil.rmtree(world.root / "shelf")
    first = {each: world.build("--online", "--platform", each) for each in ("linux/amd64", "linux/arm64")}
    world.forget()
    for platform, expected in first.items():
        assert world.build("--platform", platform) == expected
    assert world.registry.asked == []


def test_a_download_again_fetches_only_what_is_missing_or_damaged(world: World) -> None:
    assert world.run("download", "app") == 0, world.said
    world.forget()
    assert world.run("download", "app") == 0
    assert "0 of them new" in world.said[-1]
    assert world.registry.methods() == ["HEAD /v2/team/py/manifests/3"]
    blob = max((world.folder / "base" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(bytes(blob.stat().st_size))
    world.forget()
    assert world.run("download", "app") == 0
    assert "1 of them new" in world.said[-1]
    assert f"GET /v2/team/py/blobs/sha256:{blob.name}" in world.registry.methods()


def test_what_an_older_base_left_in_the_folder_is_pruned(world: World) -> None:
    assert world.run("download", "app") == 0
    blobs = world.folder / "base" / "blobs" / "sha256"
    before = {path.name for path in blobs.iterdir()}
    layers = [*image()[0], NEWER]
    world.lock(world.hold([(layers, config_of(layers))]))
    assert world.run("download", "app", "--prune") == 0
    after = {path.name for path in blobs.iterdir()}
    assert (
        len(before & after) == 1 and len(after) == 5
    )  # the layer both have; index, manifest, configuration, two layers


def test_a_download_for_one_platform_leaves_that_of_another_alone(world: World) -> None:
    world.recipe(world.reference, BOTH)
    assert world.run("download", "app") == 0
    assert world.run("download", "app", "--platform", "linux/arm64", "--prune") == 0
    assert len(list((world.folder / "base" / "blobs" / "sha256").iterdir())) == 7
    shutil.rmtree(world.folder / "base")
    assert world.run("download", "app", "--platform", "linux/arm64") == 0
    assert len(list((world.folder / "base" / "blobs" / "sha256").iterdir())) == 4


def test_a_base_without_wheels_on_it_comes_along_too(world: World) -> None:
    (world.folder / "requirements.txt").unlink()
    world.unlock()
    (world.folder / "image.toml").write_text(f'base = "{world.reference}"\n')
    assert world.run("download", "app") == 0, world.said
    first = world.build("--online")
    world.forget()
    assert world.build("--offline") == first
    assert world.registry.asked == []


def test_a_file_that_is_the_base_comes_along_unless_it_lies_with_the_recipe(world: World) -> None:
    elsewhere = save_like_old_docker(world.root / "py.tar", *image())
    world.recipe("../../py.tar")
    assert world.run("download", "app") == 0, world.said
    first = world.build()
    assert (world.folder / "base" / "py.tar").read_bytes() == elsewhere.read_bytes()
    elsewhere.unlink()
    world.forget()
    assert world.build() == first
    shutil.move(world.folder / "base" / "py.tar", world.folder / "py.tar")
    (world.folder / "base").rmdir()
    world.recipe("./py.tar")
    assert world.run("download", "app") == 0
    assert not (world.folder / "base").exists()


def test_a_layout_that_is_the_base_comes_along(world: World) -> None:
    save_layout(world.root / "py", *IMAGES[0])
    world.recipe("../../py")
    assert world.run("download", "app") == 0, world.said
    first = world.build()
    shutil.rmtree(world.root / "py")
    world.forget()
    assert world.build() == first


def test_the_packages_of_whoever_compiles_come_along(world: World) -> None:
    tiny = make_tiny(world.root / "tiny")
    shutil.copytree(tiny.base, world.root / "layers" / "python-3.11")
    shutil.copytree(tiny.debs, world.folder / "debs")
    (world.folder / "debs" / "stranger.deb").touch()
    recipe = world.folder / "image.toml"
    recipe.write_text(recipe.read_text().replace('"none"', '"all"'))
    assert world.run("download", "app", "--prune") == 0, world.said
    assert {path.name for path in (world.folder / "debs").iterdir()} == {path.name for path in tiny.debs.iterdir()}


def test_an_offline_build_without_its_base_says_how_to_bring_it(world: World) -> None:
    assert world.run("download", "app") == 0
    shutil.rmtree(world.folder / "base")
    world.forget()
    assert world.run("build", "app", "--offline", "--out", str(world.out)) == 2
    assert f"no base image '{world.reference}@" in world.said[-1]
    assert "ocibuild download" in world.said[-1]
    assert world.registry.asked == []


def test_a_rebuild_stands_on_what_the_image_says_where_the_tag_has_moved(world: World) -> None:
    world.unlock()
    world.build()
    moved = world.hold([([*image()[0], NEWER], config_of([*image()[0], NEWER]))])
    assert world.run("verify", str(world.out), "--rebuild") == 0, world.said
    world.lock(moved)
    assert world.run("verify", str(world.out), "--rebuild") == 3
    assert "layer 2" in world.said[-1]


def test_a_rebuild_on_a_file_holds_it_against_that_file(world: World) -> None:
    save_like_old_docker(world.root / "py.tar", *image())
    world.recipe("../../py.tar")
    world.build()
    assert world.run("verify", str(world.out), "--rebuild") == 0, world.said
    save_like_old_docker(world.root / "py.tar", *image("3.11.8"))
    assert world.run("verify", str(world.out), "--rebuild") == 3
    assert "layer 1" in world.said[-1]
