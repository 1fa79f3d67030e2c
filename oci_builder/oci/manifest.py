"""Manifests and indexes that came from outside, with the bytes they came as (manifest.md, image-index.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.oci.contracts import ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, decode, encode
from oci_builder.oci.mediatypes import (
    CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    INDEX,
    INDEXES,
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    MANIFEST,
    MANIFESTS,
)
from oci_builder.platforms import Platform

_MAX_PARTS = 1000
"""Layers of a manifest, or manifests of an index; engines stop far below."""


_LAYERS = {
    DOCKER_LAYER: LAYER_GZIP,
    DOCKER_LAYER_ZSTD: LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TAR,
}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An image's (or artifact's) manifest; ``raw`` are the bytes that its digest is of."""

    raw: bytes = field(repr=False)
    media_type: str
    artifact_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @cached_property
    def descriptor(self) -> Descriptor:
        """What names the manifest."""
        return Descriptor(media_type=self.media_type, digest=Digest.of(self.raw), size=len(self.raw))

    @property
    def is_docker(self) -> bool:
        """Whether it speaks Docker's media types (schema 2) instead of OCI's."""
        return self.media_type == DOCKER_MANIFEST


@dataclass(frozen=True, slots=True)
class GivenLayer:
    """A layer by name; where its bytes are is another's business."""

    descriptor: Descriptor


@dataclass(frozen=True, kw_only=True)
class GivenImage:
    """An image made elsewhere, by the documents it came with; ``config`` is what ``parsed.config`` names."""

    platform: Platform
    parsed: Manifest = field(repr=False)
    config: bytes = field(repr=False)

    @property
    def manifest(self) -> bytes:
        """The manifest's bytes, as they came."""
        return self.parsed.raw

    @property
    def descriptor(self) -> Descriptor:
        """What names the manifest."""
        return self.parsed.descriptor

    @property
    def config_descriptor(self) -> Descriptor:
        """What names the configuration."""
        return self.parsed.config

    @property
    def id(self) -> Digest:
        """The digest of the configuration."""
        return self.parsed.config.digest

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return self.parsed.descriptor.digest

    @cached_property
    def layers(self) -> tuple[GivenLayer, ...]:
        """The layers, oldest first."""
        return tuple(GivenLayer(descriptor) for descriptor in self.parsed.layers)

    def as_oci(self) -> GivenImage:
        """The same image in OCI's media types: a file that mixes them with Docker's is refused by some engines.

        The blobs stay what they are, and so does the image ID; the manifest's digest does not.
        """
        if not self.parsed.is_docker:
            return self
        return GivenImage(platform=self.platform, parsed=as_oci(self.parsed), config=self.config)


