"""Updates in other people's engines: stock ``load`` makes of the old image and an update exactly the new one."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tempfile
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.engines import Containerd, DockerLike
from tests.support.images import fresh_nonce
from tests.support.updates import exported, write_images

pytestmark = pytest.mark.real

_ENGINES = ["docker", "podman", "newest_docker", "newest_graph_docker"]
SCRIPT = Path(__file__).parents[2] / "build" / "mypy" / "mypy_load.sh"


@pytest.fixture
def nonce() -> str:
    return fresh_nonce()


@pytest.fixture
def images(tmp_path: Path, nonce: str) -> tuple[Path, Path]:
    return write_images(tmp_path, nonce)


def engine_of(request: pytest.FixtureRequest, name: str) -> DockerLike:
    engine = request.getfixturevalue(name)
    assert isinstance(engine, DockerLike)
    return engine


def run(tmp_path: Path, *argv: str | Path) -> tuple[int, str]:
    """Run ocibuild; its exit code and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main([*map(str, argv), "--cache-dir", str(tmp_path / "cache"), "--progress", "none"])
    return code, said.getvalue()


def updated(tmp_path: Path, old: Path, new: Path, *flags: str) -> Path:
    path = tmp_path / "update.tar"
    code, said = run(tmp_path, "update", old, new, "--out", path, "--force", *flags)
    assert code == 0, said
    return path


