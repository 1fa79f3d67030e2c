"""A project that asks for a Python that no base of layers/ has: the image of Docker Hub that does, by its digest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.wheels.lock import read
from tests.support.archives import make_tar
from tests.support.hub import Hub, docker_hub
from tests.support.imported import config_of, docker_python, save_like_old_docker
from tests.support.real import need
from tests.support.tiny import CHECKOUT, run_ocibuild
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

_OWN = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
PROJECT = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.12,<3.13"\ndependencies = ["pure"]\n'


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    need("skopeo", "docker-registry", root=False)
    folder = tmp_path_factory.mktemp("hub")
    with docker_hub(folder / "registry") as running:
        for version in ("3.12.7", "3.11.9"):
            layer = make_tar(*docker_python(version))
            minor = version.rpartition(".")[0]
            config = config_of([layer], run={"Env": ["PATH=/usr/local/bin:/usr/bin"], "Cmd": ["python3"]})
            archive = save_like_old_docker(folder / f"{minor}.tar", [layer], config)
            running.hold(archive, f"library/python:{minor}-slim")
        yield running


def ocibuild(folder: Path, *words: str, hub: Hub | None = None) -> tuple[int, str]:
    """Run it on a project; with ``hub`` Docker Hub is there, and else nothing is."""
    environ = {name: value for name, value in os.environ.items() if name not in _OWN}
    environ["HTTPS_PROXY"] = hub.proxy if hub else "http://127.0.0.1:9"
    ours = ["--ca-file", str(hub.registry.ca_file)] if hub else []
    places = ["--cache-dir", str(folder.parent / "cache"), "--layers", str(CHECKOUT / "layers"), "--progress", "none"]
    done = run_ocibuild(*words, *places, *ours, environ=environ, cwd=folder)
    return done.returncode, done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    make_wheel(folder / "shelf", "pure", "1.0")
    (folder / "pyproject.toml").write_text(PROJECT)
    return folder


def test_the_image_is_found_locked_and_carried_and_stays_what_it_was(hub: Hub, project: Path) -> None:
    code, said = ocibuild(project, "lock", ".", "--find-links", str(project / "shelf"), hub=hub)
    assert code == 0, said
    assert "base: docker.io/library/python:3.12-slim, for requires-python >=3.12,<3.13 in pyproject.toml" in said
    base = read(project / "pylock.toml").base
    assert base.startswith("docker.io/library/python:3.12-slim@sha256:")
    code, said = ocibuild(project, "download", ".", "--find-links", str(project / "shelf"), hub=hub)
    assert code == 0, said
    for out in ("one.tar", "two.tar"):
        code, said = ocibuild(project, "build", "./", "--locked", "--offline", "--out", out)
        assert code == 0, said
        assert "no bytecode: no Python 3.12.7" in said and '[python] compiler = "base"' in said
    assert (project / "one.tar").read_bytes() == (project / "two.tar").read_bytes()


def test_where_no_way_leads_there_it_is_said_what_to_do(project: Path) -> None:
    code, said = ocibuild(project, "build", "./", "--find-links", str(project / "shelf"))
    assert code == 1
    assert 'write base = "REGISTRY/library/python:3.12-slim" into image.toml' in said and "--base" in said


def test_the_base_that_is_offered_for_a_later_release_has_it(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    make_wheel(folder / "shelf", "late", "1.0", requires_python=">=3.11.5")
    (folder / "requirements.txt").write_text("late\n")
    links = ["--find-links", str(folder / "shelf"), "--out", "app.tar"]
    code, said = ocibuild(folder, "build", "./", *links, hub=hub)
    assert code == 1 and "late 1.0 needs Python >=3.11.5, and the base has 3.11.2" in said
    offered = 'base = "docker.io/library/python:3.11-slim"'
    assert f"or stand on an image that has it: {offered} in image.toml" in said
    (folder / "image.toml").write_text(f'{offered}\n[python]\nbytecode = "none"\n')
    code, said = ocibuild(folder, "build", "./", *links, hub=hub)
    assert code == 0, said
