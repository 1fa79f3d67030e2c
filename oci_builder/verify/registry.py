"""Images as registries serve them: their parts to be read, or every byte of them to be checked."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO

from oci_builder.digest import Digest, HashingWriter
from oci_builder.errors import DigestMismatch, InvalidValue, OcibuildError, RegistryError, UnsupportedImage
from oci_builder.files import open_regular
from oci_builder.imported.documents import Findings, NamedBlob
from oci_builder.imported.parts import ImageParts, LayerBlob
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.oci.manifest import Index, Manifest
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.registry.pulling import PulledImage, blob_chunks, fetch_blobs, fetch_image, fetch_manifest
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.limits import ByteReader, Damaged
from oci_builder.verify.manifests import LayerFile

_GONE = 404


@contextlib.contextmanager
def open_served(
    reference: Reference,
    platform: Platform | None,
    registries: Registries,
    *,
    store: Store,
    jobs: int,
    reporter: Reporter,
) -> Iterator[ImageParts]:
    """The image that ``reference`` names, of several the one for ``platform``; its layers are in the store.

    Layers that were there already are not fetched. Raises RegistryError, DigestMismatch, FileProblem, and
    UnsupportedImage where there are several images and no ``platform``, or none for it.
    """
    image = _pulled(reference, platform, registries)
    layers = [layer.descriptor for layer in image.layers]
    fetch_blobs(image.reference, layers, registries, store=store, jobs=jobs, reporter=reporter)
    with contextlib.ExitStack() as stack:

        def opened(digest: Digest) -> BinaryIO:
            return stack.enter_context(open_regular(store.path(digest)))

        yield ImageParts(
            name=str(reference),
            config=image.config,
            manifest=image.manifest,
            layers=tuple(LayerBlob(each.digest, each.size, partial(opened, each.digest)) for each in layers),
            references=(str(reference),),
            annotations=image.parsed.annotations,
        )


def _pulled(reference: Reference, platform: Platform | None, registries: Registries) -> PulledImage:
    found = fetch_manifest(reference, registries)
    if isinstance(found, Manifest):
        return fetch_image(replace(reference, digest=found.descriptor.digest), platform, registries)
    what = str(reference)
    if platform is None:
        if len(found.platforms) != 1:
            there = ", ".join(map(str, found.platforms)) or "no platform ocibuild knows"
            raise UnsupportedImage(what, f"holds images for {there}", hint="choose one with --platform")
        platform = found.platforms[0]
    chosen = replace(reference, tag="", digest=found.select(platform, what=what).digest)
    return fetch_image(chosen, platform, registries)


@dataclass(frozen=True, slots=True)
class RegistryHolder:
    """The blobs of a repository, as they are served today, whatever the store has of them.

    With ``platform``, only the image for that one of an index is looked at.
    """

    reference: Reference
    platform: Platform | None
    registries: Registries
    store: Store
    _known: dict[Digest, Manifest | Index | OcibuildError | None] = field(default_factory=dict)

    def top(self, findings: Findings) -> NamedBlob | None:
        """What the reference names; None after saying what is wrong with it. Raises RegistryError."""
        try:
            found = fetch_manifest(self.reference, self.registries)
        except (DigestMismatch, UnsupportedImage) as error:
            findings.add(str(error))
            return None
        self._known[found.descriptor.digest] = found
        return _named(found.descriptor)

    def wants(self, platform: str) -> bool:
        """Whether it is the platform asked for, or none was."""
        try:
            return self.platform is None or Platform.parse(platform) == self.platform
        except InvalidValue:
            return False

    def has(self, named: NamedBlob) -> bool:
        """Whether the manifest is served. Raises RegistryError."""
        return self._fetched(named) is not None

    def manifest(self, named: NamedBlob, findings: Findings) -> bytes | None:
        """The manifest; None after saying what is wrong with it. Raises RegistryError."""
        found = self._fetched(named)
        if found is None:
            findings.add(f"manifest {named.digest}: the registry does not have it")
        elif isinstance(found, OcibuildError):
            findings.add(str(found))
        elif found.media_type != named.media_type:
            findings.add(f"manifest {named.digest}: served as {found.media_type}, and named as {named.media_type}")
        return found.raw if isinstance(found, Manifest | Index) else None

    def document(self, named: NamedBlob, findings: Findings) -> bytes | None:
        """The configuration; None after saying what is wrong with it. Raises RegistryError."""
        if named.size > MAX_DOCUMENT:
            findings.add(f"blob {named.digest}: {named.size} bytes, and a document has {MAX_DOCUMENT} at most")
            return None
        try:
            return b"".join(self._chunks(_descriptor(named)))
        except Damaged as error:
            findings.add(str(error))
            return None

    def size(self, layer: LayerFile) -> int | None:
        """Unknown until all of it has come."""
        return None

    def open(self, layer: LayerFile) -> ByteReader | None:
        """The blob, read off the registry while it is read here."""
        assert layer.digest is not None and layer.size is not None, "a manifest names it"
        return _Flowing(self._chunks(Descriptor(media_type="", digest=layer.digest, size=layer.size)))

    def _fetched(self, named: NamedBlob) -> Manifest | Index | OcibuildError | None:
        if named.digest not in self._known:
            self._known[named.digest] = self._asked(replace(self.reference, tag="", digest=named.digest))
        return self._known[named.digest]

    def _asked(self, exact: Reference) -> Manifest | Index | OcibuildError | None:
        try:
            return fetch_manifest(exact, self.registries)
        except RegistryError as error:
            if error.status != _GONE:
                raise
            return None
        except (DigestMismatch, UnsupportedImage) as error:
            return error

    def _chunks(self, descriptor: Descriptor) -> Generator[bytes, None, None]:
        """The bytes of a blob, which is in the store when they are all read. Raises Damaged for what is not it."""
        try:
            with self.store.writer() as sink:
                yield from _kept(blob_chunks(self.reference, descriptor, self.registries), sink)
        except DigestMismatch as error:
            raise Damaged(str(error)) from error
        except RegistryError as error:
            if error.status != _GONE:
                raise
            raise Damaged(f"blob {descriptor.digest}: the registry does not have it") from error


def _kept(pieces: Generator[bytes, None, None], sink: HashingWriter) -> Iterator[bytes]:
    with contextlib.closing(pieces):
        for piece in pieces:
            sink.write(piece)
            yield piece


class _Flowing:
    """Pieces as they come, read as a file."""

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces, self._rest = pieces, b""
        self._damage: Damaged | None = None

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises what the pieces raise."""
        found = []
        while size and (self._rest or self._more()):
            found.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(found[-1])
        return b"".join(found)

    def _more(self) -> bool:
        if self._damage is None:
            try:
                self._rest = next(self._pieces, b"")
            except Damaged as error:
                self._damage = error
        # Whoever reads on hears it again: a stream that failed has no end.
        if self._damage is not None:
            raise self._damage
        return bool(self._rest)


def _named(descriptor: Descriptor) -> NamedBlob:
    return NamedBlob(descriptor.digest, descriptor.size, descriptor.media_type, descriptor.annotations)


def _descriptor(named: NamedBlob) -> Descriptor:
    return Descriptor(media_type=named.media_type, digest=named.digest, size=named.size)
