"""Images that docker made as bases: committed, saved, pushed; what is built on them runs as after FROM."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.cli.request import CommandRequest
from oci_builder.cli.settings import make_settings
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from oci_builder.wheels import lock
from tests.real.conftest import ROOT, build
from tests.support.engines import DockerLike
from tests.support.real import need
from tests.support.registries import DockerRegistry, docker_registry
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

BINARY = "charset-normalizer"

# Debian's Python, moved to where docker.io's image has its own: it finds its library beside itself.
MOVE = """
import os, shutil
for name in ("bin/python3.11", "lib/python3.11"):
    target = f"/usr/local/{name}"
    if os.path.islink(target):
        os.unlink(target)
shutil.copytree("/usr/lib/python3.11", "/usr/local/lib/python3.11", symlinks=True, dirs_exist_ok=True)
shutil.copy("/usr/bin/python3.11", "/usr/local/bin/python3.11")
os.mkdir("/srv/app")
os.chown("/srv/app", 1500, 1500)
open("/etc/passwd", "a").write("app:x:1500:1500::/srv/app:/bin/sh\\n")
open("/etc/group", "a").write("app:x:1500:\\n")
"""

LOOK = """
import json, os, sys, charset_normalizer, charset_normalizer.md, pure
try:
    import pure.old as old
except ImportError:
    old = None
print(json.dumps({
    "prefix": sys.prefix, "pure": pure.VERSION, "old": old is not None, "uid": os.getuid(), "gid": os.getgid(),
    "cwd": os.getcwd(), "env": os.environ.get("FROM_THE_BASE"), "compiled": os.path.exists(pure.__cached__),
    "binary": os.path.realpath(charset_normalizer.md.__file__),
}))
"""


@dataclass(frozen=True)
class Ground:
    """A project, and in it an image that docker made and saved, called ``name`` there."""

    project: Path
    saved: Path
    name: str

    def recipe(self, base: str, more: str = "") -> Path:
        """The folder of the image ``app`` on ``base``, without a lock."""
        folder = self.project / "build" / "app"
        # Not in wheels/: then nobody would ask a registry.
        shelf = '[python]\nfind-links = ["../../shelf"]\n'
        (folder / "image.toml").write_text(f'base = "{base}"\n{shelf}{more}')
        (folder / "pylock.toml").unlink(missing_ok=True)
        return folder


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, mypy_tar: Path, docker: DockerLike) -> Iterator[Ground]:
    """Our own base with a wheel in it, changed and committed by docker, Python under /usr/local."""
    project = tmp_path_factory.mktemp("ground")
    below, app = project / "build" / "below", project / "build" / "app"
    make_wheel(below / "wheels", "pure", "1.0", files={"pure/__init__.py": "VERSION = 1\n", "pure/old.py": ""})
    make_wheel(project / "shelf", "pure", "2.0", files={"pure/__init__.py": "VERSION = 2\n"})
    (below / "requirements.txt").write_text("pure\n")
    app.mkdir()
    (app / "requirements.txt").write_text(f"pure\n{BINARY}\n")
    (below / "image.toml").write_text('[user]\nname = "root"\n[python]\nbytecode = "none"\n')
    store = Store(make_settings(CommandRequest()).cache)
    for pin in lock.read(ROOT / "build" / "mypy" / "pylock.toml").select(TARGET):
        if pin.name == BINARY:
            os.link(store.path(pin.sha256), project / "shelf" / pin.filename)
    build("below", "--out", str(project / "below.tar"), project=project)
    below_name = docker.load(project / "below.tar")
    container = docker.call("create", "--network=none", below_name, "/usr/bin/python3.11", "-c", MOVE).stdout.strip()
    docker.call("start", "--attach", container)
    changes = ["USER app", "WORKDIR /srv/app", "ENV FROM_THE_BASE=yes", "LABEL from=base", 'ENTRYPOINT ["python3.11"]']
    docker.call("commit", *(f"--change={change}" for change in changes), container, "ground:1")
    docker.call("rm", container)
    docker.call("save", "--output", project / "ground.tar", "ground:1")
    yield Ground(project, project / "ground.tar", "ground:1")
    for name in ("ground:1", below_name):
        docker.remove(name)


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    need("docker-registry", root=False)
    with docker_registry(tmp_path / "registry") as running:
        yield running


def looked(docker: DockerLike, archive: Path) -> dict[str, object]:
    """What a container of the image in ``archive`` sees; the base's entrypoint starts Python."""
    image = docker.load(archive)
    try:
        return dict(json.loads(docker.run(image, "-c", LOOK).stdout))
    finally:
        docker.remove(image)


