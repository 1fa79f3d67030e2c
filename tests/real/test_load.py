"""``--load`` and ``--out -`` with the engines they are for."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder import Builder
from oci_builder.assemble.loading import EngineLoad
from oci_builder.cli import main
from tests.support.engines import DockerLike, unmount_below
from tests.support.images import fresh_nonce
from tests.support.real import need
from tests.support.tiny import CHECKOUT, run_ocibuild
from tests.support.updates import exported, write_images

pytestmark = pytest.mark.real


@pytest.fixture
def name(tmp_path: Path) -> str:
    """An image of no base and one file, in a project."""
    name = f"loaded-{fresh_nonce()}"
    folder = tmp_path / "build" / name
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(os.urandom(3 << 20))
    (folder / "image.toml").write_text('base = "scratch"\n[[copy]]\nsrc = "file"\ndest = "/"\n')
    return name


def environ_for(docker: DockerLike) -> dict[str, str]:
    host = str(docker.command[docker.command.index("-H") + 1])
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": host}


def words(name: str, project: Path, *flags: str) -> list[str]:
    return [name, "--project-dir", str(project), "--cache-dir", str(project / "cache"), *flags]


def test_docker_has_the_image_that_was_built(docker: DockerLike, name: str, tmp_path: Path) -> None:
    done = run_ocibuild(*words(name, tmp_path, "--load", "--json"), environ=environ_for(docker))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["loaded"] == f"docker: Loaded image: {name}:latest"
    assert docker.image_id(name) == told["id"]
    docker.remove(name)


def test_docker_loads_what_stdout_gives(docker: DockerLike, name: str, tmp_path: Path) -> None:
    environ = {**environ_for(docker), "PYTHONPATH": str(CHECKOUT)}
    line = '"$0" -m oci_builder "$@" | docker load'
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", line, sys.executable, *words(name, tmp_path, "--out", "-")],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, f"Loaded image: {name}:latest" in done.stdout) == (0, True), done.stderr
    docker.remove(name)


@pytest.fixture
def podman_environ() -> Iterator[dict[str, str]]:
    """A PATH with podman and nothing else, and a storage of its own; its paths have to be short."""
    need("podman")
    folder = Path(tempfile.mkdtemp(prefix="ol-"))
    (folder / "bin").mkdir()
    (folder / "bin" / "podman").symlink_to("/usr/bin/podman")
    conf = folder / "storage.conf"
    conf.write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{folder}/t"\ngraphroot = "{folder}/r"\n')
    yield {"PATH": str(folder / "bin"), "HOME": str(folder), "CONTAINERS_STORAGE_CONF": str(conf)}
    unmount_below(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_podman_has_the_image_that_was_built(name: str, tmp_path: Path, podman_environ: dict[str, str]) -> None:
    done = run_ocibuild(*words(name, tmp_path, "--load", "--json"), environ=podman_environ)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert f"Loaded image: docker.io/library/{name}:latest" in told["loaded"]
    asked = ["/usr/bin/podman", "images", "--no-trunc", "--format", "{{.ID}}"]
    environ = {**podman_environ, "PATH": "/usr/bin:/usr/sbin:/bin:/sbin"}
    found = subprocess.run(asked, env=environ, capture_output=True, text=True, timeout=100, check=True)
    assert told["id"] in found.stdout


def test_a_docker_without_a_daemon_fails_in_its_own_words(name: str, tmp_path: Path) -> None:
    need("docker", root=False)
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": f"unix://{tmp_path}/nobody"}
    done = run_ocibuild(*words(name, tmp_path, "--load"), environ=environ)
    assert done.returncode == 1
    # Before anything is made, not after.
    assert done.stderr.startswith("ocibuild: docker: ") and "Docker daemon" in done.stderr
    assert "start its daemon" in done.stderr and "--out FILE" in done.stderr


_ENGINES = ["docker", "podman", "newest_docker", "newest_graph_docker"]


class Loop:
    """A project upon an image of three layers, and an engine that gets what becomes of it again and again."""

    def __init__(self, engine: DockerLike, folder: Path, kind: str) -> None:
        self.engine, self.folder, self.name = engine, folder, f"loop-{fresh_nonce()}"
        (folder / "bin").mkdir()
        self.client = engine.client(folder / "client")
        self.program = folder / "bin" / kind
        self.program.symlink_to(self.client)
        old, new = write_images(folder, fresh_nonce())
        self.recipe = folder / "build" / self.name
        self.recipe.mkdir(parents=True)
        self.bases = {"old": old, "new": new}
        self.write("one line")

    def write(self, line: str, base: str = "old") -> None:
        (self.recipe / "line").write_text(line)
        rest = '[user]\nname = "runner"\nuid = 1234\n[[copy]]\nsrc = "line"\ndest = "/opt/"\n'
        (self.recipe / "image.toml").write_text(f'base = "{self.bases[base]}"\n{rest}')

    def run(self, *flags: str) -> tuple[dict[str, Any], str]:
        """Build and load; what a program is told, and a person."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setenv("PATH", str(self.folder / "bin"))
            code = main(words(self.name, self.folder, "--load", "--json", "--progress", "plain", *flags))
        assert code == 0, err.getvalue()
        return json.loads(out.getvalue()), err.getvalue()

    def load(self) -> EngineLoad:
        """The same from Python."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(self.folder / "bin"))
            return Builder(self.folder, cache=self.folder / "cache").build(self.name).load()

    def is_the_whole_image(self, told: dict[str, Any]) -> bool:
        """Whether the engine has what it would have from the image's file: files, ID and name."""
        id_there = self.engine.image_id(self.name)
        self.engine.export(self.name, self.folder / "loaded.tar")
        self.engine.remove(self.name)
        self.run("--out", str(self.folder / "whole.tar"), "--whole")
        self.engine.remove(self.name)
        self.engine.load(self.folder / "whole.tar")
        self.engine.export(self.name, self.folder / "full.tar")
        same = exported(self.folder / "loaded.tar") == exported(self.folder / "full.tar")
        return same and id_there == self.engine.image_id(self.name) == told["load"]["id"]


