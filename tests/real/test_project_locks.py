"""A folder with another tool's lock and no recipe, as an image in docker: its command runs, and finds what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.conftest import build
from tests.support.engines import DockerLike
from tests.support.images import fresh_nonce
from tests.support.projects import make_project
from tests.support.tiny import Tiny
from tests.support.wheels import make_wheel
from tests.unit.assemble.test_local_projects import LOCKS

pytestmark = pytest.mark.real

APP = """
def main():
    import importlib.metadata as metadata, lib, tool
    print("app", lib.NAME, tool.VALUE, metadata.version("lib"), lib.__file__.endswith("-packages/lib.py"))
"""


@pytest.mark.parametrize("lock", LOCKS)
def test_a_project_starts_with_what_its_lock_says(
    docker: DockerLike, lock: str, tmp_path: Path, cache: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Tiny(tmp_path)
    make_wheel(tiny.wheels, "tool", "2.0", files={"tool.py": "VALUE = 2\n"})
    make_project(tmp_path, requires=["lib"], code=APP)
    make_project(tmp_path / "libs" / "lib", name="lib", requires=["tool"], code='NAME = "beside"\n')
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write('[project]\nname = "app"\nversion = "1.0"\n')
    (tmp_path / lock).write_text(LOCKS[lock](tiny))
    # All that it takes is here: no index is asked.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    tag, out = f"project-{fresh_nonce()}", tmp_path / "app.tar"
    words = ["--tag", tag, "--find-links", str(tiny.wheels), "--platform", "linux/amd64", "--out", str(out)]
    build(str(tmp_path), *words, *cache, project=tmp_path)
    image = docker.load(out)
    said = docker.run(image, "app").stdout
    docker.remove(image)
    assert said == "app beside 2 1.0 True\n"