def test_an_image_on_a_saved_one_runs_as_after_from(ground: Ground, docker: DockerLike, tmp_path: Path) -> None:
    ground.recipe(str(ground.saved), '[config]\nenv = { OURS = "too" }\n')
    build("app", "--out", str(tmp_path / "app.tar"), project=ground.project)
    seen = looked(docker, tmp_path / "app.tar")
    site = "/usr/local/lib/python3.11/site-packages"
    assert str(seen.pop("binary")).startswith(f"{site}/charset_normalizer/md.")
    assert seen == {
        "prefix": "/usr/local",
        "pure": 2,
        "old": False,
        "uid": 1500,
        "gid": 1500,
        "cwd": "/srv/app",
        "env": "yes",
        "compiled": True,
    }
    assert verify_file(tmp_path / "app.tar").findings == ()


def test_docker_keeps_the_bases_history_and_knows_what_is_ours(
    ground: Ground, docker: DockerLike, tmp_path: Path
) -> None:
    ground.recipe(str(ground.saved))
    build("app", "--out", str(tmp_path / "app.tar"), project=ground.project)
    image = docker.load(tmp_path / "app.tar")
    said = docker.call("history", "--no-trunc", "--format={{.CreatedBy}}", image).stdout.splitlines()
    config, below = docker.inspect(image), docker.inspect(ground.name)
    docker.remove(image)
    assert config["RootFS"]["Layers"][: len(below["RootFS"]["Layers"])] == below["RootFS"]["Layers"]
    assert config["Config"]["Labels"]["from"] == "base" and config["Config"]["User"] == "app"
    assert any(line.startswith("ocibuild removes pure 1.0") for line in said)
    assert any(line.startswith("ocibuild base python-3.11") for line in said)


def test_a_base_of_a_registry_is_pinned_and_a_moved_tag_refused(
    ground: Ground, docker: DockerLike, registry: DockerRegistry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reference = str(registry.reference("team/py:1"))
    docker.call("tag", ground.name, reference)
    docker.call("push", reference)
    folder = ground.recipe(reference)
    assert main(["lock", "app", "--project-dir", str(ground.project)]) == 0
    pinned = lock.read(folder / "pylock.toml").base
    assert pinned.startswith(f"{reference}@sha256:")
    build("app", "--locked", "--out", str(tmp_path / "app.tar"), project=ground.project)
    # docker pushes its own media types; what is built has OCI's alone.
    assert verify_file(tmp_path / "app.tar").findings == ()
    assert looked(docker, tmp_path / "app.tar")["pure"] == 2

    below = next(
        line for line in docker.call("images", "--format={{.Repository}}:{{.Tag}}").stdout.split() if "below" in line
    )
    docker.call("tag", below, reference)
    docker.call("push", reference)
    command = ["build", "app", "--project-dir", str(ground.project), "--out", str(tmp_path / "no.tar")]
    assert main([*command, "--locked"]) == 1
    assert "its tag has moved to sha256:" in capfd.readouterr().err
    # Frozen and offline builds take the lock's, which the store has.
    build("app", "--frozen", "--out", str(tmp_path / "again.tar"), project=ground.project)
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "app.tar").read_bytes()
    said = build("app", "--out", str(tmp_path / "moved.tar"), project=ground.project)
    assert "pylock.toml was behind and has been brought up to date" in said
    assert lock.read(folder / "pylock.toml").base != pinned
    for name in (reference,):
        docker.remove(name)
