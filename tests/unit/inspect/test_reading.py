from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, UnsupportedImage
from oci_builder.export.docker_archive import write_file
from oci_builder.inspect.built import contents_of
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.reading import read_image
from oci_builder.oci.mediatypes import CONFIG, INDEX, LAYER_TAR, MANIFEST
from oci_builder.platforms import ARM64, Platform
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.archives import HandMade, folder, make_tar, member
from tests.support.images import random_image
from tests.support.installed import SITE, distribution, docker_save, image_file, layer, unpacked

BELOW = make_tar(
    folder("a"), member("a/f", data=b"one"), folder("a/d"), member("a/d/g", data=b"two"), member("h", data=b"three")
)


def tree(path: Path, *layers: bytes) -> dict[str, str]:
    """Each path a container sees, and its kind."""
    return {name: record.kind for name, record in read_image(image_file(path, *layers)).tree.items()}


def test_a_whiteout_takes_away_a_file_or_a_folder_with_all_in_it(tmp_path: Path) -> None:
    upper = make_tar(folder("a"), member("a/.wh.d"), member(".wh.h"))
    assert tree(tmp_path / "x.tar", BELOW, upper) == {"a": "directory", "a/f": "file"}


def test_an_opaque_folder_keeps_only_what_its_own_layer_puts_there(tmp_path: Path) -> None:
    upper = make_tar(folder("a"), member("a/.wh..wh..opq"), member("a/new", data=b"x"))
    assert tree(tmp_path / "x.tar", BELOW, upper) == {"a": "directory", "a/new": "file", "h": "file"}


def test_a_link_in_place_of_a_folder_takes_away_what_was_in_it(tmp_path: Path) -> None:
    upper = make_tar(member("a", tarfile.SYMTYPE, target="h"))
    assert tree(tmp_path / "x.tar", BELOW, upper) == {"a": "symlink", "h": "file"}


def test_a_folder_that_is_listed_again_keeps_what_it_holds(tmp_path: Path) -> None:
    assert tree(tmp_path / "x.tar", BELOW, make_tar(folder("a", mode=0o700))).keys() == {
        "a",
        "a/f",
        "a/d",
        "a/d/g",
        "h",
    }


def test_a_file_that_describes_packages_goes_with_its_path(tmp_path: Path) -> None:
    site = distribution("demo")
    gone = make_tar(member(f"{SITE}/.wh.demo-1.0.dist-info"))
    image = read_image(image_file(tmp_path / "x.tar", layer(site), gone))
    assert image.kept == {}
    assert [path for path in image.tree if "dist-info" in path] == []


def test_a_hard_link_is_the_file_it_repeats_and_weighs_nothing(tmp_path: Path) -> None:
    both = make_tar(member("f", data=b"one"), member("g", tarfile.LNKTYPE, target="./f"))
    records = read_image(image_file(tmp_path / "x.tar", both)).tree
    assert (records["g"].size, records["g"].sha256) == (0, records["f"].sha256)
    assert records["g"].face == records["f"].face


def test_what_was_built_and_what_was_written_are_the_same_contents(store: Store, tmp_path: Path) -> None:
    image = random_image(store, layers=3)
    name = Reference.parse("mypy:1")
    write_file(image, tmp_path / "x.tar", references=[name], store=store, reporter=Quiet())
    written = read_image(tmp_path / "x.tar")
    assert contents_of(image, store, name=written.name, references=[str(name)]) == written
    assert (written.config_digest, written.manifest_digest) == (image.id, image.digest)


def test_an_image_is_the_same_packed_plain_or_as_a_folder(tmp_path: Path) -> None:
    plain = image_file(tmp_path / "x.tar", BELOW)
    (tmp_path / "x.tgz").write_bytes(gzip.compress(plain.read_bytes()))
    kinds = [plain, tmp_path / "x.tgz", unpacked(plain, tmp_path / "folder")]
    assert len({_identity(read_image(path)) for path in kinds}) == 1


def _identity(image: ImageContents) -> tuple[object, ...]:
    return image.config_digest, image.manifest_digest, image.references, tuple(image.tree.items())


def test_a_folder_does_not_lead_to_files_outside_of_it(tmp_path: Path) -> None:
    root = unpacked(image_file(tmp_path / "x.tar", BELOW), tmp_path / "folder")
    blob = sorted((root / "blobs" / "sha256").iterdir())[0]
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsupportedImage):
        read_image(root)


def test_what_docker_saved_before_25_is_read_with_its_links(tmp_path: Path) -> None:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ["sha256:a", "sha256:b", "sha256:a"]}}
    upper = make_tar(member("h", data=b"other"))
    path = docker_save(tmp_path / "x.tar", [BELOW, upper], json.dumps(config).encode(), repeated=True)
    image = read_image(path)
    assert [(la.number, la.digest, la.diff_id) for la in image.layers] == [
        (1, None, "sha256:a"),
        (2, None, "sha256:b"),
        (3, None, "sha256:a"),
    ]
    assert image.references == ("old:1",)
    assert image.manifest_digest is None
    assert image.tree["h"].layer == 3


