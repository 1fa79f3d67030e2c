"""Reading from registries: manifests, configurations and layers, each verified before anybody sees it whole."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, InvalidValue, RegistryError, UnsupportedImage
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.oci.manifest import GivenImage, Index, Manifest, parse_manifest, platform_of
from oci_builder.oci.mediatypes import INDEXES, MANIFESTS
from oci_builder.oci.parcel import Parcel, gather
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.registry.access import Deadline
from oci_builder.registry.registries import Registries
from oci_builder.registry.request import Request
from oci_builder.registry.transfer import Progress, in_parallel
from oci_builder.reporter import Reporter
from oci_builder.store import Store

if TYPE_CHECKING:
    from oci_builder.registry.client import Client

# All four: a registry that is asked for less may convert a manifest, and its digest with it.
_ACCEPT = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}


@dataclass(frozen=True, kw_only=True)
class PulledImage(GivenImage):
    """An image as a registry has it, without its layers' bytes. ``reference`` says where, by digest."""

    reference: Reference


def resolve(reference: Reference, registries: Registries) -> Descriptor | None:
    """What ``reference`` names today, without fetching it; None if it names nothing. Raises RegistryError."""
    client = registries.of(reference)
    return head_manifest(client, reference, _scope(reference), client.access.retry_policy.deadline())


def head_manifest(
    client: Client, reference: Reference, scopes: frozenset[str], deadline: Deadline
) -> Descriptor | None:
    """``resolve`` for somebody who has a client and the rights of a push. Raises DigestMismatch, RegistryError."""
    url = client.address(reference, f"manifests/{_name(reference)}")
    request = Request(method="HEAD", url=url, scopes=scopes, headers=_ACCEPT, accept=(200, 404))
    answer = client.retry(lambda: client.once(request, deadline), deadline)
    client.read(answer, MAX_DOCUMENT, deadline)
    if answer.status_code == 404:
        return None
    try:
        digest = Digest.parse(answer.headers.get("Docker-Content-Digest", ""))
    except InvalidValue:
        # Only the specification of 2021 asks for the header: whoever does not send it is asked for the whole.
        return fetch_manifest_with(client, reference, scopes).descriptor
    if reference.digest not in (None, digest):
        raise DigestMismatch(str(reference), expected=str(reference.digest), actual=str(digest))
    length = client.length(answer)
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return Descriptor(media_type=media_type, digest=digest, size=length or 0)


def fetch_manifest(reference: Reference, registries: Registries) -> Manifest | Index:
    """The manifest or index that ``reference`` names; its digest is that of the reference where it has one.

    Raises RegistryError, DigestMismatch, UnsupportedImage.
    """
    return fetch_manifest_with(registries.of(reference), reference, _scope(reference))


def fetch_manifest_with(client: Client, reference: Reference, scopes: frozenset[str]) -> Manifest | Index:
    """``fetch_manifest`` for somebody who has a client and the rights of a push. Raises as that, and DigestMismatch."""
    deadline = client.access.retry_policy.deadline(MAX_DOCUMENT)
    request = Request(
        method="GET",
        url=client.address(reference, f"manifests/{_name(reference)}"),
        scopes=scopes,
        headers=_ACCEPT,
    )

    def act() -> tuple[bytes, str, str]:
        answer = client.once(request, deadline)
        raw = client.read(answer, MAX_DOCUMENT, deadline)
        return raw, answer.headers.get("Content-Type", ""), answer.headers.get("Docker-Content-Digest", "")

    try:
        raw, media_type, promised = client.retry(act, deadline)
    except RegistryError as error:
        if error.status == 404 and reference.digest is None:
            listing = f"ocibuild tags {reference.registry}/{reference.repository}"
            error.hint = error.hint or f"`{listing}` lists what is there"
        raise
    actual = Digest.of(raw)
    expected = str(reference.digest) if reference.digest else promised
    if expected.startswith("sha256:") and expected != str(actual):
        raise DigestMismatch(str(reference), expected=expected, actual=str(actual))
    return parse_manifest(raw, media_type=media_type.partition(";")[0].strip(), what=str(reference))


def fetch_image(reference: Reference, platform: Platform | None, registries: Registries) -> PulledImage:
    """The image for ``platform`` that ``reference`` names, or (None) the only one: documents, no layers.

    Raises RegistryError, DigestMismatch, and UnsupportedImage where there is none for the platform.
    """
    what = str(reference)
    found = fetch_manifest(reference, registries)
    if isinstance(found, Index):
        if platform is None:
            raise UnsupportedImage(what, f"images for {', '.join(map(str, found.platforms))}", hint="name a platform")
        chosen = replace(reference, tag="", digest=found.select(platform, what=what).digest)
        found = fetch_manifest(chosen, registries)
    if isinstance(found, Index):
        raise UnsupportedImage(what, "an index within an index")
    exact = replace(reference, digest=found.descriptor.digest)
    if found.config.size > MAX_DOCUMENT:
        raise UnsupportedImage(what, f"a configuration of {found.config.size} bytes")
    config = b"".join(blob_chunks(exact, found.config, registries))
    own = platform_of(config, what=what)
    if platform not in (None, own):
        raise UnsupportedImage(what, f"an image for {own}, not for {platform}")
    return PulledImage(reference=exact, platform=own, parsed=found, config=config)


