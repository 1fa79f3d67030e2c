"""Bases of a registry: pulled, or found where `ocibuild download` put them. Read, and nothing of them is run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from oci_builder.bases.base import Base
from oci_builder.bases.copies import blobs_of, find_copy, find_manifest, layout_documents, take_layers
from oci_builder.bases.images import as_base
from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, InvalidValue, NotFound, UnsupportedImage
from oci_builder.files import open_regular
from oci_builder.imported.layers import remembered
from oci_builder.imported.opening import describe, open_image
from oci_builder.imported.parts import ImageParts, LayerBlob
from oci_builder.layer import Layer
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.layout import blob_path
from oci_builder.oci.manifest import Manifest, parse_manifest
from oci_builder.oci.mediatypes import DOCKER_LAYER, DOCKER_LAYER_ZSTD, LAYER_GZIP, LAYER_TAR, LAYER_ZSTD
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.registry.pulling import PulledImage, fetch_blobs, fetch_image, fetch_manifest
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Reporter
from oci_builder.store import Store

_GZIP = (LAYER_GZIP, DOCKER_LAYER)
_READABLE = (*_GZIP, LAYER_TAR, LAYER_ZSTD, DOCKER_LAYER_ZSTD)
_PULLED = "pulled"


class _Named(msgspec.Struct, frozen=True):
    media_type: str
    manifest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Pulling:
    """How an image comes from a registry: so many blobs at once; ``offline`` not at all.

    ``beside`` is the folder where a download may have put it, ``what`` is what errors call it, and ``image`` what a
    command line calls the image that is built. ``lazily`` leaves layers whose content is known where they are: for
    whoever pushes and writes no file.
    """

    registries: Registries
    jobs: int = 1
    lazily: bool = False
    offline: bool = False
    beside: Path | None = None
    what: str = "base image"
    image: str = "NAME"


@dataclass(frozen=True, kw_only=True)
class LayoutDownload:
    """An image for some platforms as an OCI image layout: blobs by file name, all in the store, and small documents."""

    blobs: Mapping[str, Digest]
    documents: Mapping[str, bytes]


def open_reference(
    reference: Reference, platform: Platform, *, pulling: Pulling, store: Store, reporter: Reporter
) -> Base:
    """The image that a registry has under ``reference``, as a base; its layers are in the store afterwards.

    Raises RegistryError, UnsupportedImage, DigestMismatch, FileProblem; NotFound for what would have to be pulled
    offline.
    """
    pulled = _pulled(reference, platform, pulling, store)
    name = str(pulled.reference)
    descriptors = [layer.descriptor for layer in pulled.layers]
    for descriptor in descriptors:
        if descriptor.media_type not in _READABLE:
            raise UnsupportedImage(name, f"one of its layers is a {descriptor.media_type}")
    known = _known(pulled, platform, store) if pulling.lazily else {}
    wanted = [descriptor for number, descriptor in enumerate(descriptors, 1) if number not in known]
    _fetch_layers(pulled, wanted, pulling, store=store, reporter=reporter)
    with _blobs(descriptors, store) as blobs:
        parts = ImageParts(name=name, config=pulled.config, manifest=pulled.manifest, layers=blobs)
        image = open_image(parts, platform, known=known, store=store, reporter=reporter)
    return replace(as_base(image, platform), reference=pulled.reference)


def missing_layers(
    reference: Reference, platform: Platform, *, pulling: Pulling, store: Store
) -> tuple[Descriptor, ...]:
    """The layers of an image that would have to be fetched; its documents are kept. Raises as ``open_reference``."""
    pulled = _pulled(reference, platform, pulling, store)
    layers = [layer.descriptor for layer in pulled.layers]
    if pulling.beside is not None:
        take_layers(pulling.beside, layers, store)
    return tuple(layer for layer in layers if not store.has(layer.digest, layer.size))


def fetch_copy(
    reference: Reference, platforms: Sequence[Platform], *, pulling: Pulling, store: Store, reporter: Reporter
) -> LayoutDownload:
    """What a build for ``platforms`` takes of the image that ``reference`` names by digest; it is in the store.

    Raises as ``open_reference``.
    """
    root = find_manifest(pulling.beside, reference) if pulling.beside else None
    if root is None and pulling.offline:
        raise _not_here(pulling.what, str(reference), pulling)
    root = root or fetch_manifest(reference, pulling.registries)
    digests = {store.put_bytes(root.raw)}
    for platform in platforms:
        image = _pulled(reference, platform, pulling, store)
        layers = [layer.descriptor for layer in image.layers]
        _fetch_layers(image, layers, pulling, store=store, reporter=reporter)
        digests |= blobs_of(image)
    return LayoutDownload(
        blobs={blob_path(digest): digest for digest in sorted(digests, key=str)},
        documents=layout_documents(reference, root.descriptor),
    )


def _fetch_layers(
    image: PulledImage, layers: Sequence[Descriptor], pulling: Pulling, *, store: Store, reporter: Reporter
) -> None:
    if pulling.beside is not None:
        take_layers(pulling.beside, layers, store)
    missing = [layer for layer in layers if not store.has(layer.digest, layer.size)]
    if missing and pulling.offline:
        raise _not_here(f"layer of the {pulling.what}", f"{missing[0].digest} of {image.reference}", pulling)
    fetch_blobs(image.reference, missing, pulling.registries, store=store, jobs=pulling.jobs, reporter=reporter)


def _known(pulled: PulledImage, platform: Platform, store: Store) -> dict[int, Layer]:
    """The layers that were read before, by number. What did not come in gzip is not among them: it is packed here."""
    named = describe(pulled.config, platform, layers=len(pulled.layers), what=str(pulled.reference)).layers
    found = {}
    for layer, name in zip(pulled.layers, named, strict=True):
        if layer.descriptor.media_type in _GZIP:
            descriptor = replace(layer.descriptor, media_type=LAYER_GZIP, annotations={})
            found[name.number] = remembered(descriptor, name, store)
    return {number: layer for number, layer in found.items() if layer is not None}


def _pulled(reference: Reference, platform: Platform, pulling: Pulling, store: Store) -> PulledImage:
    """Manifest and configuration; what a digest names is asked for once."""
    if reference.digest is None:
        return _kept(_fetched(reference, platform, pulling), store)
    key = Digest.of(f"{reference.digest} {platform}".encode()).hex
    found = _remembered(key, reference, platform, store)
    if found is None:
        beside = find_copy(pulling.beside, reference, platform) if pulling.beside else None
        found = _kept(beside or _fetched(reference, platform, pulling), store)
        named = {"media_type": found.descriptor.media_type, "manifest": str(found.digest), "size": len(found.manifest)}
        store.put_record(_PULLED, key, msgspec.json.encode(named))
    return found


def _fetched(reference: Reference, platform: Platform, pulling: Pulling) -> PulledImage:
    if pulling.offline:
        raise _not_here(pulling.what, str(reference), pulling)
    return fetch_image(reference, platform, pulling.registries)


def _not_here(what: str, name: str, pulling: Pulling) -> NotFound:
    places = ["the cache", *([str(pulling.beside)] if pulling.beside else [])]
    hint = f"where there is a network, ocibuild download {pulling.image} brings it, and --online builds without that"
    return NotFound(what, name, searched=places, hint=hint)


def _kept(image: PulledImage, store: Store) -> PulledImage:
    store.put_bytes(image.manifest)
    store.put_bytes(image.config)
    return image


def _remembered(key: str, reference: Reference, platform: Platform, store: Store) -> PulledImage | None:
    try:
        named = msgspec.json.decode(store.record(_PULLED, key) or b"", type=_Named)
        digest = Digest.parse(named.manifest)
        raw = store.read(digest, named.size)
        parsed = parse_manifest(raw, media_type=named.media_type, what=str(reference))
        if not isinstance(parsed, Manifest):
            # No index is kept by us.
            return None
        config = store.read(parsed.config.digest, parsed.config.size)
    except (msgspec.MsgspecError, InvalidValue, CorruptBlob):
        return None
    exact = replace(reference, digest=digest)
    return PulledImage(reference=exact, platform=platform, parsed=parsed, config=config)


@contextlib.contextmanager
def _blobs(descriptors: Sequence[Descriptor], store: Store) -> Iterator[tuple[LayerBlob, ...]]:
    """Layers of the store, opened by whoever reads them and closed here."""
    with contextlib.ExitStack() as stack:

        def opened(digest: Digest) -> BinaryIO:
            return stack.enter_context(open_regular(store.path(digest)))

        yield tuple(LayerBlob(each.digest, each.size, partial(opened, each.digest)) for each in descriptors)
