"""An update for a registry: the new image as it is, for all platforms, less the blobs that go with the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.export.docker_archive import Part, size_of
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, encode
from oci_builder.oci.layout import BLOBS, CONTAINERD_NAME, REF_NAME, UPDATE_OF, blob_path
from oci_builder.oci.manifest import Index, parse_manifest
from oci_builder.oci.mediatypes import INDEX
from oci_builder.oci.parcel import Parcel, gather
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.updates.update import UpdateRefused, expect_saving


@dataclass(frozen=True, kw_only=True)
class BlobUpdate:
    """What a registry lacks that has the image ``old``: ``parcel`` is what it will have, ``omitted`` what it has of it.

    ``parts`` are those of its archive; one with all blobs would have ``whole`` bytes.
    """

    old: str
    parcel: Parcel
    references: tuple[Reference, ...]
    omitted: frozenset[Digest]
    parts: tuple[Part, ...]
    whole: int

    @property
    def travels(self) -> int:
        """The size of its archive."""
        return size_of(self.parts)

    @property
    def left(self) -> int:
        """The size of what is left out."""
        return sum(blob.size for blob in self.parcel.blobs if blob.digest in self.omitted)

    @property
    def brought(self) -> tuple[Descriptor, ...]:
        """The blobs that travel."""
        return tuple(blob for blob in self.parcel.blobs if blob.digest not in self.omitted)


@dataclass(frozen=True, kw_only=True)
class NamedParcel:
    """What a name of the command line leads to: ``what`` in messages, and the ``reference`` that others find it by."""

    what: str
    parcel: Parcel
    reference: Reference | None = None


def blob_update(
    old: NamedParcel, new: NamedParcel, references: Sequence[Reference], *, force: bool = False
) -> BlobUpdate:
    """The update of a registry that has ``old``. Raises UpdateRefused where it saves little, unless by ``force``."""
    if old.parcel.digest == new.parcel.digest:
        raise UpdateRefused(f"{old.what} is {new.what} already: there is nothing to update")
    # Configurations travel: without them nobody could look at the file.
    own = {image.config.digest for image in new.parcel.images}
    omitted = frozenset(blob.digest for blob in old.parcel.blobs) & {blob.digest for blob in new.parcel.blobs} - own
    index = _index(new.parcel, references, old)
    update = BlobUpdate(
        old=old.what,
        parcel=new.parcel,
        references=tuple(references),
        omitted=omitted,
        parts=_parts(new.parcel, index, omitted),
        whole=size_of(_parts(new.parcel, index, frozenset())),
    )
    if not force:
        expect_saving(old.what, update.travels, update.whole)
    return update


def for_platform(parcel: Parcel, platform: Platform | None, *, what: str) -> Parcel:
    """The image for one platform alone. Raises UnsupportedImage where there is none."""
    kind, raw = parcel.top
    top = parse_manifest(raw, media_type=kind, what=what)
    if platform is None or not isinstance(top, Index):
        return parcel
    chosen = top.select(platform, what=what)
    there = {Digest.of(data): (media_type, data) for media_type, data in parcel.manifests}
    if chosen.digest not in there:
        raise UnsupportedImage(what, f"its image for {platform} is not in it")

    def read(descriptor: Descriptor) -> bytes:
        return there[descriptor.digest][1]

    found = gather(*there[chosen.digest], read, what=what)
    return replace(found, documents=parcel.documents)


def _index(parcel: Parcel, references: Sequence[Reference], old: NamedParcel) -> bytes:
    since = {UPDATE_OF: str(replace(old.reference, digest=old.parcel.digest))} if old.reference else {}
    named = [{CONTAINERD_NAME: str(each), REF_NAME: each.tag, **since} for each in references] or [since]
    top = parcel.descriptor
    entries: list[JSON] = [
        Descriptor(media_type=top.media_type, digest=top.digest, size=top.size, annotations=each).to_json()
        for each in named
    ]
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def _parts(parcel: Parcel, index: bytes, omitted: frozenset[Digest]) -> tuple[Part, ...]:
    documents = {"oci-layout": encode({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    for _, raw in (parcel.top, *parcel.manifests):
        documents[blob_path(Digest.of(raw))] = raw
    documents.update({blob_path(digest): raw for digest, raw in parcel.documents.items()})
    blobs = [Part(blob_path(blob.digest), blob.size, blob=blob.digest) for blob in parcel.blobs]
    travel = [part for part in blobs if part.blob not in omitted and part.name not in documents]
    written = [Part(name, len(data), data=data) for name, data in documents.items()]
    return (*written[:2], Part("blobs/"), Part(BLOBS), *written[2:], *travel)