def fetch_parcel(reference: Reference, registries: Registries) -> Parcel:
    """All that ``reference`` leads to, whatever it runs on: documents, no blobs.

    Raises RegistryError, DigestMismatch, UnsupportedImage.
    """
    found = fetch_manifest(reference, registries)

    def read(descriptor: Descriptor) -> bytes:
        return fetch_manifest(replace(reference, tag="", digest=descriptor.digest), registries).raw

    return gather(found.media_type, found.raw, read, what=str(reference))


def blob_chunks(reference: Reference, descriptor: Descriptor, registries: Registries) -> Generator[bytes, None, None]:
    """The bytes of a blob in the repository of ``reference``; where the connection breaks, resumed from there.

    Believe none of them before the end: there they have been verified. Raises RegistryError, DigestMismatch.
    """
    client = registries.of(reference)
    deadline = client.access.retry_policy.deadline(descriptor.size)
    seen, at = hashlib.sha256(), 0
    for attempt in client.attempts(deadline):
        with attempt:
            began = at
            try:
                for piece in _pieces(client, reference, descriptor, at, deadline):
                    seen.update(piece)
                    at += len(piece)
                    yield piece
            finally:
                # An attempt that got further counts as the first: what is limited then is the time.
                attempt.retry_state.attempt_number = 1 if at > began else attempt.retry_state.attempt_number
    what = f"blob {descriptor.digest} of {reference.registry}/{reference.repository}"
    if at != descriptor.size:
        raise DigestMismatch(what, expected=f"{descriptor.size} bytes", actual=f"{at}")
    if seen.hexdigest() != descriptor.digest.hex:
        raise DigestMismatch(what, expected=str(descriptor.digest), actual=f"sha256:{seen.hexdigest()}")


def fetch_blobs(
    reference: Reference,
    descriptors: Sequence[Descriptor],
    registries: Registries,
    *,
    store: Store,
    jobs: int,
    reporter: Reporter,
) -> int:
    """Have all the blobs in the store, fetching what it lacks, several at once; gives the bytes received.

    A blob is kept whole or not at all, so that a second run fetches only what the first did not finish. Raises
    RegistryError, DigestMismatch, FileProblem.
    """
    missing = {
        descriptor.digest: descriptor for descriptor in descriptors if not store.has(descriptor.digest, descriptor.size)
    }
    progress = Progress(reporter, total=sum(descriptor.size for descriptor in missing.values()))

    def fetch(descriptor: Descriptor) -> None:
        what = str(descriptor.digest)[:19]
        # Closed at once when this is interrupted: not when the interpreter gets round to it.
        with store.writer() as sink, contextlib.closing(blob_chunks(reference, descriptor, registries)) as pieces:
            for piece in pieces:
                progress.check()
                sink.write(piece)
                progress.add(what, len(piece))

    in_parallel([partial(fetch, descriptor) for descriptor in missing.values()], jobs=jobs, progress=progress)
    return progress.done


def _pieces(
    client: Client, reference: Reference, descriptor: Descriptor, at: int, deadline: Deadline
) -> Iterator[bytes]:
    """The blob from byte ``at`` on; never more than the descriptor says."""
    url = client.address(reference, f"blobs/{descriptor.digest}")
    headers = {"Range": f"bytes={at}-"} if at else {}
    request = Request(
        method="GET", url=url, scopes=_scope(reference), headers=headers, accept=(200, 206) if at else (200,)
    )
    answer = client.once(request, deadline)
    with contextlib.closing(answer):
        # Whoever does not resume gives all of it again.
        skip = at if answer.status_code == 200 else 0
        left = descriptor.size - at + skip
        promised = client.length(answer)
        if promised is not None and promised != left:
            what = f"blob {descriptor.digest} of {reference.registry}/{reference.repository}"
            raise DigestMismatch(what, expected=f"{left} bytes", actual=str(promised))
        while left and (piece := client.read_piece(answer, deadline)):
            if len(piece) > left:
                raise DigestMismatch(str(descriptor.digest), expected=f"{descriptor.size} bytes", actual="more")
            left -= len(piece)
            yield piece[skip:]
            skip = max(skip - len(piece), 0)
        if left and promised is not None:
            raise client.broken(answer, f"the connection broke, {left} bytes before the end")


def _name(reference: Reference) -> str:
    return str(reference.digest) if reference.digest else reference.tag


def _scope(reference: Reference) -> frozenset[str]:
    return frozenset({f"repository:{reference.repository}:pull"})
