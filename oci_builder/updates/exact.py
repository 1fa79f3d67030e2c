"""The new image itself, less what the target has, by the rules of its store."""

from __future__ import annotations

from typing import Literal

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.imported.parts import ImageParts
from oci_builder.imported.unpacked import HEAD, Packing, packing_of
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import encode
from oci_builder.oci.manifest import GivenImage, Manifest, parse_manifest, platform_of
from oci_builder.oci.mediatypes import (
    CONFIG,
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    MANIFEST,
)
from oci_builder.updates.reading import digest_of
from oci_builder.updates.target import TargetImage, common_layers, target_of

Engine = Literal["both", "graph", "containerd"]
"""What the target keeps its layers in: docker's graph drivers, containerd's store, or whichever it is."""

_MEDIA_TYPES = {Packing.GZIP: LAYER_GZIP, Packing.ZSTD: LAYER_ZSTD, Packing.NONE: LAYER_TAR}


def exact_image(new: ImageParts) -> GivenImage:
    """The image by its own documents; of one that came without a manifest, the ID is kept. Raises UnsupportedImage."""
    manifest = new.manifest
    if manifest is None:
        ids = target_of(new).diff_ids
        layers = []
        for blob, diff_id in zip(new.layers, ids, strict=True):
            packing = packing_of(blob.open().read(HEAD))
            # kaniko packs layers, and names them by nothing that could be believed.
            digest = digest_of(blob) if packing is not Packing.NONE else diff_id
            media_type = _MEDIA_TYPES.get(packing, LAYER_TAR)
            layers.append(Descriptor(media_type=media_type, digest=digest, size=blob.size).to_json())
        config = Descriptor(media_type=CONFIG, digest=Digest.of(new.config), size=len(new.config)).to_json()
        manifest = encode({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
    parsed = parse_manifest(manifest, media_type="", what=new.name)
    if not isinstance(parsed, Manifest):
        raise UnsupportedImage(new.name, "its manifest is an index")
    return GivenImage(platform=platform_of(new.config, what=new.name), parsed=parsed, config=new.config)


def left_out(target: TargetImage, new: TargetImage, image: GivenImage, engine: Engine) -> frozenset[Digest]:
    """The layers of ``image`` that need not travel.

    A graph driver knows a layer by all those below it: what lies above the lowest that differs travels. containerd
    knows each by its bytes.
    """
    there = {digest_of(blob) for blob in target.blobs}
    common = common_layers(target.diff_ids, new.diff_ids)
    layers = [layer.descriptor.digest for layer in image.layers]
    if engine == "containerd" and there:
        return frozenset(digest for digest in layers if digest in there)
    known = layers[:common]
    # By its diff IDs alone nobody knows how the target's layers are packed; all stores know a chain of them, too.
    if engine == "both" and there:
        known = [digest for digest in known if digest in there]
    # One that comes again above travels with that.
    return frozenset(known) - frozenset(layers[common:])
