"""Images made elsewhere, in each form they are saved in: the same layers, read once, laid on each other."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, UnsupportedImage
from oci_builder.imported.opening import ForeignImage, open_file
from oci_builder.imported.unpacked import Unzstd
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.platforms import AMD64, ARM64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind
from tests.support.archives import folder, make_tar, member
from tests.support.imported import (
    config_of,
    files,
    save_layout,
    save_like_new_docker,
    save_like_old_docker,
)

Save = Callable[[Path, Sequence[bytes], Mapping[str, Any]], Path]
LOWER = make_tar(*files(("etc/a", b"a1"), ("etc/b", b"b1"), ("opt/x/y", b"y"), ("lib", "usr/lib"), ("usr/lib/l", b"l")))
UPPER = make_tar(*files(("etc/a", b"a2"), ("etc/.wh.b", b""), ("opt/x/.wh..wh..opq", b""), ("opt/x/z", b"z")))
FORMS: dict[str, Save] = {
    "old docker": save_like_old_docker,
    "old docker, packed": lambda path, layers, config: save_like_old_docker(path, layers, config, packed=True),
    "new docker": save_like_new_docker,
    "layout": save_layout,
    "layout in zstd": lambda path, layers, config: save_layout(path, layers, config, zstd=True),
    "layout in docker's words": lambda path, layers, config: save_layout(path, layers, config, docker=True),
}


def opened(path: Path, store: Store) -> ForeignImage:
    return open_file(path, AMD64, store=store, reporter=Quiet())


def content(image: ForeignImage, path: str) -> bytes:
    entry = image.tree.paths[image.tree.resolve(path)]
    assert entry.content is not None
    with MappedFiles() as sources:
        return sources.read(entry.content, what=path)


@pytest.mark.parametrize("save", FORMS.values(), ids=list(FORMS))
def test_every_form_gives_the_same_tree_and_layers_that_exist(save: Save, tmp_path: Path, store: Store) -> None:
    image = opened(save(tmp_path / "image", [LOWER, UPPER], config_of([LOWER, UPPER])), store)
    assert content(image, "etc/a") == b"a2"
    assert content(image, "lib/l") == b"l"
    assert [path for path in ("etc/b", "opt/x/y", "opt/x/z") if path in image.tree] == ["opt/x/z"]
    for layer, plain in zip(image.layers, (LOWER, UPPER), strict=True):
        assert layer.descriptor.media_type == LAYER_GZIP
        assert layer.diff_id == Digest.of(plain)
        assert gzip.decompress(store.read(layer.descriptor.digest, layer.descriptor.size)) == plain


def test_a_packed_layer_keeps_its_bytes(tmp_path: Path, store: Store) -> None:
    image = opened(save_layout(tmp_path / "image", [LOWER], config_of([LOWER])), store)
    assert image.layers[0].descriptor.digest == Digest.of(gzip.compress(LOWER, mtime=0))


def test_a_plain_layer_is_packed_into_the_same_bytes_by_everybody(tmp_path: Path, store: Store) -> None:
    path = save_like_old_docker(tmp_path / "image", [LOWER], config_of([LOWER]))
    first, second = opened(path, store), opened(path, Store(tmp_path / "other"))
    assert first.layers[0].descriptor == second.layers[0].descriptor


def test_layers_in_zstd_become_what_they_become_when_they_come_plain(tmp_path: Path, store: Store) -> None:
    config = config_of([LOWER])
    zstd = opened(save_layout(tmp_path / "zstd", [LOWER], config, zstd=True), store)
    plain = opened(save_like_old_docker(tmp_path / "plain", [LOWER], config), Store(tmp_path / "other"))
    assert zstd.layers[0].descriptor == plain.layers[0].descriptor


def test_what_a_layer_becomes_does_not_depend_on_what_was_read_before(tmp_path: Path, store: Store) -> None:
    config = config_of([LOWER])
    gzipped = opened(save_layout(tmp_path / "gzip", [LOWER], config), store)
    path = save_like_old_docker(tmp_path / "plain", [LOWER], config)
    after, alone = opened(path, store), opened(path, Store(tmp_path / "other"))
    assert after.layers[0].descriptor == alone.layers[0].descriptor != gzipped.layers[0].descriptor


def test_frames_of_zstd_that_readers_skip_are_skipped(tmp_path: Path, store: Store) -> None:
    skipped = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    blob = skipped + zstandard.compress(LOWER[:512]) + skipped + zstandard.compress(LOWER[512:]) + skipped
    image = opened(save_like_old_docker(tmp_path / "image", [blob], config_of([LOWER])), store)
    assert content(image, "etc/b") == b"b1"


def test_the_table_of_contents_behind_the_tar_of_an_estargz_is_passed_over(tmp_path: Path, store: Store) -> None:
    tar = LOWER + make_tar(member("stargz.index.json", data=b"{}" * 300))
    image = opened(save_layout(tmp_path / "image", [tar], config_of([tar])), store)
    assert content(image, "etc/b") == b"b1" and "stargz.index.json" not in image.tree


def test_anything_else_behind_a_tar_is_passed_over_too(tmp_path: Path, store: Store) -> None:
    tar = LOWER + UPPER
    image = opened(save_layout(tmp_path / "image", [tar], config_of([tar])), store)
    lower = opened(save_layout(tmp_path / "lower", [LOWER], config_of([LOWER])), store)
    assert [entry.path for entry in image.tree] == [entry.path for entry in lower.tree]


def test_a_little_zstd_that_stands_for_much_takes_little_memory() -> None:
    # 64 MiB in 2 kB; a whole piece of it is 16 MiB at most.
    unpacked = Unzstd(io.BytesIO(zstandard.compress(bytes(64 << 20), 19)), what="it")
    tracemalloc.start()
    while unpacked.read(1 << 20):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


def test_a_layer_is_read_once(tmp_path: Path, store: Store) -> None:
    path = save_layout(tmp_path / "image", [LOWER], config_of([LOWER]))
    first = opened(path, store)
    # Its bytes in the layout are of no interest any more.
    blob = path / "blobs" / "sha256" / first.layers[0].descriptor.digest.hex
    blob.write_bytes(gzip.compress(b"", mtime=0) + bytes(blob.stat().st_size - len(gzip.compress(b"", mtime=0))))
    assert opened(path, store).layers == first.layers


def test_a_layer_that_was_pruned_is_read_again(tmp_path: Path, store: Store) -> None:
    path = save_layout(tmp_path / "image", [LOWER], config_of([LOWER]))
    first = opened(path, store)
    store.drop(first.layers[0].diff_id)
    assert content(opened(path, store), "etc/b") == b"b1"


def test_a_link_in_place_of_a_layer_is_followed(tmp_path: Path, store: Store) -> None:
    layers = [LOWER, UPPER, LOWER]
    image = opened(save_like_old_docker(tmp_path / "image", layers, config_of(layers)), store)
    assert image.layers[0].descriptor == image.layers[2].descriptor
    assert content(image, "etc/a") == b"a1"


def test_a_hard_link_is_the_file_it_repeats(tmp_path: Path, store: Store) -> None:
    tar = make_tar(*files(("a", b"content")), member("b", tarfile.LNKTYPE, target="a"))
    image = opened(save_layout(tmp_path / "image", [tar], config_of([tar])), store)
    assert content(image, "b") == b"content"
    assert image.tree.paths[image.tree.resolve("b")].kind is Kind.FILE


def test_a_path_below_a_link_of_a_lower_layer_hides_the_link(tmp_path: Path, store: Store) -> None:
    tar = make_tar(member("lib/new", data=b"n"))
    image = opened(save_layout(tmp_path / "image", [LOWER, tar], config_of([LOWER, tar])), store)
    assert "lib/new" in image.tree and "lib" not in image.tree and "usr/lib/new" not in image.tree


def test_a_file_in_a_folders_place_takes_all_that_was_in_it(tmp_path: Path, store: Store) -> None:
    tar = make_tar(member("opt", data=b"now a file"))
    image = opened(save_layout(tmp_path / "image", [LOWER, tar], config_of([LOWER, tar])), store)
    assert "opt/x/y" not in image.tree and content(image, "opt") == b"now a file"


def test_a_layer_without_anything_is_one(tmp_path: Path, store: Store) -> None:
    tar = make_tar(folder("./"))
    assert len(opened(save_layout(tmp_path / "image", [tar], config_of([tar])), store).tree) == 0


def test_a_changed_layer_is_refused_and_nothing_of_it_stays(tmp_path: Path, store: Store) -> None:
    path = save_like_old_docker(tmp_path / "image", [UPPER], config_of([LOWER]))
    with pytest.raises(DigestMismatch, match="layer 1"):
        opened(path, store)
    assert list((store.root / "v1" / "blobs" / "sha256").iterdir()) == []


@pytest.mark.parametrize(
    ("tar", "why"),
    [
        (make_tar(member("x" * 256, data=b"x")), "a part of more than 255 bytes"),
        (make_tar(*files(("a", b"x" * 100)))[:600], "cut off"),
        (b"\x28\xb5\x2f\xfd" + bytes([7]) * 600, "not valid zstd"),
        (zstandard.compress(LOWER)[:-9], "zstd stream is cut off"),
        (zstandard.compress(LOWER) + b"more", "not valid zstd"),
        (zstandard.ZstdCompressor(write_checksum=True).compress(LOWER)[:-1] + b"?", "not valid zstd"),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(tar: bytes, why: str, tmp_path: Path, store: Store) -> None:
    path = save_like_old_docker(tmp_path / "image", [tar], config_of([tar]))
    with pytest.raises(UnsupportedImage, match=f"layer 1.*({why})"):
        opened(path, store)


def test_an_image_for_another_platform_is_refused(tmp_path: Path, store: Store) -> None:
    path = save_like_old_docker(tmp_path / "image", [LOWER], config_of([LOWER]))
    with pytest.raises(UnsupportedImage, match="for linux/amd64, not for linux/arm64"):
        open_file(path, ARM64, store=store, reporter=Quiet())


def test_a_configuration_of_another_number_of_layers_is_refused(tmp_path: Path, store: Store) -> None:
    path = save_like_old_docker(tmp_path / "image", [LOWER, UPPER], config_of([LOWER]))
    with pytest.raises(UnsupportedImage, match="names 1 layer, and it has 2"):
        opened(path, store)


def test_a_file_with_holes_is_read_again_and_anew_when_it_was_pruned(tmp_path: Path, store: Store) -> None:
    map_ = b"2\n0\n3\n1000\n4\n"
    holes = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "etc/holes"}
    holes["GNU.sparse.realsize"] = "1004"
    data = map_ + bytes(512 - len(map_)) + b"abcdefg"
    tar = make_tar(folder("etc"), member("stored", data=data, pax_headers=holes), member("etc/after", data=b"after"))
    path = save_layout(tmp_path / "image", [tar], config_of([tar]))
    for _ in range(2):
        image = opened(path, store)
        assert content(image, "etc/holes") == b"abc" + bytes(997) + b"defg"
        assert content(image, "etc/after") == b"after"
    (layer,) = image.layers
    assert layer.filled is not None
    store.path(layer.filled).unlink()
    assert content(opened(path, store), "etc/holes")[:3] == b"abc"


def test_a_hole_counts_as_what_it_unpacks_to(tmp_path: Path, store: Store) -> None:
    holes = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 42)}
    tar = make_tar(member("stored", data=b"0\n".ljust(512, b"\0"), pax_headers=holes))
    with pytest.raises(UnsupportedImage, match="unpacks to more than"):
        opened(save_layout(tmp_path / "image", [tar], config_of([tar])), store)
    assert list((store.root / "v1" / "blobs" / "sha256").iterdir()) == []


def test_following_links_has_an_end(tmp_path: Path, store: Store) -> None:
    far = "a/../" * 800 + "a"
    links = [member(f"l{number}", tarfile.SYMTYPE, target=far) for number in range(40)]
    many = [member(f"l{number % 40}/{number}/x") for number in range(20_000)]
    tar = make_tar(folder("a"), *links, *many)
    with pytest.raises(UnsupportedImage, match="more steps than anybody goes"):
        opened(save_layout(tmp_path / "image", [tar], config_of([tar])), store)