def layout(folder: Path, *platforms: str, nested: bool = False, absent: bool = False) -> Path:
    """An OCI layout folder with an image for each platform, as buildx writes it: an index, with attestations."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        digest = Digest.of(data)
        (blobs / digest.hex).write_bytes(data)
        return {"mediaType": media_type, "digest": str(digest), "size": len(data), **more}

    manifests = []
    for text in platforms:
        system, machine = text.split("/")[:2]
        blob = make_tar(member(machine, data=machine.encode()))
        config = {"os": system, "architecture": machine, "rootfs": {"diff_ids": [str(Digest.of(blob))]}}
        document = {
            "schemaVersion": 2,
            "config": keep(json.dumps(config).encode(), CONFIG),
            "layers": [keep(blob, LAYER_TAR)],
        }
        manifests.append(
            keep(json.dumps(document).encode(), MANIFEST, platform={"os": system, "architecture": machine})
        )
    unknown = {"os": "unknown", "architecture": "unknown"}
    manifests.append(keep(b'{"schemaVersion":2}', MANIFEST, platform=unknown))
    if absent:
        manifests.append({"mediaType": MANIFEST, "digest": f"sha256:{'9' * 64}", "size": 5})
    index: dict[str, Any] = {"schemaVersion": 2, "manifests": manifests}
    if nested:
        named = {"io.containerd.image.name": "docker.io/library/x:1"}
        index = {"schemaVersion": 2, "manifests": [keep(json.dumps(index).encode(), INDEX, annotations=named)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


@pytest.mark.parametrize("nested", [False, True])
def test_attestations_and_platforms_that_are_not_there_are_no_second_image(tmp_path: Path, nested: bool) -> None:
    image = read_image(layout(tmp_path / "x", "linux/amd64", nested=nested, absent=True))
    assert (image.platform, image.references) == ("linux/amd64", ("docker.io/library/x:1",) if nested else ())


def test_of_several_platforms_one_is_asked_for(tmp_path: Path) -> None:
    path = layout(tmp_path / "x", "linux/amd64", "linux/arm64")
    assert list(read_image(path, platform=ARM64).tree) == ["arm64"]
    with pytest.raises(UnsupportedImage, match="holds 2 images: for linux/amd64, linux/arm64") as caught:
        read_image(path)
    assert caught.value.hint is not None and "--platform" in caught.value.hint
    alone = layout(tmp_path / "y", "linux/amd64")
    with pytest.raises(UnsupportedImage, match="holds no image for linux/arm64/v8, but for linux/amd64"):
        read_image(alone, platform=Platform.parse("arm64"))


def test_two_docker_images_in_a_file_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar(member("manifest.json", data=b"[{},{}]")))
    with pytest.raises(UnsupportedImage, match=r"manifest\.json names 2 images"):
        read_image(path)


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (gzip.compress(BELOW, mtime=0)[:-20], "cut off"),
        (gzip.compress(BELOW[:2048], mtime=0), "closing block"),
        (gzip.compress(make_tar(member("x" * 256)), mtime=0), "no path of a layer"),
        (gzip.compress(make_tar(member("x" * 5000)), mtime=0), "no path of a layer"),
        (b"\x28\xb5\x2f\xfdrest", "the zstd stream is cut off"),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(tmp_path: Path, blob: bytes, why: str) -> None:
    path = docker_save(tmp_path / "x.tar", [blob], b'{"rootfs":{}}')
    with pytest.raises(UnsupportedImage, match=f"layer 1.*{why}"):
        read_image(path)


def test_a_layer_that_is_not_the_one_that_was_promised_is_refused(tmp_path: Path) -> None:
    good = image_file(tmp_path / "x.tar", BELOW)
    blob = gzip.compress(BELOW, mtime=0)
    other = gzip.compress(BELOW, mtime=1)
    assert len(other) == len(blob)
    good.write_bytes(good.read_bytes().replace(blob, other))
    with pytest.raises(DigestMismatch, match="layer 1"):
        read_image(good)


@pytest.mark.parametrize("name", ["index.json", "manifest.json"])
def test_a_file_that_is_no_image_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar(member("hello", data=b"x")))
    with pytest.raises(UnsupportedImage, match="neither a docker archive"):
        read_image(path)
    path.write_bytes(make_tar(member(name, data=b"{")))
    with pytest.raises(UnsupportedImage):
        read_image(path)


def test_a_file_without_one_of_its_layers_is_not_read(tmp_path: Path) -> None:
    made = HandMade([BELOW])
    path = made.write(tmp_path / "x.tar")
    digest = Digest.of(gzip.compress(BELOW, mtime=0))
    made.without = [f"blobs/sha256/{digest.hex}"]
    with pytest.raises(UnsupportedImage, match="is not in it"):
        read_image(made.write(path))