@pytest.fixture(params=_ENGINES)
def loop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loop]:
    engine = request.getfixturevalue(request.param)
    assert isinstance(engine, DockerLike)
    loop = Loop(engine, tmp_path, "podman" if request.param == "podman" else "docker")
    yield loop
    engine.call("image", "rm", "--force", loop.name, f"{loop.name}:two", check=False)


def test_an_engine_gets_the_layers_that_it_lacks_and_has_the_image_that_was_built(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = loop.run()
    assert first["load"]["left_out"] == [] and first["load"]["travelled"] == first["load"]["whole"]
    loop.write("another line")
    told, said = loop.run("--tag", loop.name, "--tag", f"{loop.name}:two")
    # Of four layers the highest alone, with the documents.
    assert len(told["load"]["left_out"]) == 3
    assert told["load"]["travelled"] < 20_000 < told["load"]["whole"]
    assert "3 of 4 layers were there" in said
    assert loop.engine.image_id(f"{loop.name}:two") == loop.engine.image_id(loop.name) == told["load"]["id"]
    assert told["load"]["id"] in (told["id"], told["digest"])
    # The same again, by a script: names and documents.
    again = loop.load()
    assert (len(again.left_out), str(again.id)) == (4, told["load"]["id"])
    # A layer further down: as its store knows the one above it, or not.
    loop.write("another line", base="new")
    lower, _ = loop.run()
    left = {each["digest"] for each in lower["layers"]} & set(lower["load"]["left_out"])
    assert left >= {each["digest"] for each in lower["layers"][:2]}
    # Back to what has no name any more: worth asking for where an image is large.
    monkeypatch.setattr("oci_builder.assemble.loading._WORTH_ASKING", 0)
    loop.write("another line")
    back, _ = loop.run()
    assert (len(back["load"]["left_out"]), back["load"]["id"]) == (4, told["load"]["id"])
    loop.write("another line", base="new")
    assert loop.is_the_whole_image(loop.run()[0])


@pytest.mark.parametrize("loop", ["docker", "podman", "newest_docker"], indirect=True)
def test_layers_that_went_meanwhile_are_handed_over_after_all(loop: Loop) -> None:
    loop.run()
    loop.write("another line")
    gone = loop.folder / "gone"
    gone.touch()
    client = shlex.quote(str(loop.client))
    loop.program.unlink()
    loop.program.write_text(
        f'#!/bin/sh\nif [ "$1" = load ] && [ -e {gone} ]; then /bin/rm {gone}; '
        f'{client} image rm --force {loop.name} >/dev/null; fi\nexec {client} "$@"\n'
    )
    loop.program.chmod(0o755)
    told, said = loop.run()
    assert not gone.exists()
    assert "gets the whole image: it did not take what it lacks" in said
    assert told["load"]["left_out"] == []
    assert loop.is_the_whole_image(told)
