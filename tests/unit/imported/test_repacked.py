"""An image in zstd goes into a file that Docker 20.10 loads: other layers, the same image."""

from __future__ import annotations

from pathlib import Path

from oci_builder.export.docker_archive import write_file
from oci_builder.imported.repacked import in_gzip
from oci_builder.oci.manifest import GivenImage, Manifest, parse_manifest
from oci_builder.oci.mediatypes import LAYER_GZIP, LAYER_ZSTD
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from tests.support.archives import make_tar
from tests.support.imported import blobs_of, config_of, files

LAYERS = [make_tar(*files(("etc/a", b"a"))), make_tar(*files(("etc/b", b"b")))]


def given(store: Store, *, zstd: bool) -> GivenImage:
    """An image as it was pulled."""
    blobs, _, manifest = blobs_of(LAYERS, config_of(LAYERS), zstd=zstd)
    for blob in blobs.values():
        store.put_bytes(blob)
    parsed = parse_manifest(manifest, media_type="", what="the image")
    assert isinstance(parsed, Manifest)
    config = store.read(parsed.config.digest, parsed.config.size)
    return GivenImage(platform=AMD64, parsed=parsed, config=config)


def test_layers_in_zstd_become_gzip_and_the_image_keeps_its_id(store: Store, tmp_path: Path) -> None:
    image = given(store, zstd=True)
    assert {layer.descriptor.media_type for layer in image.layers} == {LAYER_ZSTD}
    packed = in_gzip(image, store, what="the image")
    assert packed.id == image.id and packed.digest != image.digest
    assert {layer.descriptor.media_type for layer in packed.layers} == {LAYER_GZIP}
    write_file(packed, tmp_path / "image.tar", references=[], store=store, reporter=Quiet())
    assert verify_file(tmp_path / "image.tar").findings == ()


def test_an_image_without_zstd_stays_what_it_is(store: Store) -> None:
    image = given(store, zstd=False)
    assert in_gzip(image, store, what="the image") is image
