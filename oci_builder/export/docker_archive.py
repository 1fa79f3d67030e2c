"""An image as one tar file that is an OCI image layout and a docker archive at once.

docker's graph drivers read ``manifest.json``, containerd and podman prefer ``index.json``; no engine notices when the
two differ, so both are derived from one image here. Plain USTAR, no links, every blob once: what all of them load.
"""

from __future__ import annotations

import contextlib
import queue
import tarfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from oci_builder.compression import BlockPacker
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.export.output import output, stream_of
from oci_builder.layer import LEVEL
from oci_builder.oci.contracts import Blobs, ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import encode
from oci_builder.oci.layout import BLOBS, CONTAINERD_NAME, REF_NAME, blob_path
from oci_builder.oci.mediatypes import INDEX
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.tree.tarwrite import BLOCK, END, padding

_MAX_ENTRY = 8**11 - 1
"""Bytes; the largest size that fits a USTAR header."""

_AHEAD = 8
"""Chunks that wait to be written."""

_FAREWELL = 2.0
"""Seconds in which a reader notices that nobody wants more, unless its disk answers nothing: it ends with us then."""


@dataclass(frozen=True, slots=True)
class Part:
    """One entry of the archive: a document held in memory, a blob of the store, or (neither) a folder."""

    name: str
    size: int = 0
    data: bytes | None = None
    blob: Digest | None = None


def write_file(
    image: ImageDocuments,
    path: Path,
    *,
    references: Sequence[Reference],
    store: Blobs,
    reporter: Reporter,
    proof: Callable[[Path], None] | None = None,
) -> int:
    """Write ``image`` to ``path``, whole or not at all, and return the size in bytes; a pipe or device gets it at once.

    ``proof`` sees the file before it appears.

    ``.tar`` is plain; ``.tar.gz`` and ``.tgz`` are compressed outside too, which docker and podman load and older
    containerd and skopeo do not. Progress is told in bytes of the plain archive. Raises InvalidValue for another
    suffix or a reference without a tag, CorruptBlob where the store does not hold a layer, FileProblem.
    """
    return write_parts(plan(image, references), path, store=store, reporter=reporter, proof=proof)


def write_parts(
    parts: Sequence[Part],
    path: Path,
    *,
    store: Blobs,
    reporter: Reporter,
    proof: Callable[[Path], None] | None = None,
) -> int:
    """Write what was planned to ``path``, as ``write_file`` does. Raises as that."""
    packed = _is_packed(path)
    with output(path, note=reporter.note, proof=proof) as file:
        sink = BlockPacker(file, LEVEL) if packed else file
        _send(parts, sink, store=store, reporter=reporter, name=path.name)
        if isinstance(sink, BlockPacker):
            sink.close()
        return file.tell()


def write_stream(parts: Sequence[Part], sink: BinaryIO, *, store: Blobs, reporter: Reporter, name: str) -> int:
    """Write what was planned to ``sink``, plain, and return the size in bytes; ``name`` is what progress is told of.

    Raises CorruptBlob where the store does not hold a layer.
    """
    _send(parts, sink, store=store, reporter=reporter, name=name)
    return size_of(parts)


def _send(parts: Sequence[Part], sink: BinaryIO | BlockPacker, *, store: Blobs, reporter: Reporter, name: str) -> None:
    done, total = 0, size_of(parts)
    with contextlib.closing(_ahead(_chunks(parts, store))) as chunks:
        for data in chunks:
            sink.write(data)
            done += len(data)
            reporter.advance(name, done, total)


def plan(
    image: ImageDocuments, references: Sequence[Reference], omitted: AbstractSet[Digest] = frozenset()
) -> tuple[Part, ...]:
    """Every entry of the archive, in order; documents first, so that a reader of a stream knows what follows.

    Layers that are ``omitted`` are named like the others, and left out: an engine that has them loads it. Raises
    InvalidValue for a reference without a tag, UnsupportedImage for a blob too large for USTAR.
    """
    names = tuple(dict.fromkeys(_name(reference) for reference in references))
    documents = {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": encode(_index(image, names)),
        "manifest.json": encode(_docker_manifest(image, names)),
    }
    own = {image.id: image.config, image.digest: image.manifest}
    blobs = {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
    for digest, size in blobs.items():
        if size > _MAX_ENTRY:
            raise UnsupportedImage(f"layer {digest}", f"{size} bytes, and a tar entry holds {_MAX_ENTRY} at most")
    return (
        *(Part(name, len(data), data=data) for name, data in documents.items()),
        Part("blobs/"),
        Part(BLOBS),
        *(Part(blob_path(digest), len(data), data=data) for digest, data in own.items()),
        *(Part(blob_path(digest), size, blob=digest) for digest, size in blobs.items() if digest not in omitted),
    )


def size_of(parts: Sequence[Part]) -> int:
    """The size in bytes of the plain archive of ``parts``."""
    return sum(BLOCK + part.size + len(padding(part.size)) for part in parts) + len(END)


def _is_packed(path: Path) -> bool:
    if path.name.endswith((".tar.gz", ".tgz")):
        return True
    if path.name.endswith(".tar") or stream_of(path):
        return False
    raise InvalidValue("name for an image file", path.name, "it must end in .tar, .tar.gz or .tgz")


def _name(reference: Reference) -> Reference:
    if not reference.tag:
        raise InvalidValue("name for an image in a file", str(reference), "it needs a tag, and no digest")
    return Reference(reference.registry, reference.repository, reference.tag)


def _index(image: ImageDocuments, names: Sequence[Reference]) -> dict[str, object]:
    # One descriptor per tag: containerd reads one name from each.
    named = [_descriptor(image, {CONTAINERD_NAME: str(name), REF_NAME: name.tag}) for name in names]
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": named or [_descriptor(image, {})]}


def _descriptor(image: ImageDocuments, annotations: dict[str, str]) -> dict[str, object]:
    of = image.descriptor
    return Descriptor(media_type=of.media_type, digest=of.digest, size=of.size, annotations=annotations).to_json()


def _docker_manifest(image: ImageDocuments, names: Sequence[Reference]) -> list[object]:
    layers = [blob_path(layer.descriptor.digest) for layer in image.layers]
    return [{"Config": blob_path(image.id), "RepoTags": [str(name) for name in names], "Layers": layers}]


def _chunks(parts: Sequence[Part], store: Blobs) -> Iterator[bytes]:
    for part in parts:
        yield _header(part)
        if part.data is not None:
            yield part.data
        elif part.blob is not None:
            yield from store.chunks(part.blob, part.size)
        if part.size % BLOCK:
            yield padding(part.size)
    yield END


def _ahead(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same, read and verified in a thread of its own while the caller writes what came before."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    left = threading.Event()

    def read() -> None:
        try:
            for data in chunks:
                ready.put(data)
                if left.is_set():
                    return
            ready.put(None)
        except BaseException as error:  # the caller's to raise
            ready.put(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        until = time.monotonic() + _FAREWELL
        while reader.is_alive() and time.monotonic() < until:
            # A reader that waits for room finds some, and then that nobody wants more.
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.01)


def _header(part: Part) -> bytes:
    info = tarfile.TarInfo(part.name)
    info.size, info.mode = part.size, 0o644
    if part.name.endswith("/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
