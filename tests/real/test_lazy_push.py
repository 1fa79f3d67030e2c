"""An image on a base of the same registry, pushed there: how little of the base is moved."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.digest import Digest
from oci_builder.platforms import AMD64
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_image
from tests.support.archives import make_tar
from tests.support.imported import config_of, docker_python, files, save_layout
from tests.support.registries import NEWEST, DockerRegistry, close_opened, docker_registry
from tests.support.tiny import NAME, Tiny
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

LARGE = random.Random("large").randbytes(300_000)
"""What is in the base besides a Python, and cannot be made smaller."""


@pytest.fixture(params=["docker-registry", NEWEST])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path / "registry", program=request.param) as running:
        yield running
        close_opened()


@pytest.fixture
def base(registry: DockerRegistry, tmp_path: Path) -> Reference:
    """A base of two layers, in the registry."""
    layers = [make_tar(*docker_python()), make_tar(*files(("opt/large.bin", LARGE)))]
    layout = save_layout(tmp_path / "base", layers, config_of(layers))
    reference = registry.reference("team/base:1")
    run("push", layout, reference, "--cache-dir", tmp_path / "elsewhere")
    return reference


@pytest.fixture
def project(base: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A locked image on it, of two wheels; the cache is empty."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    tiny = Tiny(tmp_path / "project")
    tiny.image.mkdir(parents=True)
    (tiny.image / "image.toml").write_text(
        f'base = "{base}"\n[python]\nrequirements = ["requirements.txt"]\nfind-links = ["../../shelf"]\n'
        'bytecode = "none"\n[layering]\nstrategy = "each"\n'
    )
    for name in ("one", "two"):
        make_wheel(tiny.root / "shelf", name, "1.0")
    tiny.require("one", "two")
    run("lock", NAME, *places(tiny))
    shutil.rmtree(tiny.cache)
    return tiny


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def places(tiny: Tiny) -> tuple[object, ...]:
    return ("--project-dir", tiny.root, "--cache-dir", tiny.cache, "--progress", "none")


@pytest.fixture
def push(project: Tiny, registry: DockerRegistry, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, int]]:
    """Build and push; what became of the blobs."""

    def act(name: str, *flags: object) -> dict[str, int]:
        capsys.readouterr()
        run("build", NAME, *places(project), "--push", registry.reference(name), "--json", *flags)
        (done,) = json.loads(capsys.readouterr().out)["pushed"]
        return dict(done["blobs"])

    return act


def test_the_base_is_read_once_and_never_sent(
    project: Tiny, registry: DockerRegistry, base: Reference, push: Callable[..., dict[str, int]]
) -> None:
    layers = fetch_image(base, AMD64, registry.registries()).layers
    whole = sum(layer.descriptor.size for layer in layers)
    before = registry.served()
    # Two of the base; two wheels, the user, the configuration.
    assert push("team/app:1", "--locked") == {"mounted": 2, "sent": 4}
    read = registry.served() - before
    assert whole <= read < whole + 10_000

    make_wheel(project.root / "shelf", "two", "1.1")
    project.require("one", "two==1.1")
    run("lock", NAME, *places(project))
    before, asked = registry.served(), len(registry.requests)
    assert push("team/app:2", "--locked") == {"mounted": 2, "sent": 2, "there": 2}
    assert registry.served() == before
    assert [line for line in registry.requests[asked:] if line.startswith("GET")] == []


def test_layers_of_a_base_that_the_cache_has_lost_are_not_missed(
    project: Tiny, registry: DockerRegistry, base: Reference, push: Callable[..., dict[str, int]]
) -> None:
    push("team/app:1", "--locked")
    lost = [layer.descriptor.digest for layer in fetch_image(base, AMD64, registry.registries()).layers]
    for digest in lost:
        blob(project, digest).unlink()
    before = registry.served()
    assert push("other/app:1", "--locked") == {"mounted": 2, "sent": 4}
    assert registry.served() == before
    # Who writes a file as well needs them after all.
    push("other/app:2", "--locked", "--out", project.out)
    assert registry.served() > before + len(LARGE)
    assert all(blob(project, digest).is_file() for digest in lost)


def blob(project: Tiny, digest: Digest) -> Path:
    return project.cache / "v1" / "blobs" / "sha256" / digest.hex
