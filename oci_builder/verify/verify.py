"""An image checked from its first byte to its last, because no engine does.

docker's graph drivers never hash compressed blobs, skopeo never hashes plain ones, nobody compares ``manifest.json``
with ``index.json``, and nobody asks a registry for what it does not need: an image that loads may still be another one
elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.digest import Digest
from oci_builder.imported.archive import open_archive
from oci_builder.imported.documents import Findings
from oci_builder.imported.folder import open_folder
from oci_builder.imported.parts import Files
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.registry.registries import Registries
from oci_builder.store import Store
from oci_builder.tree.limits import ByteReader
from oci_builder.verify.checker import Checker
from oci_builder.verify.layout import FileHolder, Held, find_images
from oci_builder.verify.manifests import LayerFile, follow
from oci_builder.verify.registry import RegistryHolder
from oci_builder.verify.results import Report

_INDEX = "index.json"


def verify_file(path: Path) -> Report:
    """Check every byte of a docker archive or OCI layout, in a tar, compressed or not, or a folder. Raises FileProblem.

    Never unpacks anything; memory does not grow with the size of layers.
    """
    findings = Findings()
    if path.is_dir():
        with open_folder(path, findings) as folder:
            return verify_files(folder, findings)
    with open_archive(path, findings) as archive:
        return verify_files(archive, findings, remarks=archive.remarks)


def verify_layout(root: Path, index: bytes) -> Report:
    """Check the layout in ``root`` as it will be once its index.json is ``index``. Raises FileProblem."""
    findings = Findings()
    with open_folder(root, findings) as folder:
        return verify_files(_Indexed(folder, index), findings)


def verify_reference(
    reference: Reference, platform: Platform | None, registries: Registries, *, store: Store
) -> Report:
    """Check every byte that a registry serves of an image, or of an index with all its images.

    With ``platform`` only the image for that one. What holds is in the store afterwards. Raises RegistryError where
    the registry cannot be asked.
    """
    findings = Findings()
    holder = RegistryHolder(reference, platform, registries, store)
    top = holder.top(findings)
    found = follow([top] if top else [], holder, findings, what=str(reference))
    for each in found.absent:
        findings.add(f"{reference} names an image that the registry does not have: {each}")
    if top is not None and not found.images:
        findings.add(f"{reference} names no image{f' for {platform}' if platform else ''}")
    return Checker(holder, findings).report(Held(tuple(found.images.values()), tuple(found.others.values())))


@dataclass(frozen=True)
class _Indexed:
    """The files of a folder, with another index."""

    _files: Files
    _index: bytes

    @property
    def names(self) -> Sequence[str]:
        return sorted({*self._files.names, _INDEX})

    def size(self, name: str) -> int | None:
        return len(self._index) if name == _INDEX else self._files.size(name)

    def open(self, name: str) -> ByteReader | None:
        return io.BytesIO(self._index) if name == _INDEX else self._files.open(name)

    def document(self, name: str, findings: Findings) -> bytes | None:
        return self._index if name == _INDEX else self._files.document(name, findings)


def verify_files(files: Files, findings: Findings, *, remarks: Sequence[str] = ()) -> Report:
    """Check every byte of the images in ``files``; what was found and remarked before is said as well."""
    held = find_images(files, findings)
    checker = Checker(FileHolder(files), findings)
    for line in remarks:
        checker.remarks.add(line)
    for name in held.strays:
        # A name that goes to another image leaves blobs behind in a layout; docker since 25 saves descriptions of
        # layers, for versions before 1.10.
        checker.remarks.add(f"{name}: nothing refers to it")
        checker.check_blob(LayerFile(name, _digest_of(name)))
    for each in held.absent:
        checker.remarks.add(f"named, and not here: {each}")
    return checker.report(held)


def _digest_of(name: str) -> Digest | None:
    text = name.rpartition("/")[2]
    return Digest(text) if name.startswith("blobs/sha256/") and len(text) == 64 else None
