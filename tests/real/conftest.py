"""The reference image, built once for all tests that look at it."""

from __future__ import annotations

import contextlib
import io
import itertools
import pickle
from pathlib import Path

import pytest
from filelock import FileLock

from oci_builder.cli import main
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.reading import read_image
from tests.support import readers
from tests.support.engines import DockerLike

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cache() -> list[str]:
    """The flags for the cache: the user's own, so that a second run fetches nothing."""
    return []


@pytest.fixture(scope="session")
def mypy_tar(shared: Path, cache: list[str]) -> Path:
    """``build/mypy`` as its users build it: amd64, from its lock."""
    path = shared / "mypy.tar"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            build("mypy", "--out", str(path), "--platform", "linux/amd64", *cache)
    return path


@pytest.fixture(scope="session")
def mypy(mypy_tar: Path, docker: DockerLike) -> str:
    """The reference image, loaded into the distribution's docker."""
    return docker.load(mypy_tar)


def build(name: str, *flags: str, project: Path = ROOT) -> str:
    """Run ``ocibuild build`` in this process; what it says on stderr. Fails the test unless it exits 0."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(["build", name, "--project-dir", str(project), "--progress", "plain", "--verify", *flags])
    assert code == 0, said.getvalue()
    for flag, place in itertools.pairwise(flags):
        if flag == "--out":
            readers.read_image(Path(place))
    return said.getvalue()


@pytest.fixture(scope="session")
def mypy_contents(shared: Path, mypy_tar: Path) -> ImageContents:
    """What is in the reference image, read once for all processes."""
    kept = shared / "mypy-contents.pickle"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            kept.write_bytes(pickle.dumps(read_image(mypy_tar)))
        contents = pickle.loads(kept.read_bytes())
    assert isinstance(contents, ImageContents)
    return contents
