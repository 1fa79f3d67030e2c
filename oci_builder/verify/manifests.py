"""Indexes and manifests followed to the images they name, wherever their blobs lie; what they say wrong is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from oci_builder.digest import Digest
from oci_builder.imported.documents import (
    Findings,
    NamedBlob,
    as_list,
    as_object,
    read_descriptor,
    read_descriptors,
    read_object,
)
from oci_builder.imported.unpacked import Packing
from oci_builder.oci.layout import blob_path
from oci_builder.oci.mediatypes import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    INDEXES,
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    MANIFEST,
)
from oci_builder.tree.limits import ByteReader
from oci_builder.wording import counted

_DOCKER_PLAIN = "application/vnd.docker.image.rootfs.diff.tar"
# Which kinds of blob go with which manifest: engines refuse a mixture, each another one.
_FAMILIES = {
    MANIFEST: (CONFIG, {LAYER_TAR, LAYER_GZIP, LAYER_ZSTD}),
    DOCKER_MANIFEST: (DOCKER_CONFIG, {DOCKER_LAYER, _DOCKER_PLAIN, DOCKER_LAYER_ZSTD}),
}
_CONFIGS = (CONFIG, DOCKER_CONFIG)
_ATTESTATION = "vnd.docker.reference.type"
"""BuildKit's annotation of manifests that tell of an image (buildkit, attestation-storage.md)."""

_MAX_DEPTH = 4
"""Indexes in indexes; docker writes two."""

