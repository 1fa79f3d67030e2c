"""Images to registries: what is there already is not sent, and the names appear last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, InvalidValue
from oci_builder.oci.contracts import Blobs, ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.oci.parcel import Parcel, pack
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_blobs, head_manifest
from oci_builder.registry.registries import Registries
from oci_builder.registry.request import Request
from oci_builder.registry.transfer import Progress, in_parallel
from oci_builder.registry.upload import Outcome, Upload
from oci_builder.reporter import Quiet, Reporter
from oci_builder.store import Store

if TYPE_CHECKING:
    from oci_builder.registry.client import Client


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What became of one name: the digest it has now, and what it took. ``sent`` is in bytes of blobs."""

    reference: Reference
    digest: Digest
    sent: int = 0
    blobs: Mapping[Outcome, int] | None = None

    @property
    def was_there(self) -> bool:
        """Whether the name led to this image before."""
        return self.blobs is None


@dataclass(frozen=True, kw_only=True)
class Pusher:
    """Sends to ``registries``, ``jobs`` blobs at once, what ``blobs`` has or else ``store``.

    A blob of ``sources`` is mounted from there within a registry; from elsewhere it comes through ``store``.
    """

    registries: Registries
    blobs: Blobs
    store: Store
    jobs: int
    reporter: Reporter
    sources: Mapping[Digest, Reference] = field(default_factory=dict)

    def push(self, images: Sequence[ImageDocuments], references: Sequence[Reference]) -> tuple[Pushed, ...]:
        """Have every reference name the image, or the index of several; one result for each, in order.

        A repository gets its manifest after all blobs, so that a push that breaks leaves no name that leads to half an
        image; a second one sends what the first did not. Raises RegistryError, DigestMismatch, CorruptBlob,
        UnsupportedImage, and InvalidValue for a reference with a digest.
        """
        return self.push_parcel(pack(images), references)

    def push_parcel(self, parcel: Parcel, references: Sequence[Reference]) -> tuple[Pushed, ...]:
        """``push`` anything that travels together. Raises as that, and InvalidValue for a reference with a digest."""
        sender = self
        done: dict[Reference, Pushed] = {}
        for reference in dict.fromkeys(references):
            if reference.digest is not None:
                raise InvalidValue("name to push to", str(reference), "it needs a tag, and no digest")
            done[reference] = sender.send(parcel, reference)
            # The next repository of this registry mounts what this one has.
            there = dict.fromkeys((blob.digest for blob in parcel.blobs), reference)
            sender = replace(sender, sources={**there, **sender.sources})
        return tuple(done[reference] for reference in references)

    def send(self, parcel: Parcel, reference: Reference) -> Pushed:
        """Have one reference name a parcel. Raises what ``push`` raises."""
        held = _Held(self.blobs, self.store, parcel.documents)
        return _Delivery(parcel, reference, held, self).run()


@dataclass(frozen=True)
class _Held:
    """The documents in memory, what the image's owner has, and what was fetched on the way."""

    blobs: Blobs
    store: Store
    documents: Mapping[Digest, bytes]

    def has(self, digest: Digest, size: int | None = None) -> bool:
        return digest in self.documents or self.blobs.has(digest, size) or self.store.has(digest, size)

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        if digest in self.documents:
            return iter((self.documents[digest],))
        here = self.blobs if self.blobs.has(digest, size) else self.store
        return here.chunks(digest, size)


@dataclass(frozen=True)
class _Delivery:
    """One parcel to one reference."""

    parcel: Parcel
    reference: Reference
    held: _Held
    pusher: Pusher

    def run(self) -> Pushed:
        """Deliver."""
        digest = self.parcel.digest
        if self._names_it(self.reference):
            return Pushed(reference=self.reference, digest=digest)
        outcomes: dict[Digest, Outcome] = {}
        if not self._names_it(replace(self.reference, tag="", digest=digest)):
            progress = Progress(self.pusher.reporter, total=sum(blob.size for blob in self.parcel.blobs))
            tasks = [partial(self._deliver, blob, progress, outcomes) for blob in self._largest_first()]
            in_parallel(tasks, jobs=self.pusher.jobs, progress=progress)
            for media_type, raw in self.parcel.manifests:
                self._name(media_type, raw, str(Digest.of(raw)))
        self._name(*self.parcel.top, self.reference.tag)
        sent = sum(blob.size for blob in self.parcel.blobs if outcomes.get(blob.digest) == "sent")
        return Pushed(reference=self.reference, digest=digest, sent=sent, blobs=_counted(outcomes))

    @property
    def _scopes(self) -> frozenset[str]:
        neighbours = {self._neighbour(blob) for blob in self.parcel.blobs} - {""}
        own = f"repository:{self.reference.repository}:pull,push"
        return frozenset({own, *(f"repository:{name}:pull" for name in neighbours)})

    def _largest_first(self) -> list[Descriptor]:
        # One that starts last would be waited for alone.
        return sorted(self.parcel.blobs, key=lambda blob: (-blob.size, blob.digest))

    def _neighbour(self, blob: Descriptor) -> str:
        """Another repository of the same registry that has the blob."""
        source = self.pusher.sources.get(blob.digest)
        if source is None or source.registry != self.reference.registry:
            return ""
        return source.repository if source.repository != self.reference.repository else ""

    def _names_it(self, reference: Reference) -> bool:
        client = self.pusher.registries.of(reference)
        there = head_manifest(client, reference, self._scopes, client.access.retry_policy.deadline())
        return there is not None and there.digest == self.parcel.digest

    def _deliver(self, blob: Descriptor, progress: Progress, outcomes: dict[Digest, Outcome]) -> None:
        upload = Upload(
            client=self.pusher.registries.of(self.reference),
            reference=self.reference,
            descriptor=blob,
            scopes=self._scopes,
            blobs=self.held,
            progress=progress,
            source=self._neighbour(blob),
            supply=lambda: self._supply(blob),
        )
        outcomes[blob.digest] = upload.run()

    def _supply(self, blob: Descriptor) -> None:
        source = self.pusher.sources.get(blob.digest)
        if source is not None and not self.held.has(blob.digest, blob.size):
            fetch_blobs(source, [blob], self.pusher.registries, store=self.pusher.store, jobs=1, reporter=Quiet())

    def _name(self, media_type: str, raw: bytes, name: str) -> None:
        put_manifest(self.pusher.registries.of(self.reference), self.reference, self._scopes, media_type, raw, name)


def put_manifest(
    client: Client, reference: Reference, scopes: frozenset[str], media_type: str, raw: bytes, name: str
) -> Mapping[str, str]:
    """Have ``name``, a tag or its own digest, lead to a manifest; gives the headers of the answer.

    Raises RegistryError, and DigestMismatch where another manifest arrived.
    """
    deadline = client.access.retry_policy.deadline(len(raw))
    request = Request(
        method="PUT",
        url=client.address(reference, f"manifests/{name}"),
        scopes=scopes,
        headers={"Content-Type": media_type},
        body=raw,
        accept=(201,),
    )
    answer = client.retry(lambda: client.once(request, deadline), deadline)
    client.read(answer, MAX_DOCUMENT, deadline)
    actual = answer.headers.get("Docker-Content-Digest", "")
    if actual.startswith("sha256:") and actual != str(Digest.of(raw)):
        raise DigestMismatch(f"manifest of {reference}", expected=str(Digest.of(raw)), actual=actual)
    return answer.headers


def _counted(outcomes: Mapping[Digest, Outcome]) -> Mapping[Outcome, int]:
    seen = list(outcomes.values())
    return {outcome: seen.count(outcome) for outcome in sorted(set(seen))}
