"""Rebased images in other people's engines: what ``docker build`` makes of the same Dockerfile on the new base."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.export.docker_archive import write_file
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.engines import DockerLike, call
from tests.support.images import fresh_nonce, random_image
from tests.support.real import oracles
from tests.support.registries import docker_registry, push
from tests.support.updates import exported

pytestmark = pytest.mark.real

_DOCKERFILE = """FROM {base}
ENV MODE=fast PATH=/opt/own/bin:$PATH
COPY --chown=1000:1000 own /opt/own
COPY own/data /home/user/data
LABEL app=yes
EXPOSE 8080
"""


def run(tmp_path: Path, *argv: str | Path) -> tuple[int, str]:
    """Run ocibuild; its exit code and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main([*map(str, argv), "--cache-dir", str(tmp_path / "cache"), "--progress", "none"])
    return code, said.getvalue()


def base(tmp_path: Path, name: str, nonce: str) -> Path:
    store = Store(tmp_path / "images")
    path = tmp_path / f"{name}.tar"
    image = random_image(store, nonce=nonce)
    write_file(image, path, references=[Reference.parse(f"{name}-{nonce}:1")], store=store, reporter=Quiet())
    return path


def docker_build(docker: DockerLike, tmp_path: Path, below: str, name: str) -> None:
    folder = tmp_path / "context"
    (folder / "own" / "bin").mkdir(parents=True, exist_ok=True)
    if not (folder / "own" / "data").exists():
        (folder / "own" / "data").write_text("data")
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=below))
    docker.call("build", "-q", "-t", name, folder)


def without_times(path: Path) -> dict[str, tuple[object, ...]]:
    """What a container sees, but for the times of folders that a build makes when it runs."""
    return {name: (*face[:4], "" if face[0] == b"5" else face[4], *face[5:]) for name, face in exported(path).items()}


def test_what_docker_built_on_one_base_is_on_another_what_docker_builds_there(
    docker: DockerLike, tmp_path: Path
) -> None:
    one, two = fresh_nonce(), fresh_nonce()
    old, new = base(tmp_path, "old", one), base(tmp_path, "new", two)
    for path in (old, new):
        docker.load(path)
    docker_build(docker, tmp_path, f"old-{one}:1", f"app-{one}:1")
    docker_build(docker, tmp_path, f"new-{two}:1", f"wanted-{one}:1")
    docker.call("save", f"app-{one}:1", "-o", tmp_path / "app.tar")
    code, said = run(
        tmp_path,
        *("rebase", tmp_path / "app.tar", "--onto", new, "--base", old),
        *("--out", tmp_path / "out.tar", "--tag", f"rebased-{one}:1", "--verify"),
    )
    assert code == 0, said
    assert docker.load(tmp_path / "out.tar") == f"rebased-{one}:1"
    assert docker.run(f"rebased-{one}:1").stdout == f"hello {two}\n"
    for name in ("rebased", "wanted"):
        docker.export(f"{name}-{one}:1", tmp_path / f"{name}.tar")
    assert without_times(tmp_path / "rebased.tar") == without_times(tmp_path / "wanted.tar")
    found, wanted, before = (docker.inspect(f"{name}-{one}:1") for name in ("rebased", "wanted", "app"))
    for key in ("Env", "Entrypoint", "User", "WorkingDir", "ExposedPorts"):
        assert sorted(found["Config"][key]) == sorted(wanted["Config"][key])
    assert found["Config"]["Cmd"] == wanted["Config"]["Cmd"]
    assert found["RootFS"]["Layers"][2:] == before["RootFS"]["Layers"][2:]
    assert found["RootFS"]["Layers"][:2] == wanted["RootFS"]["Layers"][:2]
    # And as an update of what the target has.
    code, said = run(
        tmp_path,
        *("rebase", tmp_path / "app.tar", "--onto", new, "--base", old, "--since", tmp_path / "app.tar"),
        *("--out", tmp_path / "update.tar", "--tag", f"updated-{one}:1", "--force"),
    )
    assert code == 0, said
    docker.load(tmp_path / "update.tar")
    docker.export(f"updated-{one}:1", tmp_path / "updated.tar")
    assert exported(tmp_path / "updated.tar") == exported(tmp_path / "rebased.tar")
    for name in ("rebased", "updated", "wanted", "app"):
        docker.remove(f"{name}-{one}:1")
    docker.remove(f"old-{one}:1")
    docker.remove(f"new-{two}:1")


def test_a_rebased_manifest_names_the_layers_that_cranes_does(tmp_path: Path) -> None:
    crane = oracles("crane") / "crane"
    store = Store(tmp_path / "images")
    with docker_registry(tmp_path / "registry") as registry:
        registries = registry.registries()
        old, new = random_image(store, nonce=fresh_nonce()), random_image(store, nonce=fresh_nonce())
        app = old.append(*random_image(store, nonce=fresh_nonce()).layers[1:])
        for name, image in (("old", old), ("new", new), ("app", app)):
            push([image], [registry.reference(f"team/{name}:1")], registries, store)
        host = registry.reference("team/app:1").registry
        names = {name: f"{host}/team/{name}:1" for name in ("old", "new", "app")}
        words = ("--old_base", names["old"], "--new_base", names["new"], "-t", f"{host}/team/app:crane", "--insecure")
        call(crane, "rebase", names["app"], *words)
        code, said = run(
            tmp_path,
            *("rebase", names["app"], "--onto", names["new"], "--base", names["old"]),
            *("--push", f"{host}/team/app:ours", "--insecure"),
        )
        assert code == 0, said
        theirs, ours = (_documents(crane, f"{host}/team/app:{name}") for name in ("crane", "ours"))
    assert [layer["digest"] for layer in ours[0]["layers"]] == [layer["digest"] for layer in theirs[0]["layers"]]
    assert ours[1]["rootfs"] == theirs[1]["rootfs"]
    assert [step["created_by"] for step in ours[1]["history"]] == [step["created_by"] for step in theirs[1]["history"]]
    for key in ("Entrypoint", "User", "WorkingDir"):
        assert ours[1]["config"][key] == theirs[1]["config"][key]
    marks = ("org.opencontainers.image.base.digest",)
    assert all(ours[0]["annotations"][mark] == theirs[0]["annotations"][mark] for mark in marks)


def _documents(crane: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest, config = (call(crane, kind, name, "--insecure").stdout for kind in ("manifest", "config"))
    return json.loads(manifest), json.loads(config)
