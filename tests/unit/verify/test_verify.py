from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import FileProblem
from oci_builder.export.docker_archive import write_file
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from tests.support.archives import HandMade, Json, folder, make_tar, member
from tests.support.images import random_image

LAYER = make_tar(folder("a"), member("a/f", data=b"x"))
OTHER = "sha256:" + "0" * 64
REFERENCES = [Reference.parse("mypy:1"), Reference.parse("localhost:5000/mypy:1")]


def findings(path: Path) -> str:
    return "\n".join(verify_file(path).findings)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_what_we_write_is_right_and_reported_as_it_is(store: Store, tmp_path: Path, name: str) -> None:
    image = random_image(store, layers=3)
    write_file(image, tmp_path / name, references=REFERENCES, store=store, reporter=Quiet())
    report = verify_file(tmp_path / name)
    assert report.findings == ()
    assert (report.image_id, report.manifest_digest) == (image.id, image.digest)
    assert [(la.digest, la.size, la.diff_id, la.entries) for la in report.layers] == [
        (la.descriptor.digest, la.descriptor.size, la.diff_id, len(la.entries)) for la in image.layers
    ]


def test_a_hand_made_file_is_right_until_it_is_changed(tmp_path: Path) -> None:
    assert findings(HandMade([LAYER, LAYER]).write(tmp_path / "x.tar")) == ""


def _set(*keys: str | int, to: Json) -> Callable[[Json], None]:
    """A change that puts ``to`` at the place in a document that ``keys`` lead to."""

    def change(document: Json) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_set("rootfs", "diff_ids", to=[OTHER]), "layer 1: its content has the diff ID"),
        (_set("rootfs", "diff_ids", to=[]), "0 diff IDs for 1 layer"),
        (_set("rootfs", "type", to="other"), "rootfs.type is not 'layers'"),
        (_set("rootfs", to=None), "0 diff IDs"),
        (_set("history", to=[]), "history tells of 0 layers, and there are 1"),
        (_set("history", to=[{}, {}]), "history tells of 2 layers"),
        (_set("history", to="x"), "history is not an array"),
        (_set("os", to=""), "no os"),
        (_set("architecture", to=None), "no architecture"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(
    tmp_path: Path, change: Callable[[Json], None], finding: str
) -> None:
    assert finding in findings(HandMade([LAYER], change_config=change).write(tmp_path / "x.tar"))


def test_steps_without_a_layer_and_no_history_at_all_are_fine(tmp_path: Path) -> None:
    steps = _set("history", to=[{"empty_layer": True}, {}])
    assert findings(HandMade([LAYER], change_config=steps).write(tmp_path / "x.tar")) == ""
    none = HandMade([LAYER], change_config=lambda config: config.pop("history"))
    assert findings(none.write(tmp_path / "y.tar")) == ""


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_set("layers", 0, "size", to=5), "bytes, and its descriptor says 5"),
        (_set("layers", 0, "digest", to=OTHER), f"blobs/sha256/{'0' * 64} is not there"),
        (_set("layers", 0, "digest", to="md5:1"), "not a sha256 digest"),
        (_set("layers", 0, "mediaType", to="application/vnd.oci.image.layer.v1.tar+zstd"), "and said to be zstd"),
        (_set("layers", 0, "mediaType", to="application/vnd.oci.image.layer.v1.tar"), "disagree about its compression"),
        (_set("layers", 0, "mediaType", to="application/vnd.docker.image.rootfs.diff.tar.gzip"), "diff.tar.gzip in a"),
        (_set("layers", to={}), "expected an array of descriptors"),
        (_set("layers", 0, to=None), "not a sha256 digest"),
        (_set("layers", 0, "size", to="5"), "lacks a size or a media type"),
        (_set("config", "size", to=5), "its descriptor says 5 bytes"),
        (_set("config", "digest", to=OTHER), "is not in the archive"),
        (_set("config", "mediaType", to="application/vnd.docker.container.image.v1+json"), "its configuration is a"),
        (_set("schemaVersion", to=1), "it is not a"),
        (_set("mediaType", to="text/plain"), "it is not a"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(tmp_path: Path, change: Callable[[Json], None], finding: str) -> None:
    assert finding in findings(HandMade([LAYER], change_manifest=change).write(tmp_path / "x.tar"))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_set("manifests", to=[]), "index.json names no image"),
        (_set("manifests", 0, "digest", to=OTHER), "is not in the archive"),
        (_set("manifests", 0, "size", to=1), "its descriptor says 1 bytes"),
        (_set("manifests", 0, "mediaType", to="text/plain"), "neither image nor index"),
        (_set("manifests", 0, "annotations", to={}), "docker.io/library/x:1, and index.json nothing"),
        (_set("manifests", 0, "annotations", "io.containerd.image.name", to="x:2"), "index.json docker.io/library/x:2"),
        (_set("manifests", 0, "annotations", "io.containerd.image.name", to="X"), "'X' is not an image reference"),
        (_set("manifests", 0, "annotations", "org.opencontainers.image.ref.name", to="2"), "is not the tag of"),
        (_set("schemaVersion", to=3), "not an OCI index"),
    ],
)
def test_an_index_that_does_not_fit_is_named(tmp_path: Path, change: Callable[[Json], None], finding: str) -> None:
    assert finding in findings(HandMade([LAYER], change_index=change).write(tmp_path / "x.tar"))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_set(0, "Config", to="blobs/sha256/x"), "name different configurations"),
        (_set(0, "Layers", to=[]), "name different layers"),
        (_set(0, "RepoTags", to=["x:2"]), "manifest.json names the image docker.io/library/x:2"),
        (_set(0, "RepoTags", to=None), "manifest.json names the image nothing"),
        (lambda document: document.append({}), "name different configurations"),
        (lambda document: document.clear(), "0 images"),
    ],
)
def test_a_docker_manifest_that_says_something_else_is_named(
    tmp_path: Path, change: Callable[[Json], None], finding: str
) -> None:
    assert finding in findings(HandMade([LAYER], change_docker=change).write(tmp_path / "x.tar"))


