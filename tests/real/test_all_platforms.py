"""Layouts of images for machines that nobody builds for here go to registries and back; skopeo says what is right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.oci.mediatypes import INDEX
from tests.support.archives import make_tar
from tests.support.engines import call
from tests.support.imported import blobs_of, config_of, files
from tests.support.real import need
from tests.support.registries import DockerRegistry, close_opened, docker_registry

pytestmark = pytest.mark.real

MACHINES: list[dict[str, str]] = [
    {"os": "linux", "architecture": "amd64"},
    {"os": "linux", "architecture": "arm64", "variant": "v8"},
    {"os": "linux", "architecture": "arm", "variant": "v7"},
    {"os": "linux", "architecture": "s390x"},
    {"os": "linux", "architecture": "ppc64le"},
    {"os": "linux", "architecture": "riscv64"},
    {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2402"},
]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_opened()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    need("skopeo", root=False)
    with docker_registry(tmp_path_factory.mktemp("all")) as found:
        yield found


class Layout:
    """Blobs, and the entries of an index, as they are added."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def image(self, platform: dict[str, str]) -> dict[str, Any]:
        layer = make_tar(*files(("which", json.dumps(platform).encode())))
        made, descriptor, _ = blobs_of([layer], {**config_of([layer]), **platform})
        self.blobs |= made
        return descriptor

    def attestation(self, of: dict[str, Any]) -> dict[str, Any]:
        unknown = {"os": "unknown", "architecture": "unknown"}
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"]}
        return {**self.image({**unknown, "variant": of["digest"][7:12]}), "platform": unknown, "annotations": about}

    def index(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, indent=3).encode()
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        self.blobs[digest] = raw
        return {"mediaType": INDEX, "digest": digest, "size": len(raw)}

    def write(self, folder: Path, entries: list[dict[str, Any]]) -> Path:
        (folder / "blobs" / "sha256").mkdir(parents=True)
        for digest, blob in self.blobs.items():
            (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(blob)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
        return folder


def everything(folder: Path, *, nested: bool) -> tuple[Path, str]:
    """A layout with one name for an index of all machines, attestations, an image that says no platform, and where
    ``nested`` an index."""
    layout = Layout()
    images = [{**layout.image(platform), "platform": platform} for platform in MACHINES]
    beside = [layout.attestation(images[0]), layout.attestation(images[1])]
    beside.append(layout.image({"os": "linux", "architecture": "loong64"}))
    if nested:
        beside.append(layout.index([layout.image({"os": "linux", "architecture": "mips64le"})]))
    top = layout.index([*images, *beside])
    name = {"org.opencontainers.image.ref.name": "all"}
    return layout.write(folder, [{**top, "annotations": name}]), str(top["digest"])


def names(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs" / "sha256").iterdir()}


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def skopeo(*words: object) -> str:
    flags = ["--src-tls-verify=false", "--dest-tls-verify=false"] if words[0] == "copy" else ["--tls-verify=false"]
    return call("skopeo", "--insecure-policy", str(words[0]), *flags, *map(str, words[1:])).stdout


def raw(reference: object) -> str:
    return hashlib.sha256(skopeo("inspect", "--raw", f"docker://{reference}").encode()).hexdigest()


# skopeo copies no index within an index.
@pytest.mark.parametrize("nested", [False, True])
def test_all_of_a_layout_arrives_and_skopeo_copies_it_all(
    registry: DockerRegistry, tmp_path: Path, nested: bool
) -> None:
    layout, digest = everything(tmp_path / "layout", nested=nested)
    reference, cache = registry.reference(f"team/ours{nested:d}:1"), f"--cache-dir={tmp_path}/cache"
    run("push", layout, reference, cache)
    assert f"sha256:{raw(reference)}" == digest
    if not nested:
        skopeo("copy", "--all", "--preserve-digests", f"docker://{reference}", f"oci:{tmp_path}/theirs:all")
        assert names(tmp_path / "theirs") == names(layout)
    run("pull", reference, "--out", f"{tmp_path}/back/", cache)
    assert names(tmp_path / "back") == names(layout)
    run("verify", tmp_path / "back")


def test_what_skopeo_pushed_comes_back_whole(registry: DockerRegistry, tmp_path: Path) -> None:
    layout = Layout()
    images = [{**layout.image(platform), "platform": platform} for platform in MACHINES]
    top = layout.index([*images, layout.attestation(images[0])])
    folder = layout.write(tmp_path / "layout", [{**top, "annotations": {"org.opencontainers.image.ref.name": "all"}}])
    reference, cache = registry.reference("team/theirs:1"), f"--cache-dir={tmp_path}/cache"
    skopeo("copy", "--all", "--preserve-digests", f"oci:{folder}:all", f"docker://{reference}")
    run("pull", reference, "--out", f"{tmp_path}/back/", cache)
    assert names(tmp_path / "back") == names(folder)


@pytest.mark.parametrize("packed", [False, True])
def test_images_side_by_side_become_one_index_of_all(registry: DockerRegistry, tmp_path: Path, packed: bool) -> None:
    layout = Layout()
    images = [layout.image(platform) for platform in MACHINES]
    place = layout.write(tmp_path / "layout", [*images, layout.attestation(images[3])])
    reference, cache = registry.reference(f"team/flat{packed:d}:1"), f"--cache-dir={tmp_path}/cache"
    if packed:
        place = tmp_path / "layout.tar"
        call("tar", "-C", tmp_path / "layout", "-cf", place, "index.json", "oci-layout", "blobs")
    run("push", place, reference, cache)
    found = json.loads(skopeo("inspect", "--raw", f"docker://{reference}"))["manifests"]
    assert [each["digest"] for each in found[:-1]] == [each["digest"] for each in images]
    assert [each["platform"] for each in found[:-1]] == MACHINES
    assert found[-1]["annotations"]["vnd.docker.reference.digest"] == images[3]["digest"]


def test_one_image_for_an_unknown_machine_goes_and_comes(registry: DockerRegistry, tmp_path: Path) -> None:
    layout = Layout()
    folder = layout.write(tmp_path / "layout", [layout.image({"os": "linux", "architecture": "s390x"})])
    reference, cache = registry.reference("team/one:1"), f"--cache-dir={tmp_path}/cache"
    run("push", folder, reference, cache)
    run("pull", reference, "--out", f"{tmp_path}/back/", cache)
    assert names(tmp_path / "back") == names(folder)
    (entry,) = json.loads((tmp_path / "back" / "index.json").read_text())["manifests"]
    assert entry["platform"] == {"architecture": "s390x", "os": "linux"}


def test_two_images_for_one_machine_are_not_guessed_between(
    registry: DockerRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout()
    platform = {"os": "linux", "architecture": "s390x"}
    entries = [layout.image(platform), layout.image({**platform, "author": "another"})]
    folder = layout.write(tmp_path / "layout", entries)
    assert main(["push", str(folder), str(registry.reference("team/two:1")), f"--cache-dir={tmp_path}/cache"]) == 1
    assert "holds 2 images: for s390x/linux, s390x/linux" in capsys.readouterr().err
