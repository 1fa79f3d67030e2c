"""Images in a form that every engine loads: Docker 20.10 knows no layers in zstd."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import BinaryIO

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.files import open_regular
from oci_builder.imported.layers import LayerDescription, open_layer
from oci_builder.imported.opening import describe
from oci_builder.imported.parts import LayerBlob
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.manifest import GivenImage, Manifest, manifest_of, parse_manifest
from oci_builder.oci.mediatypes import LAYER_ZSTD, MANIFEST
from oci_builder.store import Store


def in_gzip(image: GivenImage, store: Store, *, what: str) -> GivenImage:
    """``image``, of OCI's media types, with gzip layers in place of those in zstd; they are in the store afterwards.

    So must the given ones be before. The configuration stays, and with it the ID that Docker 20.10 and podman call the
    image by; the manifest's digest does not. Raises UnsupportedImage and DigestMismatch, naming ``what``.
    """
    given = [layer.descriptor for layer in image.layers]
    if not any(descriptor.media_type == LAYER_ZSTD for descriptor in given):
        return image
    named = describe(image.config, image.platform, layers=len(given), what=what).layers
    layers = [_packed(descriptor, name, store) for descriptor, name in zip(given, named, strict=True)]
    parsed = parse_manifest(manifest_of(image.config_descriptor, layers), media_type=MANIFEST, what=what)
    if not isinstance(parsed, Manifest):
        raise UnsupportedImage(what, "its manifest is an index")
    return GivenImage(platform=image.platform, parsed=parsed, config=image.config)


def _packed(descriptor: Descriptor, named: LayerDescription, store: Store) -> Descriptor:
    if descriptor.media_type != LAYER_ZSTD:
        return descriptor
    with contextlib.ExitStack() as stack:

        def opened(digest: Digest) -> BinaryIO:
            return stack.enter_context(open_regular(store.path(digest)))

        blob = LayerBlob(descriptor.digest, descriptor.size, partial(opened, descriptor.digest))
        return open_layer(blob, named, store).descriptor
