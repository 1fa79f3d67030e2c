"""Artifacts that tell of an image, kept beside it in its repository (distribution-spec 1.1, "Listing Referrers").

A registry that knows the specification lists whoever names an image as its subject. For the others (2.8 and 3.1 of
distribution among them) the list is kept under a tag made of the image's digest ("Referrers Tag Schema").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from oci_builder.digest import Digest
from oci_builder.errors import RegistryError, UnsupportedImage
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, MAX_DOCUMENT, decode, encode
from oci_builder.oci.manifest import Index
from oci_builder.oci.mediatypes import INDEX, MANIFEST
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_manifest_with, head_manifest
from oci_builder.registry.pushing import put_manifest
from oci_builder.registry.registries import Registries
from oci_builder.registry.request import Request
from oci_builder.registry.transfer import Progress, in_parallel
from oci_builder.registry.upload import Upload
from oci_builder.reporter import Reporter

if TYPE_CHECKING:
    from oci_builder.registry.client import Client

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_NO_API = (400, 404, 405, 501)
"""What registries without the API say to it."""

_ROUNDS = 5
"""How often the tag is written before somebody else has done so in between every time."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """Something said of an image: ``media_type`` is what it is, of the artifact and of its one blob ``data``."""

    media_type: str
    data: bytes = field(repr=False)
    title: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    def manifest(self, subject: Descriptor) -> bytes:
        """The manifest that says it of ``subject`` (manifest.md, "Guidelines for Artifact Usage")."""
        title = {"org.opencontainers.image.title": self.title}
        layer = replace(self.blob, annotations=title)
        named = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
        document: JSON = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": self.media_type,
            "config": _descriptor(_EMPTY_TYPE, _EMPTY).to_json(),
            "layers": [layer.to_json()],
            "subject": named.to_json(),
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return encode(document)

    @property
    def blob(self) -> Descriptor:
        """What names ``data``."""
        return _descriptor(self.media_type, self.data)


@dataclass(frozen=True, kw_only=True)
class Attached:
    """What became of an artifact: its manifest's digest, what it tells of, the bytes of blobs that were sent.

    ``listed`` says by what it is found: the registry's own list, or a tag that was written here.
    """

    repository: Reference
    subject: Digest
    digest: Digest
    media_type: str
    listed: Literal["api", "tag"]
    sent: int = 0
    was_there: bool = False


def attach(
    artifact: Artifact, subject: Descriptor, reference: Reference, registries: Registries, *, reporter: Reporter
) -> Attached:
    """Have the repository of ``reference`` hold the artifact, and list it for ``subject``, which it has already.

    What is there is not sent; what others have attached stays. Raises RegistryError, DigestMismatch, UnsupportedImage.
    """
    return _Attaching(artifact, subject, reference, registries.of(reference)).run(reporter)


def fallback_tag(subject: Digest) -> str:
    """The tag under which artifacts of an image are listed where the registry does not."""
    return f"sha256-{subject.hex}"


@dataclass(frozen=True)
class _Attaching:
    artifact: Artifact
    subject: Descriptor
    reference: Reference
    client: Client

    def run(self, reporter: Reporter) -> Attached:
        raw = self.artifact.manifest(self.subject)
        digest = Digest.of(raw)
        exact = replace(self.reference, tag="", digest=digest)
        there = head_manifest(self.client, exact, self._scopes, self.client.access.retry_policy.deadline()) is not None
        sent, known = (0, False) if there else (self._send(reporter), self._put(raw, digest))
        by_api = self._listed_by_api() if not known else frozenset({str(digest)})
        if by_api is not None and str(digest) not in by_api:
            # There, but not listed: the registry learned of subjects later, or forgot.
            self._put(raw, digest)
        changed = by_api is None and self._list_by_tag(raw, digest)
        return Attached(
            repository=replace(self.reference, tag="", digest=None),
            subject=self.subject.digest,
            digest=digest,
            media_type=self.artifact.media_type,
            listed="tag" if by_api is None else "api",
            sent=sent,
            was_there=there and not changed and (by_api is None or str(digest) in by_api),
        )

    @property
    def _scopes(self) -> frozenset[str]:
        return frozenset({f"repository:{self.reference.repository}:pull,push"})

    def _send(self, reporter: Reporter) -> int:
        """Send both blobs; gives the bytes that were not there."""
        blobs = _Few({Digest.of(data): data for data in (_EMPTY, self.artifact.data)})
        descriptors = (self.artifact.blob, _descriptor(_EMPTY_TYPE, _EMPTY))
        progress = Progress(reporter, total=sum(each.size for each in descriptors))
        sent: list[int] = []

        def deliver(descriptor: Descriptor) -> None:
            upload = Upload(
                client=self.client,
                reference=self.reference,
                descriptor=descriptor,
                scopes=self._scopes,
                blobs=blobs,
                progress=progress,
            )
            sent.append(descriptor.size if upload.run() == "sent" else 0)

        in_parallel([partial(deliver, each) for each in descriptors], jobs=2, progress=progress)
        return sum(sent)

    def _put(self, raw: bytes, digest: Digest) -> bool:
        """Send the manifest; whether the registry says that it lists it now."""
        headers = put_manifest(self.client, self.reference, self._scopes, MANIFEST, raw, str(digest))
        return headers.get("OCI-Subject", "") == str(self.subject.digest)

    def _listed_by_api(self) -> frozenset[str] | None:
        """What the registry lists of our kind; None where it lists nothing for anybody."""
        base = self.client.address(self.reference, f"manifests/{self.subject.digest}").rpartition("/manifests/")[0]
        request = Request(method="GET", url=f"{base}/referrers/{self.subject.digest}", scopes=self._scopes)
        deadline = self.client.access.retry_policy.deadline(MAX_DOCUMENT)

        def act() -> tuple[bytes, str]:
            answer = self.client.once(request, deadline)
            return self.client.read(answer, MAX_DOCUMENT, deadline), answer.headers.get("Content-Type", "")

        try:
            raw, media_type = self.client.retry(act, deadline)
        except RegistryError as error:
            if error.status not in _NO_API:
                raise
            return None
        if media_type.partition(";")[0].strip() != INDEX:
            return None
        return frozenset(_digests(decode(raw, what=f"the referrers of {self.subject.digest}")))

    def _list_by_tag(self, raw: bytes, digest: Digest) -> bool:
        """Have the fallback tag list the manifest; whether it did not before. Raises RegistryError."""
        tag = fallback_tag(self.subject.digest)
        for number in range(_ROUNDS):
            index = self._tagged(tag)
            if str(digest) in _digests(index):
                return number > 0
            entries = index["manifests"]
            assert isinstance(entries, list), "it has been looked at"
            listed = encode({**index, "manifests": [*entries, self._entry(raw)]})
            put_manifest(self.client, self.reference, self._scopes, INDEX, listed, tag)
        why = f"its list of referrers, {tag}, was changed by others each time it was written"
        raise RegistryError("PUT", f"{self.reference.registry}/{self.reference.repository}", why, hint="try again")

    def _entry(self, raw: bytes) -> JSON:
        named = replace(_descriptor(MANIFEST, raw), annotations=dict(self.artifact.annotations))
        return {**named.to_json(), "artifactType": self.artifact.media_type}

    def _tagged(self, tag: str) -> JSON:
        """The index under a tag, an empty one where nothing is. Raises UnsupportedImage where it is none."""
        named = replace(self.reference, tag=tag, digest=None)
        try:
            found = fetch_manifest_with(self.client, named, self._scopes)
        except RegistryError as error:
            if error.status != 404:
                raise
            return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        document = decode(found.raw, what=str(named))
        if not isinstance(found, Index) or not isinstance(document.get("manifests"), list):
            raise UnsupportedImage(str(named), "it should list referrers, and is no index")
        return document


@dataclass(frozen=True)
class _Few:
    """Blobs in memory."""

    data: Mapping[Digest, bytes]

    def has(self, digest: Digest, size: int | None = None) -> bool:
        return digest in self.data

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        return iter((self.data[digest],))


def _descriptor(media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(data), size=len(data))


def _digests(index: JSON) -> set[str]:
    values = index.get("manifests")
    found = values if isinstance(values, list) else []
    return {str(value.get("digest")) for value in found if isinstance(value, dict)}
