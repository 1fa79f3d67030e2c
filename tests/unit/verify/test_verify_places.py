"""Images in folders and of several platforms: every check that a file gets."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.verify.verify import verify_file
from tests.support.archives import folder, make_tar, member
from tests.support.imported import config_of, save_layout, save_like_old_docker
from tests.support.installed import unpacked
from tests.support.layouts import save_several

ONE = make_tar(folder("a"), member("a/f", data=b"one"))
TWO = make_tar(member("g", data=b"two"))


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return save_layout(tmp_path / "layout", [ONE, TWO], config_of([ONE, TWO]))


def findings(path: Path) -> str:
    return "\n".join(verify_file(path).findings)


def blobs(layout: Path) -> list[Path]:
    """Its blobs, the largest last."""
    return sorted((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)


def test_a_layout_in_a_folder_holds(layout: Path) -> None:
    report = verify_file(layout)
    assert (report.findings, report.remarks) == ((), ())
    assert [layer.diff_id and layer.diff_id.hex for layer in report.layers] == [
        hashlib.sha256(tar).hexdigest() for tar in (ONE, TWO)
    ]
    assert [image.platform for image in report.images] == ["linux/amd64"]


def test_every_damaged_blob_of_a_folder_is_named(layout: Path) -> None:
    for path in blobs(layout):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert path.name in findings(layout), path
        path.write_bytes(data)
    assert findings(layout) == ""


def test_every_missing_blob_of_a_folder_is_named(layout: Path) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    for path in blobs(layout):
        data = path.read_bytes()
        path.unlink()
        assert path.name in findings(layout) or index["manifests"][0]["digest"].endswith(path.name), path
        assert findings(layout)
        path.write_bytes(data)


def test_a_stray_blob_is_remarked_and_a_damaged_one_is_wrong(layout: Path) -> None:
    stray = layout / "blobs" / "sha256" / hashlib.sha256(b"x").hexdigest()
    stray.write_bytes(b"x")
    report = verify_file(layout)
    assert report.findings == ()
    assert report.remarks == (f"blobs/sha256/{stray.name}: nothing refers to it",)
    stray.write_bytes(b"y")
    assert f"blobs/sha256/{stray.name}: its bytes have the digest" in findings(layout)


def test_a_link_out_of_the_folder_is_never_followed(layout: Path, tmp_path: Path) -> None:
    blob = blobs(layout)[-1]
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    said = findings(layout)
    assert f"blobs/sha256/{blob.name} is a symbolic link to {tmp_path / 'elsewhere'}, out of the folder" in said
    assert f"blobs/sha256/{blob.name} is not " in said


def test_a_folder_that_is_a_link_to_elsewhere_is_not_followed(layout: Path, tmp_path: Path) -> None:
    (layout / "blobs").rename(tmp_path / "blobs")
    (layout / "blobs").symlink_to(tmp_path / "blobs")
    assert "blobs is a symbolic link to" in findings(layout)
    assert verify_file(layout).images == ()


def test_a_link_within_the_folder_is_the_file_it_leads_to(layout: Path) -> None:
    blob = blobs(layout)[-1]
    blob.rename(layout / "kept")
    blob.symlink_to("../../kept")
    assert findings(layout) == ""


def test_a_pipe_in_the_folder_is_named_and_not_waited_for(layout: Path) -> None:
    os.mkfifo(layout / "blobs" / "sha256" / "pipe")
    assert "blobs/sha256/pipe is neither file, folder nor a symbolic link" in findings(layout)


def test_an_unpacked_docker_archive_holds_with_its_links(tmp_path: Path) -> None:
    archive = save_like_old_docker(tmp_path / "x.tar", [ONE, TWO, ONE], config_of([ONE, TWO, ONE]))
    assert findings(archive) == ""
    to = unpacked(archive, tmp_path / "folder")
    (to / f"{2:064x}").mkdir(exist_ok=True)
    link = to / f"{2:064x}" / "layer.tar"
    link.unlink(missing_ok=True)
    link.symlink_to(f"../{0:064x}/layer.tar")
    assert findings(to) == ""


def test_a_folder_with_nothing_of_an_image_is_said_to_be_one(tmp_path: Path) -> None:
    assert "holds neither index.json (an OCI layout) nor manifest.json" in findings(tmp_path)


CONFIGS = [config_of([ONE]), config_of([ONE], architecture="arm64", variant="v8")]


@pytest.mark.parametrize("nested", [True, False])
def test_all_images_of_a_layout_are_checked(tmp_path: Path, nested: bool) -> None:
    report = verify_file(save_several(tmp_path / "x", ONE, CONFIGS, nested=nested))
    assert report.findings == ()
    assert [image.platform for image in report.images] == ["linux/amd64", "linux/arm64/v8"]


def test_what_is_wrong_with_the_second_image_is_found(tmp_path: Path) -> None:
    wrong = config_of([ONE], architecture="arm64", rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64]})
    assert "its content has the diff ID" in findings(save_several(tmp_path / "x", ONE, [CONFIGS[0], wrong]))


def test_a_platform_that_docker_left_out_is_remarked(tmp_path: Path) -> None:
    report = verify_file(save_several(tmp_path / "x", ONE, CONFIGS, without=[1]))
    assert report.findings == ()
    assert len(report.remarks) == 1 and "named, and not here: linux/arm64 (sha256:" in report.remarks[0]


def attestation(layer: bytes, *, claimed: bytes) -> tuple[dict[str, bytes], dict[str, Any]]:
    """What BuildKit puts beside an image: a manifest whose blob is a statement, and its descriptor."""

    def named(data: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}

    config = json.dumps({"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers"}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": named(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [named(claimed, "application/vnd.in-toto+json")],
    }
    raw = json.dumps(document).encode()
    annotations = {"vnd.docker.reference.type": "attestation-manifest"}
    blobs = {named(claimed, "")["digest"]: layer, named(config, "")["digest"]: config, named(raw, "")["digest"]: raw}
    return blobs, {**named(raw, MANIFEST), "annotations": annotations}


def test_an_attestation_beside_an_image_is_no_image_and_its_blobs_are_checked(tmp_path: Path) -> None:
    more, descriptor = attestation(b"{}", claimed=b"{}")
    report = verify_file(save_several(tmp_path / "x", ONE, CONFIGS[:1], more=more, also=[descriptor]))
    assert (report.findings, report.remarks, len(report.images)) == ((), (), 1)
    more, descriptor = attestation(b"{ }", claimed=b"{}")
    assert "its bytes have the digest" in findings(
        save_several(tmp_path / "y", ONE, CONFIGS[:1], more=more, also=[descriptor])
    )


def test_an_index_within_itself_is_no_endless_work(tmp_path: Path) -> None:
    path = save_several(tmp_path / "x", ONE, CONFIGS[:1])
    index = json.loads((path / "index.json").read_bytes())
    index["manifests"] *= 3
    (path / "index.json").write_text(json.dumps(index))
    assert len(verify_file(path).images) == 1


def test_a_base_that_images_share_is_read_once_for_all(tmp_path: Path) -> None:
    report = verify_file(save_several(tmp_path / "x", ONE, [config_of([ONE]), config_of([ONE], architecture="arm64")]))
    assert report.images[0].layers == report.images[1].layers
