"""An image file checked from its first byte to its last, because no engine does.

docker's graph drivers never hash compressed blobs, skopeo never hashes plain ones, and nobody compares
``manifest.json`` with ``index.json``: an image that loads may still be another one elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oci_builder.check.config import check_config
from oci_builder.check.layer_rules import LayerRules
from oci_builder.check.layout import Contents, LayerFile, find_contents
from oci_builder.digest import Digest
from oci_builder.foreign.archive import Archive, open_archive
from oci_builder.foreign.documents import Findings
from oci_builder.foreign.tarstream import Damaged, TarStream
from oci_builder.foreign.unpacked import GZIP_MAGIC, Hashed, Inflated
from oci_builder.image import MAX_LAYERS


@dataclass(frozen=True, slots=True)
class CheckedLayer:
    """What a layer turned out to be: the digest and size (bytes) of its blob, its diff ID, its number of paths.

    ``diff_id`` is None where the blob could not be unpacked.
    """

    digest: Digest
    size: int
    diff_id: Digest | None
    entries: int


@dataclass(frozen=True, slots=True)
class Report:
    """What is in an image file and what is wrong with it; nothing is, if ``findings`` is empty.

    ``image_id`` is the digest of the configuration, ``manifest_digest`` that of the manifest (None in a docker archive
    without one); both are computed, not quoted.
    """

    image_id: Digest | None
    manifest_digest: Digest | None
    layers: tuple[CheckedLayer, ...]
    findings: tuple[str, ...]


def verify_file(path: Path) -> Report:
    """Check every byte of a docker archive or OCI layout in a tar, compressed or not. Raises FileProblem.

    Never unpacks anything; memory does not grow with the size of layers.
    """
    findings = Findings()
    with open_archive(path, findings) as archive:
        contents = find_contents(archive, findings)
        if len(contents.layers) > MAX_LAYERS:
            findings.add(f"the image: {len(contents.layers)} layers, and Docker mounts {MAX_LAYERS} at most")
        layers = _check_layers(archive, contents, findings)
        if contents.config is not None:
            check_config(contents.config, [layer.diff_id if layer else None for layer in layers], findings)
    return Report(
        image_id=Digest.of(contents.config) if contents.config is not None else None,
        manifest_digest=contents.manifest_digest,
        layers=tuple(layer for layer in layers if layer),
        findings=tuple(findings.lines),
    )


def _check_layers(archive: Archive, contents: Contents, findings: Findings) -> list[CheckedLayer | None]:
    links: set[str] = set()
    checked: list[CheckedLayer | None] = []
    for number, layer in enumerate(contents.layers, 1):
        label = f"layer {number} ({layer.label})"
        checked.append(_check_layer(archive, layer, label, links, findings))
    return checked


def _check_layer(
    archive: Archive, layer: LayerFile, label: str, links: set[str], findings: Findings
) -> CheckedLayer | None:
    head = archive.open(layer.path)
    is_gzip = head is not None and head.read(2) == GZIP_MAGIC
    blob = archive.open(layer.path)
    if blob is None:
        findings.add(f"{label}: {layer.path} is not in the archive")
        return None
    if layer.is_gzip is not None and layer.is_gzip != is_gzip:
        findings.add(f"{label}: its media type and its first bytes disagree about gzip")
    packed = Hashed(blob)
    plain = Hashed(Inflated(packed, what=label) if is_gzip else packed)
    rules = LayerRules(label, links=links)
    diff_id = _read_layer(plain, rules, label, findings)
    packed.drain()
    for line in rules.findings:
        findings.add(line)
    _check_blob(layer, packed, label, findings)
    return CheckedLayer(packed.digest(), packed.size, diff_id, rules.entries)


def _read_layer(plain: Hashed, rules: LayerRules, label: str, findings: Findings) -> Digest | None:
    stream = TarStream(plain, what=label)
    try:
        for member in stream.members():
            rules.add(member)
    except Damaged as error:
        findings.add(str(error))
    if stream.has_global_header:
        findings.add(f"{label}: a global PAX header, which engines apply differently")
    try:
        # After damage to the tar, what is left still belongs to the diff ID.
        plain.drain()
    except Damaged as error:
        findings.add(str(error))
        return None
    return plain.digest()


def _check_blob(layer: LayerFile, packed: Hashed, label: str, findings: Findings) -> None:
    if layer.digest is not None and packed.digest() != layer.digest:
        findings.add(f"{label}: its bytes have the digest {packed.digest()}")
    if layer.size is not None and packed.size != layer.size:
        findings.add(f"{label}: {packed.size} bytes, and its descriptor says {layer.size}")