def test_unknown_keys_are_remarked(tmp_path: Path) -> None:
    odd = HandMade([LAYER], change_index=_set("manifests", 0, "odd", to=1), change_docker=_set(0, "layers", to=[]))
    report = verify_file(odd.write(tmp_path / "x.tar"))
    assert 'index.json: a descriptor: unknown key "odd"' in report.remarks
    assert 'manifest.json: unknown key "layers"' in report.remarks


@pytest.mark.parametrize(
    ("extra", "finding"),
    [
        ({"index.json": b"{"}, "index.json: not valid JSON"),
        ({"index.json": b"[]"}, "index.json: expected a JSON object"),
        ({"index.json": b'{"manifests":[],"manifests":[]}'}, "a key occurs twice"),
        ({"manifest.json": b"{}"}, "manifest.json: expected a JSON array"),
        ({"manifest.json": b'[],"x":[]'}, "something lies behind its JSON value"),
        ({"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}, "imageLayoutVersion is not '1.0.0'"),
        ({"blobs/sha256/" + "0" * 64: b"x"}, f"blobs/sha256/{'0' * 64}: its bytes have the digest"),
        ({"manifest.json": b" " * (5 << 20)}, "a document has 4194304 at most"),
    ],
)
def test_documents_that_do_not_read_are_named(tmp_path: Path, extra: dict[str, bytes], finding: str) -> None:
    assert finding in findings(HandMade([LAYER], extra=extra).write(tmp_path / "x.tar"))


def test_a_layout_without_docker_manifest_and_a_docker_archive_without_layout_are_fine(tmp_path: Path) -> None:
    layout = HandMade([LAYER], without=["manifest.json"]).write(tmp_path / "layout.tar")
    docker = HandMade([LAYER], without=["index.json", "oci-layout"]).write(tmp_path / "docker.tar")
    assert (findings(layout), findings(docker)) == ("", "")
    assert verify_file(docker).image_id == verify_file(layout).image_id
    assert verify_file(docker).manifest_digest is None


def test_an_archive_of_something_else_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar(member("file")))
    assert findings(path) == "the archive holds neither index.json (an OCI layout) nor manifest.json (a docker archive)"


@pytest.mark.parametrize("content", [b"", b"no tar", gzip.compress(b"no tar", mtime=0), b"\x1f\x8b", bytes(512)])
def test_a_file_that_is_no_archive_has_findings_and_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    report = verify_file(path)
    assert report.findings
    assert (report.image_id, report.layers) == (None, ())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="none: no such file"):
        verify_file(tmp_path / "none")


def test_more_layers_than_docker_mounts_are_named(tmp_path: Path) -> None:
    path = HandMade([make_tar(member(f"f{number}")) for number in range(126)]).write(tmp_path / "x.tar")
    assert findings(path) == "the image: 126 layers, and Docker mounts 125 at most"


def test_a_blob_with_one_wrong_byte_is_named_with_its_layer(store: Store, tmp_path: Path) -> None:
    image = random_image(store)
    path = tmp_path / "x.tar"
    write_file(image, path, references=REFERENCES, store=store, reporter=Quiet())
    blob = store.read(image.layers[1].descriptor.digest, image.layers[1].descriptor.size)
    data = path.read_bytes()
    at = data.index(blob) + 100
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert f"layer 2 ({image.layers[1].descriptor.digest}): its bytes have the digest sha256:" in findings(path)


def test_memory_does_not_grow_with_the_layers(tmp_path: Path) -> None:
    size = 96 << 20
    plain = make_tar(member("zeros", data=bytes(size)))
    path = HandMade([gzip.compress(plain, 1, mtime=0)]).write(tmp_path / "x.tar")
    digest = Digest.of(plain)
    del plain
    tracemalloc.start()
    try:
        (layer,) = verify_file(path).layers
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert layer.diff_id == digest
    assert peak < size // 8
