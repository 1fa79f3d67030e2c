"""What an engine of this machine has of an image, and so need not be handed again.

The image stays itself, ID and all: a patch would load faster where a low layer changed, and what runs would then be
called otherwise than what was built.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from oci_builder.digest import Digest
from oci_builder.errors import FileProblem, UnsupportedImage
from oci_builder.export.engine_images import EngineImage, StoreKind
from oci_builder.image import Image
from oci_builder.oci.manifest import Manifest, parse_manifest
from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.store import Store
from oci_builder.updates.target import common_layers

_LOADED = "loaded-1"


def expected_ids(image: Image, kind: StoreKind) -> frozenset[Digest]:
    """What the engine calls the image once it has it."""
    if kind == "unknown":
        return frozenset({image.id, image.digest})
    return frozenset({image.digest if kind == "containerd" else image.id})


def unneeded(
    image: Image, held: Sequence[EngineImage], kind: StoreKind, manifest: Callable[[Digest], Manifest | None]
) -> frozenset[Digest]:
    """The layers of ``image`` that an engine which has the images ``held`` loads it without.

    ``manifest`` gives that of an image by its digest, where it is known: only it says how layers are packed.
    """
    if kind == "containerd":
        # It keeps the packed bytes as well, and has to be able to hand them on: what is left out is there to the byte.
        known = [manifest(each.id) for each in held]
        there = {layer.digest for each in known if each is not None for layer in each.layers}
        return frozenset(layer.descriptor.digest for layer in image.layers) & there
    diff_ids = [layer.diff_id for layer in image.layers]
    if kind == "podman":
        unpacked = {diff_id for each in held for diff_id in each.diff_ids}
        return frozenset(layer.descriptor.digest for layer in image.layers if layer.diff_id in unpacked)
    # A graph driver knows a layer by all those below it.
    common = max((common_layers(each.diff_ids, diff_ids) for each in held), default=0)
    digests = [layer.descriptor.digest for layer in image.layers]
    # One that comes again above travels with that.
    return frozenset(digests[:common]) - frozenset(digests[common:])


class LoadedImages:
    """The manifests of images that engines were given from here, by digest: kept in the store with the rest."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, digest: Digest) -> Manifest | None:
        """The manifest, if an engine was given that image; a bad record is forgotten."""
        raw = self._store.record(_LOADED, digest.hex)
        if raw is None:
            return None
        with contextlib.suppress(UnsupportedImage):
            found = parse_manifest(raw, media_type=MANIFEST, what="a manifest")
            if isinstance(found, Manifest) and found.descriptor.digest == digest:
                return found
        self._store.drop_record(_LOADED, digest.hex)
        return None

    def keep(self, image: Image) -> None:
        """Remember that an engine has the image; where the cache takes nothing, it gets the next one whole."""
        with contextlib.suppress(FileProblem):
            self._store.put_record(_LOADED, image.digest.hex, image.manifest)
