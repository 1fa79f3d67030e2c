"""What travels together: the documents and blobs that one name leads to, each as the bytes it is.

Nothing is asked about platforms: an image for another machine, a bill or an attestation travels as well as any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, UnsupportedImage
from oci_builder.oci.contracts import ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.oci.manifest import Index, Manifest, as_oci, index_of, parse_manifest
from oci_builder.oci.mediatypes import INDEX, INDEXES, MANIFEST, MANIFESTS

_MAX_DEPTH = 8
_MAX_DOCUMENTS = 1000
_MAX_BYTES = 128 << 20
"""Indexes in each other, manifests and indexes in all, and their bytes in memory."""

_ELSEWHERE = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)
"""Layers that lie at an address of their own, and that no registry hands on: those of Windows."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """Blobs, then manifests, those within an index before it, then the one that gets the names.

    ``documents`` are those of the blobs that are in memory, ``elsewhere`` those that stay where they are.
    """

    blobs: tuple[Descriptor, ...]
    documents: Mapping[Digest, bytes]
    manifests: tuple[tuple[str, bytes], ...]
    top: tuple[str, bytes]
    elsewhere: tuple[Descriptor, ...] = ()

    @property
    def digest(self) -> Digest:
        """What the names will lead to."""
        return Digest.of(self.top[1])

    @property
    def images(self) -> tuple[Manifest, ...]:
        """The manifests of what is no index, in order."""
        parsed = [parse_manifest(raw, media_type=kind, what="a manifest") for kind, raw in (*self.manifests, self.top)]
        return tuple(each for each in parsed if isinstance(each, Manifest))

    def in_oci(self) -> Parcel:
        """The same, but for a single manifest of Docker's kind, which becomes one of OCI's: some engines mix neither.

        An index stays what it is, byte for byte.
        """
        (first, *more) = self.images or [None]
        if first is None or more or self.manifests or not first.is_docker:
            return self
        raw = as_oci(first).raw
        return gather(MANIFEST, raw, lambda descriptor: b"", what="the manifest")

    @property
    def descriptor(self) -> Descriptor:
        """What names the top."""
        media_type, raw = self.top
        return Descriptor(media_type=media_type, digest=Digest.of(raw), size=len(raw))


def pack(images: Sequence[ImageDocuments]) -> Parcel:
    """One image as itself, several as an index of them in this order. Raises UnsupportedImage past 4 MiB."""
    manifests = tuple((image.descriptor.media_type, image.manifest) for image in images)
    top = (INDEX, index_of(images)) if len(images) > 1 else manifests[0]
    for _, raw in (*manifests, top):
        if len(raw) > MAX_DOCUMENT:
            raise UnsupportedImage("the image", f"a manifest of {len(raw)} bytes; registries take {MAX_DOCUMENT}")
    blobs = [layer.descriptor for image in images for layer in image.layers]
    blobs += [image.config_descriptor for image in images]
    return Parcel(
        blobs=tuple({blob.digest: blob for blob in blobs}.values()),
        documents={image.id: image.config for image in images},
        manifests=manifests if len(images) > 1 else (),
        top=top,
    )


def gather(media_type: str, raw: bytes, read: Callable[[Descriptor], bytes], *, what: str) -> Parcel:
    """All that the manifest or index ``raw`` leads to; ``read`` gives the bytes of those within.

    Raises UnsupportedImage, naming ``what``, for what is neither, or past a limit; DigestMismatch; as ``read`` does.
    """
    return _Gathering(read, what).parcel(media_type, raw)


class _Gathering:
    """A walk over documents, each met once."""

    def __init__(self, read: Callable[[Descriptor], bytes], what: str) -> None:
        self._read, self._what = read, what
        self._met: set[Digest] = set()
        self._bytes = 0
        self._manifests: list[tuple[str, bytes]] = []
        self._blobs: dict[Digest, Descriptor] = {}

    def parcel(self, media_type: str, raw: bytes) -> Parcel:
        """Walk, and pack what was met."""
        kind = self._visit(media_type, raw, 0)
        there = [blob for blob in self._blobs.values() if blob.media_type not in _ELSEWHERE]
        elsewhere = [blob for blob in self._blobs.values() if blob.media_type in _ELSEWHERE]
        return Parcel(
            blobs=tuple(there),
            documents={},
            manifests=tuple(self._manifests),
            top=(kind, raw),
            elsewhere=tuple(elsewhere),
        )

    def _visit(self, media_type: str, raw: bytes, depth: int) -> str:
        self._bytes += len(raw)
        if self._bytes > _MAX_BYTES or len(self._met) > _MAX_DOCUMENTS or depth > _MAX_DEPTH:
            raise UnsupportedImage(self._what, "more indexes and manifests than anybody writes")
        parsed = parse_manifest(raw, media_type=media_type, what=self._what)
        if isinstance(parsed, Index):
            for child in self._unmet(parsed):
                data = _checked(self._read(child), child, self._what)
                self._manifests.append((self._visit(child.media_type, data, depth + 1), data))
        else:
            self._blobs |= {blob.digest: blob for blob in (*parsed.layers, parsed.config)}
        return parsed.media_type

    def _unmet(self, index: Index) -> Iterator[Descriptor]:
        for item in index.manifests:
            if item.descriptor.media_type not in (*MANIFESTS, *INDEXES):
                raise UnsupportedImage(self._what, f"its index names a {item.descriptor.media_type}, which is no image")
            if item.descriptor.digest not in self._met:
                self._met.add(item.descriptor.digest)
                yield item.descriptor


def _checked(raw: bytes, descriptor: Descriptor, what: str) -> bytes:
    if len(raw) != descriptor.size or Digest.of(raw) != descriptor.digest:
        actual = f"{Digest.of(raw)}, {len(raw)} bytes"
        raise DigestMismatch(what, expected=f"{descriptor.digest}, {descriptor.size} bytes", actual=actual)
    return raw