_MAX_MANIFESTS = 1000


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A layer by its name in an archive, and what was promised of it; None where nothing was."""

    path: str
    digest: Digest | None = None
    size: int | None = None
    packing: Packing | None = None

    @property
    def label(self) -> str:
        """What findings call it."""
        return str(self.digest) if self.digest else self.path


@dataclass(frozen=True, slots=True)
class Contents:
    """One image by its documents. ``config`` is None where it could not be read."""

    config: bytes | None = None
    manifest_digest: Digest | None = None
    layers: tuple[LayerFile, ...] = ()
    config_path: str = ""


class Holder(Protocol):
    """Where blobs lie: an archive, a folder, a registry."""

    def wants(self, platform: str) -> bool:
        """Whether an image that an index has for ``platform`` ("linux/arm64", or nothing) is to be looked at."""

    def has(self, named: NamedBlob) -> bool:
        """Whether the manifest is there."""

    def manifest(self, named: NamedBlob, findings: Findings) -> bytes | None:
        """The bytes of a manifest or an index; None after saying why not."""

    def document(self, named: NamedBlob, findings: Findings) -> bytes | None:
        """The bytes of a configuration; None after saying why not."""

    def size(self, layer: LayerFile) -> int | None:
        """Its bytes; None where only its descriptor says how many there are."""

    def open(self, layer: LayerFile) -> ByteReader | None:
        """A layer, or another large blob, to be read before the next is opened; None if it is not there."""


@dataclass(slots=True)
class ManifestFindings:
    """What manifests led to: ``images``, ``others`` (blobs that are no layers), and the paths of all blobs.

    ``leads`` says for each manifest and index by digest which images it leads to; ``absent`` are the images that an
    index names and nobody has here, as docker saves them.
    """

    images: dict[Digest, Contents] = field(default_factory=dict)
    others: dict[str, LayerFile] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    leads: dict[Digest, frozenset[Digest]] = field(default_factory=dict)


def follow(tops: Sequence[NamedBlob], holder: Holder, findings: Findings, *, what: str) -> ManifestFindings:
    """The images that descriptors lead to. ``what`` is the document that they are from."""
    walk = _Walk(holder, findings)
    for named in tops:
        walk.visit(named, what, 0)
    return walk.found


class _Walk:
    def __init__(self, holder: Holder, findings: Findings) -> None:
        self._holder, self._findings = holder, findings
        self._seen: dict[Digest, NamedBlob] = {}
        self.found = ManifestFindings()

    def visit(self, named: NamedBlob, what: str, depth: int) -> frozenset[Digest]:
        """Follow one descriptor; gives the images it leads to."""
        known = self._seen.setdefault(named.digest, named)
        if (known.size, known.media_type) != (named.size, named.media_type):
            self._findings.add(f"{what}: two descriptors of {named.digest} differ in size or media type")
        if known is not named:
            return self.found.leads.get(named.digest, frozenset())
        self.found.leads[named.digest] = frozenset()
        if len(self._seen) > _MAX_MANIFESTS or depth > _MAX_DEPTH:
            self._findings.add(f"{what}: more than {_MAX_MANIFESTS} manifests, or {_MAX_DEPTH} indexes in each other")
        elif named.media_type in INDEXES:
            self.found.leads[named.digest] = self._index(named, depth)
        elif named.media_type in _FAMILIES:
            self.found.leads[named.digest] = self._manifest(named)
        else:
            self._findings.add(f"{what}: {named.digest} is a {named.media_type}, which is neither image nor index")
        return self.found.leads[named.digest]

    def _index(self, named: NamedBlob, depth: int) -> frozenset[Digest]:
        what = f"index {named.digest}"
        document = self._read(named, what)
        if document is None:
            return frozenset()
        values = document.get("manifests")
        leads: set[Digest] = set()
        for child, value in _with_values(values, what, self._findings):
            platform = _platform(value)
            if not self._holder.wants(platform):
                continue
            if self._holder.has(child):
                leads |= self.visit(child, what, depth + 1)
            else:
                # docker keeps indexes whole and leaves out the platforms it does not have.
                self.found.absent.append(f"{platform or 'a manifest'} ({child.digest})")
        return frozenset(leads)

    def _manifest(self, named: NamedBlob) -> frozenset[Digest]:
        what = f"manifest {named.digest}"
        document = self._read(named, what)
        if document is None:
            return frozenset()
        config = read_descriptor(document.get("config"), what, self._findings)
        layers = list(read_descriptors(document.get("layers"), what, self._findings))
        for each in (*layers, *([config] if config else [])):
            self.found.known.add(blob_path(each.digest))
        if _is_artifact(named, document, config, layers):
            for each in (*layers, *([config] if config else [])):
                path = blob_path(each.digest)
                self.found.others[path] = LayerFile(path, each.digest, each.size)
            return frozenset()
        self.found.images[named.digest] = self._image(named, config, layers)
        return frozenset({named.digest})

    def _image(self, named: NamedBlob, config: NamedBlob | None, layers: Sequence[NamedBlob]) -> Contents:
        _check_media_types(named, config, layers, self._findings)
        data = self._holder.document(config, self._findings) if config is not None else None
        if data is not None and config is not None:
            _check_bytes(config, data, self._findings)
        return Contents(
            config=data,
            config_path=blob_path(config.digest) if config else "",
            manifest_digest=named.digest,
            layers=tuple(
                LayerFile(blob_path(layer.digest), layer.digest, layer.size, _packing(layer.media_type))
                for layer in layers
            ),
        )

    def _read(self, named: NamedBlob, what: str) -> Mapping[str, object] | None:
        self.found.known.add(blob_path(named.digest))
        data = self._holder.manifest(named, self._findings)
        if data is not None:
            _check_bytes(named, data, self._findings)
        document = read_object(data, what, self._findings)
        if document is not None and (
            document.get("schemaVersion") != 2 or document.get("mediaType", named.media_type) != named.media_type
        ):
            self._findings.add(f"{what}: it is not a {named.media_type} of schemaVersion 2")
        return document


def _check_bytes(named: NamedBlob, data: bytes, findings: Findings) -> None:
    if len(data) != named.size or Digest.of(data) != named.digest:
        findings.add(
            f"{blob_path(named.digest)}: {counted(len(data), 'byte')} with the digest {Digest.of(data)}, "
            f"and its descriptor says {named.size} bytes"
        )


def _with_values(values: object, what: str, findings: Findings) -> Iterator[tuple[NamedBlob, object]]:
    if not isinstance(values, list):
        findings.add(f"{what}: expected an array of descriptors")
        return
    for value in as_list(values, what, findings):
        if named := read_descriptor(value, what, findings):
            yield named, value


def _platform(value: object) -> str:
    fields = as_object(as_object(value).get("platform"))
    parts = (fields.get(key) for key in ("os", "architecture", "variant"))
    return "/".join(part for part in parts if isinstance(part, str) and part)


def _is_artifact(
    named: NamedBlob, document: Mapping[str, object], config: NamedBlob | None, layers: Sequence[NamedBlob]
) -> bool:
    """Whether a manifest tells of something else than an image: attestations, signatures, bills of materials."""
    if document.get("artifactType") or _ATTESTATION in named.annotations:
        return True
    if config is not None and config.media_type not in _CONFIGS:
        return True
    return bool(layers) and not any(_is_tar(layer.media_type) for layer in layers)


def _is_tar(media_type: str) -> bool:
    return ".tar" in media_type


def _packing(media_type: str) -> Packing:
    if media_type.endswith("gzip"):
        return Packing.GZIP
    return Packing.ZSTD if media_type.endswith("zstd") else Packing.NONE


def _check_media_types(
    of: NamedBlob, config: NamedBlob | None, layers: Sequence[NamedBlob], findings: Findings
) -> None:
    config_type, layer_types = _FAMILIES[of.media_type]
    if config is not None and config.media_type != config_type:
        findings.add(f"manifest {of.digest}: its configuration is a {config.media_type}, not a {config_type}")
    for number, layer in enumerate(layers, 1):
        if layer.media_type not in layer_types:
            findings.add(f"layer {number} ({layer.digest}): a {layer.media_type} in a {of.media_type}")
