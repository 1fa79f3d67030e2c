"""An OCI image layout, in a folder or a tar, as what goes to a registry: all of it, byte for byte."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from oci_builder import inputs
from oci_builder.digest import Digest, verified_chunks
from oci_builder.errors import UnsupportedImage
from oci_builder.files import explained
from oci_builder.imported.archive import open_archive
from oci_builder.imported.documents import Findings
from oci_builder.imported.folder import open_folder
from oci_builder.imported.parts import Files
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, decode, encode
from oci_builder.oci.layout import blob_path
from oci_builder.oci.manifest import Index, IndexItem, Manifest, parse_manifest
from oci_builder.oci.mediatypes import INDEX, INDEXES
from oci_builder.oci.parcel import Parcel, gather
from oci_builder.tree.limits import ByteReader

_LAYOUT = "index.json"
_ATTESTS = "vnd.docker.reference.type"


def read_parcel(files: Files, what: str) -> Parcel | None:
    """What the layout in ``files``, called ``what``, holds; None where it is none: a docker archive without an index.

    One name, or several for one thing, is that thing. Images for different platforms that lie side by side become an
    index. An index of which some images were left out, as docker saves it, is those that are there. Raises
    UnsupportedImage, DigestMismatch.
    """
    if _LAYOUT not in files.names:
        return None
    found = _Layout(files, what).parcel()
    # Those of Windows need not be here; where they are, they go along.
    here = [blob for blob in found.elsewhere if files.size(blob_path(blob.digest)) is not None]
    return replace(found, blobs=(*found.blobs, *here))


@dataclass(frozen=True)
class FileBlobs:
    """The blobs of the image ``what`` by digest, as ``openers`` open them; several are read at once, in threads."""

    what: str
    openers: Mapping[Digest, Callable[[], ByteReader]]

    @classmethod
    def of_layout(cls, files: Files, parcel: Parcel, what: str) -> FileBlobs:
        """Those of a layout that is open."""
        return cls(what, {blob.digest: partial(_opened, files, blob.digest, what) for blob in parcel.blobs})

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether it is one of them."""
        return digest in self.openers

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        """Its bytes. Raises DigestMismatch at their end, unless they are what ``digest`` says; UnsupportedImage."""
        return verified_chunks(self.openers[digest](), digest=digest, size=size, what=f"{self.what}: {digest}")


def _opened(files: Files, digest: Digest, what: str) -> ByteReader:
    source = files.open(blob_path(digest))
    if source is None:
        raise UnsupportedImage(what, f"{blob_path(digest)} is not in it")
    return source


@contextlib.contextmanager
def open_files(path: Path, findings: Findings) -> Iterator[Files]:
    """The files of the archive or folder at ``path``; what is wrong with it is found. Raises FileProblem."""
    with explained(path), open_folder(path, findings) if inputs.is_dir(path) else open_archive(path, findings) as files:
        yield files


