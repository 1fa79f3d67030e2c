"""One image in every form that engines and tools save it in, as a base: the same files, and what stands on it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from oci_builder.bases import open_base
from oci_builder.export.docker_archive import write_file
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.platforms import AMD64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from tests.real.conftest import build
from tests.support.engines import DockerLike, call
from tests.support.images import fresh_nonce, random_image
from tests.support.real import need

pytestmark = pytest.mark.real

NAME = "saved-base:1"
Save = Callable[[Path, Path, DockerLike], Path]


def save(archive: Path, to: Path, engine: DockerLike, *flags: str) -> Path:
    """What an engine saves of an image it has loaded."""
    name = engine.load(archive)
    engine.call("save", *flags, "--output", to, name)
    engine.remove(name)
    return to


def copy(archive: Path, to: Path, form: str, *flags: str) -> Path:
    """What skopeo makes of a docker archive."""
    call("skopeo", "--insecure-policy", "copy", *flags, f"docker-archive:{archive}", f"{form}:{to}:{NAME}")
    return to


SKOPEO: Mapping[str, Callable[[Path, Path], Path]] = {
    "oci layout": lambda archive, folder: copy(archive, folder / "layout", "oci"),
    "oci layout in zstd": lambda archive, folder: copy(
        archive, folder / "layout", "oci", "--dest-compress-format", "zstd"
    ),
    "oci archive": lambda archive, folder: copy(archive, folder / "base.tar", "oci-archive"),
    "docker archive": lambda archive, folder: copy(archive, folder / "base.tar", "docker-archive"),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def nonce() -> str:
    return fresh_nonce()


@pytest.fixture
def archive(tmp_path: Path, nonce: str) -> Path:
    """A small image of two layers."""
    store = Store(tmp_path / "made")
    image = random_image(store, layers=2, nonce=nonce, size=5_000)
    path = tmp_path / "image.tar"
    write_file(image, path, references=[Reference.parse(NAME)], store=store, reporter=Quiet())
    return path


def assert_same(base: Path, archive: Path, store: Store) -> None:
    """The base has the files that the image in ``archive`` has, and layers that every engine loads."""
    found = open_base(base, AMD64, store=store, reporter=Quiet())
    given = open_base(archive, AMD64, store=store, reporter=Quiet())
    assert {(e.path, e.kind, e.mode, e.uid, e.gid) for e in found.tree} == {
        (e.path, e.kind, e.mode, e.uid, e.gid) for e in given.tree
    }
    assert {layer.descriptor.media_type for layer in found.layers} == {LAYER_GZIP}
    assert found.inherited is not None and found.inherited.run.entrypoint == ("/bin/hello",)


def assert_runs(base: Path, nonce: str, docker: DockerLike, folder: Path) -> None:
    """An image that stands on ``base`` and adds a file runs in Docker 20.10."""
    recipe = folder / "project" / "build" / "app"
    recipe.mkdir(parents=True)
    (recipe / "note.txt").write_text("ours\n")
    (recipe / "image.toml").write_text(f'base = "{base}"\n[[copy]]\nsrc = "note.txt"\ndest = "/note.txt"\n')
    out = folder / "app.tar"
    build("app", "--out", str(out), "--cache-dir", str(folder / "store"), project=folder / "project")
    assert verify_file(out).findings == ()
    image = docker.load(out)
    assert docker.run(image).stdout.strip() == f"hello {nonce}"
    docker.remove(image)


@pytest.mark.parametrize("form", SKOPEO.values(), ids=list(SKOPEO))
def test_what_skopeo_writes_is_a_base(
    form: Callable[[Path, Path], Path], archive: Path, store: Store, tmp_path: Path
) -> None:
    need("skopeo", root=False)
    assert_same(form(archive, tmp_path), archive, store)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saves_is_a_base(
    form: str, archive: Path, podman: DockerLike, store: Store, tmp_path: Path
) -> None:
    assert_same(save(archive, tmp_path / "base.tar", podman, "--format", form), archive, store)


def test_what_the_newest_docker_saves_is_a_base(
    archive: Path, newest_docker: DockerLike, store: Store, tmp_path: Path
) -> None:
    assert_same(save(archive, tmp_path / "base.tar", newest_docker), archive, store)


def test_what_stands_on_what_docker_saves_runs(
    archive: Path, nonce: str, docker: DockerLike, store: Store, tmp_path: Path
) -> None:
    base = save(archive, tmp_path / "base.tar", docker)
    assert_same(base, archive, store)
    assert_runs(base, nonce, docker, tmp_path)


def test_what_stands_on_layers_in_zstd_runs_in_docker(
    archive: Path, nonce: str, docker: DockerLike, tmp_path: Path
) -> None:
    assert_runs(SKOPEO["oci layout in zstd"](archive, tmp_path), nonce, docker, tmp_path)


def test_a_file_system_that_docker_exported_and_imported_is_a_base(
    archive: Path, docker: DockerLike, store: Store, tmp_path: Path
) -> None:
    image = docker.load(archive)
    docker.export(image, tmp_path / "files.tar")
    docker.call("import", "--change", 'ENTRYPOINT ["/bin/hello"]', tmp_path / "files.tar", "flat:1")
    docker.call("save", "--output", tmp_path / "base.tar", "flat:1")
    docker.remove(image)
    docker.remove("flat:1")
    base = open_base(tmp_path / "base.tar", AMD64, store=store, reporter=Quiet())
    given = open_base(archive, AMD64, store=store, reporter=Quiet())
    # docker puts files of its own there: /dev, /etc/hosts and the like.
    assert set(given.tree.paths) <= set(base.tree.paths)
    assert len(base.layers) == 1
