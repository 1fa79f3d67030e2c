"""Images in a folder that is an OCI image layout (image-layout.md): what is there stays and is not written again.

skopeo, umoci, crane and containerd read it; ``rsync`` of such a folder sends what is new.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from oci_builder.digest import Digest, digest_file
from oci_builder.errors import FileProblem, UnsupportedImage
from oci_builder.files import explained, open_regular
from oci_builder.folders import Folder
from oci_builder.oci.contracts import Blobs, ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, MAX_DOCUMENT, decode, encode
from oci_builder.oci.layout import BLOBS, CONTAINERD_NAME, REF_NAME
from oci_builder.oci.manifest import platform_json
from oci_builder.oci.mediatypes import INDEX
from oci_builder.oci.parcel import Parcel, pack
from oci_builder.outputs import atomic
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.store import Store

_LAYOUT = "oci-layout"
_INDEX = "index.json"
_VERSION: JSON = {"imageLayoutVersion": "1.0.0"}


def write_folder(
    images: Sequence[ImageDocuments],
    folder: Path,
    *,
    references: Sequence[Reference],
    blobs: Blobs,
    reporter: Reporter,
    proof: Callable[[bytes], None] | None = None,
) -> int:
    """Have ``folder`` hold the image, or several as one index, under the references' tags; gives the bytes written.

    Other images in it stay, and so do blobs that hold what their names say. ``index.json`` changes last and at once:
    who reads meanwhile sees the old images or the new one; ``proof`` sees it before that. Raises CorruptBlob,
    FileProblem, and UnsupportedImage where the folder holds something else.
    """
    platform = platform_json(images[0].platform) if len(images) == 1 else {}
    names = LayoutNames(references, platform)
    return write_parcel(pack(images), folder, names, blobs=blobs, reporter=reporter, proof=proof)


@dataclass(frozen=True)
class LayoutNames:
    """What a layout's index says of what is new in it: names, and of one image the ``platform`` it is for."""

    references: Sequence[Reference]
    platform: JSON


def write_parcel(
    parcel: Parcel,
    folder: Path,
    names: LayoutNames,
    *,
    blobs: Blobs,
    reporter: Reporter,
    proof: Callable[[bytes], None] | None = None,
) -> int:
    """The same with anything that travels together."""
    listed = _listed(folder)
    is_new = not folder.exists()
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        opened = Folder(folder)
    written = _write_blobs(parcel, opened, blobs, reporter)
    top = parcel.descriptor.to_json() | ({"platform": names.platform} if names.platform else {})
    _keep(opened, _LAYOUT, encode(_VERSION))
    entries = [top | {"annotations": _names(reference)} for reference in dict.fromkeys(names.references)] or [top]
    index = encode(_merged(listed, entries))
    if proof is not None:
        with _gone_on_error(folder) if is_new else contextlib.nullcontext():
            proof(index)
    _keep(opened, _INDEX, index)
    return written


@contextlib.contextmanager
def _gone_on_error(folder: Path) -> Iterator[None]:
    # Blobs without an index are no layout, and nobody would write to them again.
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_folder(folder: Path) -> None:
    """An image can be written to ``folder``: it is a layout, or empty, or not there. Raises UnsupportedImage."""
    _listed(folder)


def _listed(folder: Path) -> JSON:
    """The index of the layout in ``folder``, an empty one where nothing is."""
    with explained(folder):
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not names:
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    if _LAYOUT not in names or _INDEX not in names:
        why = "the folder is not empty, and no OCI image layout"
        raise UnsupportedImage(str(folder), why, hint="name a new folder, or one that ocibuild wrote before")
    if _read(folder / _LAYOUT).get("imageLayoutVersion") != _VERSION["imageLayoutVersion"]:
        raise UnsupportedImage(str(folder), "an OCI image layout of another version than 1.0.0")
    index = _read(folder / _INDEX)
    manifests = index.get("manifests")
    if not isinstance(manifests, list) or not all(isinstance(each, dict) for each in manifests):
        raise UnsupportedImage(str(folder / _INDEX), "it has no list of manifests")
    return index


def _read(path: Path) -> JSON:
    with explained(path), open_regular(path) as stream:
        return decode(stream.read(MAX_DOCUMENT + 1), what=str(path))


def _write_blobs(parcel: Parcel, folder: Folder, blobs: Blobs, reporter: Reporter) -> int:
    place = folder
    for name in PurePosixPath(BLOBS).parts:
        with explained(place.path / name):
            # No link: what is written into a layout stays in it.
            place = place.inner(name)
    documents = dict(parcel.documents)
    layers = {blob.digest: blob for blob in parcel.blobs if blob.digest not in documents}
    documents |= {Digest.of(raw): raw for _, raw in (*parcel.manifests, parcel.top)}
    total, done, written = sum(layer.size for layer in layers.values()), 0, 0
    for layer in layers.values():
        if not _holds(place.path / layer.digest.hex, layer):
            _copy(place, layer, blobs)
            written += layer.size
        done += layer.size
        reporter.advance(folder.path.name, done, total)
    for digest, data in documents.items():
        named = Descriptor(media_type="", digest=digest, size=len(data))
        if not _holds(place.path / digest.hex, named):
            _fill(place, digest.hex, [data])
            written += len(data)
    return written


def _holds(path: Path, named: Descriptor) -> bool:
    # Read, not only measured: half a second for a large image, and no damaged blob is handed on.
    try:
        return path.stat().st_size == named.size and digest_file(str(path))[0] == named.digest
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FileProblem(str(path), str(error.strerror).lower()) from error


def _copy(place: Folder, layer: Descriptor, blobs: Blobs) -> None:
    if not isinstance(blobs, Store):
        _fill(place, layer.digest.hex, blobs.chunks(layer.digest, layer.size))
        return
    with atomic(place.path / layer.digest.hex, within=place) as sink:
        blobs.copy(layer.digest, layer.size, sink)


def _fill(place: Folder, name: str, chunks: Iterable[bytes]) -> None:
    with atomic(place.path / name, within=place) as sink:
        for chunk in chunks:
            sink.write(chunk)


def _keep(place: Folder, name: str, data: bytes) -> None:
    path = place.path / name
    if not path.is_file() or path.read_bytes() != data:
        _fill(place, name, [data])


def _names(reference: Reference) -> JSON:
    return {CONTAINERD_NAME: str(reference), REF_NAME: reference.tag}


def _merged(index: JSON, entries: Sequence[JSON]) -> JSON:
    """``index`` with ``entries`` in it; one that has the name of another takes its place."""
    taken = {_name(entry) for entry in entries}
    old = index["manifests"]
    assert isinstance(old, list), "it has been looked at"
    return index | {"manifests": [*(entry for entry in old if _name(entry) not in taken), *entries]}


def _name(entry: JSON) -> str:
    """What an entry is found by; one without a name is found by its digest."""
    annotations = entry.get("annotations")
    name = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return str(name or entry.get("digest"))
