"""One file that every engine loads, and every engine unpacks to the tree it was made from."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from oci_builder.export.docker_archive import write_file
from oci_builder.image import Image
from oci_builder.oci.documents import Healthcheck, RunConfig
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.tree import Tree
from oci_builder.verify.verify import verify_file
from tests.support.engines import Containerd, DockerLike, call
from tests.support.images import fresh_nonce, random_image
from tests.support.real import need, oracles

pytestmark = pytest.mark.real

_OWN = ("dev", "proc", "sys", "run", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
"""What an engine puts into a container by itself."""

_ENGINES = ["docker", "podman", "newest_docker"]
_CONTAINERDS = ["containerd", "newest_containerd"]


@pytest.fixture
def nonce() -> str:
    return fresh_nonce()


@pytest.fixture
def image(store: Store, nonce: str) -> Image:
    return random_image(store, layers=3, nonce=nonce)


@pytest.fixture
def reference(nonce: str) -> Reference:
    return Reference.parse(f"tested-{nonce}:1")


@pytest.fixture
def archive(image: Image, store: Store, reference: Reference, tmp_path: Path) -> Path:
    path = tmp_path / "image.tar"
    write_file(image, path, references=[reference], store=store, reporter=Quiet())
    assert verify_file(path).findings == ()
    return path


def engine_of(request: pytest.FixtureRequest, name: str) -> DockerLike:
    engine = request.getfixturevalue(name)
    assert isinstance(engine, DockerLike)
    return engine


@pytest.mark.parametrize("name", _ENGINES)
def test_the_image_loads_runs_and_has_the_id_we_print(
    request: pytest.FixtureRequest, name: str, image: Image, archive: Path, reference: Reference, nonce: str
) -> None:
    engine = engine_of(request, name)
    loaded = engine.load(archive)
    assert Reference.parse(loaded) == reference
    # containerd's image store, which the newest docker has, names images by their manifest.
    assert engine.image_id(str(reference)) == str(image.digest if name == "newest_docker" else image.id)
    assert engine.run(loaded).stdout == f"hello {nonce}\n"
    engine.remove(loaded)


@pytest.mark.parametrize("name", _ENGINES)
def test_the_unpacked_files_are_the_entries_of_the_tree(
    request: pytest.FixtureRequest, name: str, image: Image, archive: Path, store: Store, tmp_path: Path
) -> None:
    engine = engine_of(request, name)
    loaded = engine.load(archive)
    engine.export(loaded, tmp_path / "root.tar")
    engine.remove(loaded)
    assert _exported(tmp_path / "root.tar") == _expected(image, store)


@pytest.mark.parametrize("name", _ENGINES)
def test_the_engine_reads_the_whole_configuration(
    request: pytest.FixtureRequest, name: str, store: Store, reference: Reference, tmp_path: Path
) -> None:
    engine = engine_of(request, name)
    run = RunConfig(
        user="1000:1000",
        env={"PATH": "/bin", "LANG": "C.UTF-8"},
        entrypoint=("/bin/hello",),
        cmd=("--all",),
        workdir="/home/user",
        labels={"org.opencontainers.image.title": "tested"},
        exposed_ports=("8080/tcp",),
        volumes=("/home/user/data",),
        stop_signal="SIGINT",
        healthcheck=Healthcheck(test=("CMD", "/bin/hello"), interval=30_000_000_000, retries=3),
    )
    path = tmp_path / "image.tar"
    write_file(random_image(store, run=run), path, references=[reference], store=store, reporter=Quiet())
    seen = engine.inspect(engine.load(path))
    known = {key: seen["Config"].get(key) for key in run.to_json() if key != "Healthcheck"}
    assert known == {key: value for key, value in run.to_json().items() if key != "Healthcheck"}
    # podman reads a health check from docker's own media types alone: the OCI's do not know it.
    if name != "podman":
        health = seen["Config"]["Healthcheck"]
        assert (health["Test"], health["Interval"], health["Retries"]) == (["CMD", "/bin/hello"], 30_000_000_000, 3)
    engine.remove(str(reference))


def test_every_name_of_an_image_leads_to_it(
    docker: DockerLike, image: Image, store: Store, nonce: str, tmp_path: Path
) -> None:
    names = [Reference.parse(f"{nonce}:1"), Reference.parse(f"{nonce}:latest"), Reference.parse(f"localhost/{nonce}:1")]
    path = tmp_path / "image.tar"
    write_file(image, path, references=names, store=store, reporter=Quiet())
    docker.load(path)
    assert {docker.image_id(str(name)) for name in names} == {str(image.id)}


def test_an_image_without_a_name_loads_by_its_id(
    docker: DockerLike, image: Image, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "image.tar"
    write_file(image, path, references=[], store=store, reporter=Quiet())
    assert verify_file(path).findings == ()
    assert docker.load(path) == str(image.id)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_file_compressed_outside_loads_too(
    request: pytest.FixtureRequest, name: str, image: Image, store: Store, reference: Reference, tmp_path: Path
) -> None:
    path = tmp_path / "image.tar.gz"
    write_file(image, path, references=[reference], store=store, reporter=Quiet())
    assert verify_file(path).findings == ()
    engine = engine_of(request, name)
    assert engine.image_id(engine.load(path)) == str(image.id)


def test_an_image_of_125_layers_runs_in_docker(
    docker: DockerLike, store: Store, reference: Reference, nonce: str, tmp_path: Path
) -> None:
    image = random_image(store, layers=125, nonce=nonce, size=100)
    path = tmp_path / "image.tar"
    write_file(image, path, references=[reference], store=store, reporter=Quiet())
    loaded = docker.load(path)
    assert docker.run(loaded).stdout == f"hello {nonce}\n"
    docker.remove(loaded)


@pytest.mark.parametrize("name", _CONTAINERDS)
def test_ctr_imports_and_runs_the_image(
    request: pytest.FixtureRequest, name: str, image: Image, archive: Path, reference: Reference, nonce: str
) -> None:
    engine = request.getfixturevalue(name)
    assert isinstance(engine, Containerd)
    engine.load(archive)
    assert engine.images()[str(reference)] == str(image.digest)
    assert engine.run(str(reference)).stdout == f"hello {nonce}\n"


def test_skopeo_copies_the_docker_archive_with_every_layer(image: Image, archive: Path, tmp_path: Path) -> None:
    need("skopeo", root=False)
    copy = tmp_path / "copy"
    call("skopeo", "--insecure-policy", "copy", f"docker-archive:{archive}", f"dir:{copy}")
    assert (copy / image.id.hex).read_bytes() == image.config
    manifest = json.loads((copy / "manifest.json").read_bytes())
    assert len(manifest["layers"]) == len(image.layers)


def test_skopeo_copies_the_oci_archive_byte_for_byte(
    image: Image, archive: Path, reference: Reference, tmp_path: Path
) -> None:
    need("skopeo", root=False)
    copy = tmp_path / "copy"
    call("skopeo", "--insecure-policy", "copy", f"oci-archive:{archive}:{reference.tag}", f"dir:{copy}")
    assert (copy / "manifest.json").read_bytes() == image.manifest
    assert {path.name for path in copy.iterdir()} >= {layer.descriptor.digest.hex for layer in image.layers}


def test_umoci_unpacks_the_layout_inside_the_file(
    image: Image, archive: Path, reference: Reference, store: Store, tmp_path: Path
) -> None:
    need("umoci")
    layout = tmp_path / "layout"
    with tarfile.open(archive) as opened:
        opened.extractall(layout, filter="data")
    call("umoci", "unpack", "--image", f"{layout}:{reference.tag}", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    for path, (kind, mode, uid, gid, _, target) in _expected(image, store).items():
        found = (root / path).lstat()
        assert (path, found.st_uid, found.st_gid) == (path, uid, gid)
        if kind is Kind.SYMLINK:
            assert (root / path).readlink() == Path(target)
        else:
            assert (path, found.st_mode & 0o7777) == (path, mode)


def test_crane_validates_the_file(archive: Path) -> None:
    crane = oracles("crane") / "crane"
    assert "PASS" in call(crane, "validate", "--tarball", archive).stdout


def test_verify_finds_nothing_wrong_with_what_docker_saves(
    docker: DockerLike, image: Image, archive: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.tar"
    docker.call("save", "--output", saved, docker.load(archive))
    report = verify_file(saved)
    assert report.findings == ()
    assert report.image_id == image.id
    assert [layer.diff_id for layer in report.layers] == [layer.diff_id for layer in image.layers]


def test_verify_finds_nothing_wrong_with_what_skopeo_writes(image: Image, archive: Path, tmp_path: Path) -> None:
    need("skopeo", root=False)
    copy = tmp_path / "copy.tar"
    call("skopeo", "--insecure-policy", "copy", f"docker-archive:{archive}", f"oci-archive:{copy}:1")
    assert verify_file(copy).findings == ()


def test_an_unloadable_change_is_one_that_verify_reports_first(docker: DockerLike, archive: Path) -> None:
    broken = archive.with_name("broken.tar")
    data = bytearray(archive.read_bytes())
    data[-5000] ^= 1
    broken.write_bytes(data)
    assert verify_file(broken).findings
    assert docker.call("load", "--input", broken, check=False).returncode != 0


_Seen = tuple[Kind, int, int, int, int, str]


def _expected(image: Image, store: Store) -> dict[str, _Seen]:
    merged = Tree()
    for layer in image.layers:
        merged = merged.overlaid(layer.tree(store))
    return {entry.path: _seen(entry) for entry in merged if not _is_own(entry.path)}


def _seen(entry: Entry) -> _Seen:
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.target


def _exported(path: Path) -> dict[str, _Seen]:
    kinds = {tarfile.DIRTYPE: Kind.DIRECTORY, tarfile.SYMTYPE: Kind.SYMLINK, tarfile.REGTYPE: Kind.FILE}
    with tarfile.open(path) as archive:
        members = {member.name.removeprefix("./").rstrip("/"): member for member in archive}
    return {
        name: (kinds[member.type], member.mode & 0o7777, member.uid, member.gid, member.size, member.linkname)
        for name, member in members.items()
        if name and not _is_own(name)
    }


def _is_own(path: str) -> bool:
    return path.split("/")[0] in _OWN or path in _OWN
