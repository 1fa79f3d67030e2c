"""A registry's image in a folder beside a recipe: an OCI image layout with the documents and layers a build takes.

The bytes are the registry's own, so that the digest a lock has for the image leads to them. Nobody is believed: what
does not have the digest it is asked for by is not there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, UnsupportedImage
from oci_builder.files import explained, open_regular
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT, encode
from oci_builder.oci.layout import CONTAINERD_NAME, REF_NAME, blob_path
from oci_builder.oci.manifest import Index, Manifest, parse_manifest, platform_of
from oci_builder.oci.mediatypes import INDEX
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.registry.pulling import PulledImage
from oci_builder.store import Store

_INDEX = "index.json"


def find_copy(folder: Path, reference: Reference, platform: Platform) -> PulledImage | None:
    """What ``folder`` has of the image that ``reference`` names by digest; None where something is not there.

    Raises UnsupportedImage where the image is not for ``platform``, FileProblem.
    """
    found = find_manifest(folder, reference)
    if isinstance(found, Index):
        chosen = found.select(platform, what=str(reference))
        found = find_manifest(folder, replace(reference, digest=chosen.digest))
    if not isinstance(found, Manifest):
        return None
    config = _document(folder, found.config.digest)
    if config is None:
        return None
    own = platform_of(config, what=str(reference))
    if own != platform:
        raise UnsupportedImage(str(reference), f"an image for {own}, not for {platform}")
    exact = replace(reference, digest=found.descriptor.digest)
    return PulledImage(reference=exact, platform=own, parsed=found, config=config)


def blobs_of(image: PulledImage) -> frozenset[Digest]:
    """All that an image consists of."""
    return frozenset({image.digest, image.id, *(layer.descriptor.digest for layer in image.layers)})


def find_manifest(folder: Path, reference: Reference) -> Manifest | Index | None:
    """The document that the digest of ``reference`` is of, if ``folder`` has it. Raises UnsupportedImage."""
    raw = _document(folder, reference.digest) if reference.digest else None
    return None if raw is None else parse_manifest(raw, media_type="", what=str(reference))


def find_named(folder: Path, reference: Reference) -> Digest | None:
    """The digest of what ``folder`` has under the name ``reference``; None if it has nothing under it."""
    path = folder / _INDEX
    raw = _read(path)
    if raw is None:
        return None
    found = parse_manifest(raw, media_type=INDEX, what=str(path))
    named = found.manifests if isinstance(found, Index) else ()
    return next((item.descriptor.digest for item in named if _name(item.descriptor) == str(reference)), None)


def take_layers(folder: Path, layers: Sequence[Descriptor], store: Store) -> None:
    """Have those of ``layers`` in ``store`` that ``folder`` has. Raises FileProblem."""
    for layer in layers:
        path = folder / blob_path(layer.digest)
        if not store.has(layer.digest, layer.size) and inputs.is_file(path):
            with contextlib.suppress(DigestMismatch):
                store.put_file(path, digest=layer.digest, size=layer.size, what=str(path))


def layout_documents(reference: Reference, root: Descriptor) -> Mapping[str, bytes]:
    """The documents, by file name, of a layout that holds what ``reference`` names, which is ``root``."""
    name = replace(reference, digest=None)
    annotations = {CONTAINERD_NAME: str(name), REF_NAME: name.tag} if name.tag else {}
    named = replace(root, annotations=annotations).to_json()
    return {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        _INDEX: encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}),
    }


def _name(descriptor: Descriptor) -> str:
    return descriptor.annotations.get(CONTAINERD_NAME, "")


def _document(folder: Path, digest: Digest) -> bytes | None:
    data = _read(folder / blob_path(digest))
    return data if data is not None and Digest.of(data) == digest else None


def _read(path: Path) -> bytes | None:
    with explained(path):
        if not inputs.is_file(path):
            return None
        with open_regular(path) as stream:
            return stream.read(MAX_DOCUMENT + 1)