@dataclass(frozen=True)
class _Layout:
    files: Files
    what: str

    def parcel(self) -> Parcel:
        """Choose what the names of the layout lead to."""
        index = parse_manifest(self._document(_LAYOUT), media_type="", what=f"{self.what}: {_LAYOUT}")
        if not isinstance(index, Index) or not index.manifests:
            raise UnsupportedImage(self.what, "its index.json names no image")
        tops = {item.descriptor.digest: item for item in index.manifests}
        whole = self._is_whole(index)
        if len(tops) > 1 or not whole:
            # What is said of an image goes with it, unless the index that pairs them cannot.
            found = [item for item in self._leaves(index) if whole or not _is_attestation(item)]
            tops = {item.descriptor.digest: item for item in found}
        if len(tops) == 1:
            (top,) = tops.values()
            return gather(top.descriptor.media_type, self._read(top.descriptor), self._read, what=self.what)
        return gather(INDEX, self._beside(list(tops.values())), self._read, what=self.what)

    def _document(self, name: str) -> bytes:
        findings = Findings()
        data = self.files.document(name, findings)
        if data is None:
            raise UnsupportedImage(self.what, next(iter(findings.lines), f"{name} cannot be read"))
        return data

    def _read(self, descriptor: Descriptor) -> bytes:
        return self._document(blob_path(descriptor.digest))

    def _within(self, descriptor: Descriptor) -> Index | None:
        if descriptor.media_type not in INDEXES or not self._has(descriptor):
            return None
        parsed = parse_manifest(self._read(descriptor), media_type=descriptor.media_type, what=self.what)
        return parsed if isinstance(parsed, Index) else None

    def _has(self, descriptor: Descriptor) -> bool:
        return self.files.size(blob_path(descriptor.digest)) is not None

    def _is_whole(self, index: Index, depth: int = 0) -> bool:
        """Whether all manifests of an index are here, and of those in it."""
        if depth > 8:
            raise UnsupportedImage(self.what, "indexes in indexes, more than anybody writes")
        inner = [self._within(item.descriptor) for item in index.manifests]
        return all(self._has(item.descriptor) for item in index.manifests) and all(
            self._is_whole(each, depth + 1) for each in inner if each is not None
        )

    def _leaves(self, index: Index) -> Iterator[IndexItem]:
        """The manifests that are here; of those for one configuration the first."""
        configs: set[Digest] = set()
        todo: list[tuple[Index, int]] = [(index, 0)]
        while todo:
            outer, depth = todo.pop(0)
            for item in outer.manifests:
                inner = self._within(item.descriptor)
                if inner is not None and depth < 8:
                    todo.append((inner, depth + 1))
                elif self._has(item.descriptor) and item.descriptor.media_type not in INDEXES:
                    config = self._manifest(item).config.digest
                    if config not in configs:
                        configs.add(config)
                        yield item

    def _manifest(self, item: IndexItem) -> Manifest:
        of = item.descriptor
        parsed = parse_manifest(self._read(of), media_type=of.media_type, what=self.what)
        assert isinstance(parsed, Manifest), "its media type says so"
        return parsed

    def _beside(self, items: Sequence[IndexItem]) -> bytes:
        """An index of images that lie side by side. Raises UnsupportedImage for two that are for one platform."""
        platforms = [self._platform(item) for item in items]
        texts = [
            "/".join(str(value) for value in platform.values()) or "no platform"
            for item, platform in zip(items, platforms, strict=True)
            if not _is_attestation(item)
        ]
        if not items or len(set(texts)) != len(texts):
            why = f"holds {len(items)} images: for {', '.join(texts)}" if items else "none of its images is here"
            raise UnsupportedImage(self.what, why, hint="save one image, or one for each platform, per file")
        manifests = [
            {**_plain(item).to_json(), **({"platform": platform} if platform else {})}
            for item, platform in zip(items, platforms, strict=True)
        ]
        return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    def _platform(self, item: IndexItem) -> JSON:
        """What an image's configuration says it is for, in the order of ``platform_json``."""
        if _is_attestation(item):
            return {"architecture": "unknown", "os": "unknown"}
        try:
            config = decode(self._read(self._manifest(item).config), what=f"{self.what}: configuration")
        except UnsupportedImage:
            return {}  # not an image's
        keys = ("architecture", "os", "os.version", "variant")
        return {key: config[key] for key in keys if isinstance(config.get(key), str) and config[key]}


def _is_attestation(item: IndexItem) -> bool:
    """Whether BuildKit wrote it, about another manifest of its index."""
    return _ATTESTS in item.descriptor.annotations


def _plain(item: IndexItem) -> Descriptor:
    # The names it has in the layout are not those it gets; what an attestation is of, only its annotations say.
    of = item.descriptor
    annotations = of.annotations if _is_attestation(item) else {}
    return Descriptor(media_type=of.media_type, digest=of.digest, size=of.size, annotations=annotations)