def load(engine: DockerLike | Containerd, file: Path | str, nonce: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the target's side with an engine."""
    with tempfile.TemporaryDirectory() as folder:
        name = "ctr" if isinstance(engine, Containerd) else "engine"
        return _loaded(engine.client(Path(folder) / name), file, nonce)


def _loaded(client: Path, file: Path | str, nonce: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), str(file)],
        env={"PATH": "/usr/bin:/bin", "DOCKER": str(client), "IMAGE": f"tested-{nonce}:1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("name", _ENGINES)
def test_an_updated_image_is_the_new_one_in_every_entry_and_the_one_before_is_kept(
    request: pytest.FixtureRequest, name: str, images: tuple[Path, Path], nonce: str, tmp_path: Path
) -> None:
    engine = engine_of(request, name)
    image, previous = f"tested-{nonce}:1", f"tested-{nonce}:previous"
    old, new = images
    first = load(engine, old, nonce)
    assert (first.returncode, f"hello {nonce}" in first.stdout) == (0, True), first.stderr
    before = engine.image_id(image)
    receipt = tmp_path / "receipt.json"
    receipt.write_text(load(engine, "--receipt", nonce).stdout)
    assert len(receipt.read_bytes()) < 700
    # The old image's file is read once; then the cache knows its layers, and a receipt is enough.
    assert run(tmp_path, "verify", updated(tmp_path, old, new), "--since", old)[0] == 0
    done = load(engine, updated(tmp_path, receipt, new), nonce)
    assert (done.returncode, f"hello {nonce}" in done.stdout) == (0, True), done.stderr
    assert engine.inspect(image)["Config"]["Labels"]["release"] == "new"
    assert engine.image_id(previous) == before
    engine.export(image, tmp_path / "updated.tar")
    # The new image itself, less what is here: it has its own ID.
    exact = load(engine, updated(tmp_path, old, new, "--exact"), nonce)
    assert exact.returncode == 0, exact.stderr
    exactly = engine.image_id(image)
    engine.remove(image)
    engine.export(engine.load(new), tmp_path / "whole.tar")
    assert exactly == engine.image_id(image)
    assert exported(tmp_path / "updated.tar") == exported(tmp_path / "whole.tar")
    for each in (image, previous):
        engine.remove(each)


@pytest.mark.parametrize("name", _ENGINES)
def test_an_update_of_an_image_that_is_not_here_changes_nothing(
    request: pytest.FixtureRequest, name: str, images: tuple[Path, Path], nonce: str, tmp_path: Path
) -> None:
    engine = engine_of(request, name)
    update = updated(tmp_path, *images)
    missing = load(engine, update, nonce)
    assert missing.returncode == 1
    assert "which is not here; nothing was changed" in missing.stderr
    assert missing.stderr.count("missing: layer sha256:") == 3
    assert engine.call("image", "inspect", f"tested-{nonce}:1", check=False).returncode != 0
    # Another image of the same name is no better, and stays what it is.
    other = fresh_nonce()
    (tmp_path / other).mkdir()
    wrong, _ = write_images(tmp_path / other, other)
    engine.load(wrong)
    engine.call("tag", f"tested-{other}:1", f"tested-{nonce}:1")
    before = engine.image_id(f"tested-{nonce}:1")
    assert load(engine, update, nonce).returncode == 1
    assert engine.image_id(f"tested-{nonce}:1") == before
    for tag in (nonce, other):
        engine.remove(f"tested-{tag}:1")


@pytest.mark.parametrize("name", ["docker", "newest_docker"])
def test_an_update_that_is_cut_off_or_does_not_run_leaves_the_image_as_it_was(
    request: pytest.FixtureRequest, name: str, images: tuple[Path, Path], nonce: str, tmp_path: Path
) -> None:
    engine = engine_of(request, name)
    old, new = images
    update = updated(tmp_path, old, new)
    assert load(engine, old, nonce).returncode == 0
    before = engine.image_id(f"tested-{nonce}:1")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(update.read_bytes()[:-20_000])
    assert "damaged or cut off" in load(engine, cut, nonce).stderr
    broken = tmp_path / "broken.tar"
    broken.write_bytes(_damaged(update))
    failed = load(engine, broken, nonce)
    assert failed.returncode == 1, failed.stdout
    assert f"tested-{nonce}:1 is what it was before" in failed.stderr
    assert engine.image_id(f"tested-{nonce}:1") == before
    assert engine.run(f"tested-{nonce}:1").stdout == f"hello {nonce}\n"
    assert load(engine, update, nonce).returncode == 0
    for tag in ("1", "previous"):
        engine.remove(f"tested-{nonce}:{tag}")


@pytest.mark.parametrize("name", ["containerd", "newest_containerd"])
def test_ctr_takes_updates_of_what_it_has_and_of_nothing_else(
    request: pytest.FixtureRequest, name: str, images: tuple[Path, Path], nonce: str, tmp_path: Path
) -> None:
    engine = request.getfixturevalue(name)
    assert isinstance(engine, Containerd)
    image, previous = (f"docker.io/library/tested-{nonce}:{tag}" for tag in ("1", "previous"))
    old, new = images
    update = updated(tmp_path, old, new)
    missing = load(engine, update, nonce)
    assert (missing.returncode, missing.stderr.count("missing: layer sha256:")) == (1, 3), missing.stderr
    assert "nothing was changed" in missing.stderr and image not in engine.images()
    first = load(engine, old, nonce)
    assert (first.returncode, f"hello {nonce}" in first.stdout) == (0, True), first.stderr
    before = engine.images()[image]
    broken = tmp_path / "broken.tar"
    broken.write_bytes(_damaged(update))
    failed = load(engine, broken, nonce)
    assert failed.returncode == 1 and f"{image} is what it was before" in failed.stderr, failed.stderr
    assert engine.images()[image] == before
    receipt = tmp_path / "receipt.json"
    receipt.write_text(load(engine, "--receipt", nonce).stdout)
    for number, flags in enumerate(((), ("--exact", "--engine", "containerd"))):
        done = load(engine, updated(tmp_path, old if flags else receipt, new, *flags), nonce)
        assert (done.returncode, f"hello {nonce}" in done.stdout) == (0, True), done.stderr
        engine.export(image, tmp_path / f"updated{number}.tar")
    there = engine.images()
    assert there[previous] != before and f"docker.io/library/tested-{nonce}:before-update" not in there
    for each in (image, previous):
        engine.call("images", "rm", "--sync", each)
    engine.load(new)
    assert engine.images()[image] == there[image]
    engine.export(image, tmp_path / "whole.tar")
    assert (
        exported(tmp_path / "updated0.tar") == exported(tmp_path / "updated1.tar") == exported(tmp_path / "whole.tar")
    )
    engine.call("images", "rm", "--sync", image)


def _damaged(update: Path) -> bytes:
    data = bytearray(update.read_bytes())
    at = data.find(b"\x1f\x8b", len(data) // 2)
    data[at + 20 : at + 60] = bytes(40)
    return bytes(data)
