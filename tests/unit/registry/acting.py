"""What most tests here do with a registry."""

from __future__ import annotations

from oci_builder.digest import Digest
from oci_builder.image import Image
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.registry.pulling import blob_chunks
from oci_builder.registry.pushing import Pushed
from oci_builder.registry.registries import Registries
from oci_builder.store import Store
from tests.support.fakeregistry import FakeRegistry
from tests.support.registries import push

DATA = bytes(range(256)) * 400


def blob_of(registry: FakeRegistry, data: bytes = DATA) -> Descriptor:
    """``data``, in the registry."""
    return Descriptor(media_type=LAYER_GZIP, digest=Digest.parse(registry.hold(data)), size=len(data))


def read(registry: FakeRegistry, registries: Registries, blob: Descriptor) -> bytes:
    """All of a blob."""
    return b"".join(blob_chunks(registry.reference("team/x:1"), blob, registries))


def pushed(image: Image, registry: FakeRegistry, registries: Registries, store: Store) -> Pushed:
    """Push an image as ``team/x:1``."""
    names = [registry.reference("team/x:1")]
    return push([image], names, registries, store)[0]