@dataclass(frozen=True, kw_only=True)
class IndexItem:
    """One manifest of an index; ``platform`` is None where it is for none that ocibuild builds."""

    descriptor: Descriptor
    platform: Platform | None


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index (or Docker's list): images by platform, and what else it names."""

    raw: bytes = field(repr=False)
    media_type: str
    manifests: tuple[IndexItem, ...]
    annotations: Mapping[str, str]

    @cached_property
    def descriptor(self) -> Descriptor:
        """What names the index."""
        return Descriptor(media_type=self.media_type, digest=Digest.of(self.raw), size=len(self.raw))

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms it has an image for."""
        return tuple(dict.fromkeys(item.platform for item in self.manifests if item.platform is not None))

    def select(self, platform: Platform, *, what: str) -> Descriptor:
        """The manifest for ``platform``. Raises UnsupportedImage, naming ``what``."""
        for item in self.manifests:
            if item.platform == platform:
                return item.descriptor
        there = ", ".join(map(str, self.platforms)) or "none that ocibuild knows"
        raise UnsupportedImage(what, f"there is no image for {platform} in it", hint=f"it has images for {there}")


def parse_manifest(raw: bytes, *, media_type: str, what: str) -> Manifest | Index:
    """Read a manifest or index; ``media_type`` is what whoever gave it calls it, empty if that is nothing.

    Raises UnsupportedImage, naming ``what``: not JSON, schema 1, a media type within that differs from the one outside.
    """
    document = decode(raw, what=what)
    kind = _kind(document, media_type, what)
    annotations = _annotations(document.get("annotations"), what)
    if kind in INDEXES:
        items = tuple(_item(value, what) for value in _objects(document.get("manifests"), what))
        return Index(raw=raw, media_type=kind, manifests=items, annotations=annotations)
    return Manifest(
        raw=raw,
        media_type=kind,
        artifact_type=str(document.get("artifactType") or ""),
        config=parse_descriptor(document.get("config"), what),
        layers=tuple(parse_descriptor(value, what) for value in _objects(document.get("layers"), what)),
        annotations=annotations,
    )


def parse_descriptor(value: object, what: str) -> Descriptor:
    """Read a descriptor (descriptor.md). Raises UnsupportedImage, naming ``what``."""
    fields = value if isinstance(value, dict) else {}
    size, media_type = fields.get("size"), fields.get("mediaType")
    if not (
        isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 63 and isinstance(media_type, str)
    ):
        raise UnsupportedImage(what, "a descriptor without size or media type")
    try:
        digest = Digest.parse(str(fields.get("digest")))
    except InvalidValue as error:
        raise UnsupportedImage(what, f"a descriptor whose digest is none: {error}") from error
    annotations = _annotations(fields.get("annotations"), what)
    return Descriptor(media_type=media_type, digest=digest, size=size, annotations=annotations)


def index_of(images: Sequence[ImageDocuments]) -> bytes:
    """The index of one image for several platforms, in their order, as bytes."""
    manifests = [{**image.descriptor.to_json(), "platform": platform_json(image.platform)} for image in images]
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def manifest_of(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """A manifest of OCI's kind, as bytes."""
    parts = {"config": config.to_json(), "layers": [layer.to_json() for layer in layers]}
    return encode({"schemaVersion": 2, "mediaType": MANIFEST, **parts})


def as_oci(manifest: Manifest) -> Manifest:
    """The manifest of the same image in OCI's media types."""
    layers = [_in_oci(descriptor, _LAYERS, descriptor.media_type) for descriptor in manifest.layers]
    raw = manifest_of(_in_oci(manifest.config, {}, CONFIG), layers)
    parsed = parse_manifest(raw, media_type=MANIFEST, what="the manifest")
    assert isinstance(parsed, Manifest), "it was written as one"
    return parsed


def platform_of(config: bytes, *, what: str) -> Platform:
    """The platform that a configuration says. Raises UnsupportedImage where ocibuild knows none like it."""
    document = decode(config, what=what)
    platform = _platform(document)
    if platform is None:
        names = [str(document[key]) for key in ("os", "architecture", "variant") if document.get(key)]
        raise UnsupportedImage(what, f"an image for {'/'.join(names) or 'nothing named'}")
    return platform


def platform_json(platform: Platform) -> JSON:
    """The platform object of an index (image-index.md)."""
    fields = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {name: value for name, value in fields.items() if value}


def _in_oci(descriptor: Descriptor, names: Mapping[str, str], otherwise: str) -> Descriptor:
    media_type = names.get(descriptor.media_type, otherwise)
    return Descriptor(media_type=media_type, digest=descriptor.digest, size=descriptor.size)


def _kind(document: JSON, media_type: str, what: str) -> str:
    if document.get("schemaVersion") == 1 or "signatures" in document:
        raise UnsupportedImage(what, "a manifest of schema 1", hint="push it again with a current docker or skopeo")
    inside = str(document.get("mediaType") or "")
    if media_type in (*MANIFESTS, *INDEXES):
        # Two readers that believe two different media types would see two different images.
        if inside not in ("", media_type):
            raise UnsupportedImage(what, f"it says it is a {inside}, and was given as a {media_type}")
        return media_type
    kind = inside or (INDEX if "manifests" in document else MANIFESTS[0])
    if kind not in (*MANIFESTS, *INDEXES):
        raise UnsupportedImage(what, f"a {kind} is no image")
    return kind


def _objects(values: object, what: str) -> Iterator[object]:
    if values is None:
        return
    if not isinstance(values, list) or len(values) > _MAX_PARTS:
        raise UnsupportedImage(what, f"its list of parts is no list, or longer than {_MAX_PARTS}")
    yield from values


def _annotations(value: object, what: str) -> Mapping[str, str]:
    fields = value if isinstance(value, dict) else {}
    if not all(isinstance(text, str) for text in fields.values()):
        raise UnsupportedImage(what, "an annotation that is no text")
    return fields


def _item(value: object, what: str) -> IndexItem:
    descriptor = parse_descriptor(value, what)
    platform = value.get("platform") if isinstance(value, dict) else None
    return IndexItem(descriptor=descriptor, platform=_platform(platform))


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    names = [name for key in ("os", "architecture", "variant") if (name := value.get(key))]
    # Engines compare the three as they are: what reads as a platform only when put together is none to them.
    if not all(isinstance(name, str) and "/" not in name for name in names):
        return None
    try:
        return Platform.parse("/".join(names))
    except InvalidValue:
        return None  # another system, or an attestation ("unknown/unknown")
