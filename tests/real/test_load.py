"""``--load`` and ``--out -`` with the engines they are for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engines import DockerLike, unmount_below
from tests.support.images import fresh_nonce
from tests.support.real import need
from tests.support.tiny import CHECKOUT, run_ocibuild

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
