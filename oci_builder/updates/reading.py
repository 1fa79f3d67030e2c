"""The layers of both images of an update: each read once, or known from before; and the bytes of what a patch takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from oci_builder.digest import CHUNK, Digest
from oci_builder.errors import DigestMismatch, UnsupportedImage
from oci_builder.imported.layers import LayerDescription, open_layer
from oci_builder.imported.parts import ImageParts, LayerBlob
from oci_builder.imported.unpacked import Hashed
from oci_builder.layer import Layer
from oci_builder.oci.documents import Descriptor
from oci_builder.store import Store
from oci_builder.tree.entry import Content, Inline, Member, Spliced
from oci_builder.tree.limits import Budget, Unfit
from oci_builder.updates.memory import ScanMemory
from oci_builder.updates.scanning import NOWHERE, LayerScan, scan_blob, scan_of
from oci_builder.updates.target import TargetImage


class LayerReader:
    """Reads layers with the budget of one image after the other; ``memory`` None knows nothing from before."""

    def __init__(self, scratch: Store, memory: ScanMemory | None) -> None:
        self._scratch, self._memory = scratch, memory
        self._read: dict[tuple[Digest, Digest], LayerScan] = {}
        self._unpacked: dict[Digest, LayerScan] = {}

    def know(self, layers: Iterable[Layer]) -> None:
        """Take what the indexes of layers say that were made just now."""
        for layer in layers:
            if (scan := scan_of(layer)) is not None:
                self._keep(scan)

    def read(self, target: TargetImage) -> tuple[LayerScan, ...]:
        """All layers of an image, oldest first.

        Raises UnsupportedImage for one that is neither here nor known, DigestMismatch.
        """
        budget = Budget()
        if not target.blobs:
            return tuple(self._recalled(target, number) for number in range(len(target.diff_ids)))
        return tuple(self._layer(target, number, blob, budget) for number, blob in enumerate(target.blobs))

    def _layer(self, target: TargetImage, number: int, blob: LayerBlob, budget: Budget) -> LayerScan:
        if blob.absent:
            return self._recalled(target, number)
        diff_id, label = target.diff_ids[number], f"{target.name}: layer {number + 1}"
        # What is taken of it is held to this digest; of what is not taken, the name is all that matters.
        digest = digest_of(blob)
        known = self._read.get((digest, diff_id)) or self._remembered(digest, diff_id)
        if known is not None:
            _spend(budget, blob, known, label)
            return self._keep(known)
        found = scan_blob(blob, diff_id=diff_id, label=label, budget=budget, scratch=self._scratch)
        if self._memory is not None:
            self._memory.keep(found)
        return self._keep(found)

    def _remembered(self, digest: Digest, diff_id: Digest) -> LayerScan | None:
        if self._memory is None:
            return None
        found = self._memory.find(digest) or self._memory.find_made(diff_id)
        fits = found is not None and (found.descriptor.digest, found.diff_id) == (digest, diff_id)
        return found if fits else None

    def _recalled(self, target: TargetImage, number: int) -> LayerScan:
        diff_id = target.diff_ids[number]
        found = self._unpacked.get(diff_id)
        if found is None and self._memory is not None:
            found = self._memory.find_unpacked(diff_id)
        if found is None:
            why = f"nothing here knows what is in its layer {number + 1} ({diff_id})"
            hint = "name the old image itself, as a file or a reference; on its machine `docker save IMAGE` writes one"
            raise UnsupportedImage(target.name, why, hint=hint)
        return self._keep(found)

    def _keep(self, scan: LayerScan) -> LayerScan:
        self._unpacked.setdefault(scan.diff_id, scan)
        return self._read.setdefault((scan.descriptor.digest, scan.diff_id), scan)


def digest_of(blob: LayerBlob) -> Digest:
    """What a layer is called as it is stored: the digest that it was given with, or else that of its bytes."""
    if blob.digest is not None:
        return blob.digest
    packed = Hashed(blob.open())
    packed.drain()
    return packed.digest()


def _spend(budget: Budget, blob: LayerBlob, known: LayerScan, label: str) -> None:
    try:
        budget.count_packed(known.descriptor.digest, blob.size)
        budget.spend(known.spent, label)
    except Unfit as error:
        raise UnsupportedImage(label, str(error).removeprefix(f"{label}: ")) from error


class PatchContents:
    """The contents of files of an image, read where its layers are: in the store, or brought to ``scratch``."""

    def __init__(self, parts: ImageParts, scans: tuple[LayerScan, ...], store: Store, scratch: Store) -> None:
        self._parts, self._scans, self._store, self._scratch = parts, scans, store, scratch
        self._opened: dict[int, Layer] = {}
        self._packed: dict[int, Path] = {}

    def bring(self, wanted: Mapping[int, Iterable[int]]) -> None:
        """Have the contents of ``wanted`` entries at hand, by the number of their layer, each from 0.

        Raises DigestMismatch, UnsupportedImage, FileProblem.
        """
        for number in sorted(wanted):
            scan = self._scans[number]
            rows = [row for row in wanted[number] if scan.entries[row].size]
            if not rows:
                continue
            blob = self._parts.layers[number]
            if all(scan.members[row] != NOWHERE for row in rows):
                digest = scan.descriptor.digest
                store = self._store if self._store.has(digest, scan.descriptor.size) else self._scratch
                if store is self._scratch:
                    bring_blob(blob, scan.descriptor, store, what=f"{self._parts.name}: layer {number + 1}")
                self._packed[number] = store.path(digest)
                continue
            named = LayerDescription(image=self._parts.name, number=number + 1, diff_id=scan.diff_id, created_by="")
            self._opened[number] = open_layer(blob, named, self._scratch)

    def of(self, number: int, row: int) -> Content:
        """The content of one that was brought."""
        scan = self._scans[number]
        entry = scan.entries[row]
        if not entry.size:
            return Inline(b"")
        if (opened := self._opened.get(number)) is not None:
            content = opened.content(opened.entries[row], self._scratch)
            assert content is not None, "it is a file"
            return content
        return Spliced(Member(self._packed[number], scan.members[row], entry.size), entry.sha256)


def bring_blob(blob: LayerBlob, named: Descriptor, scratch: Store, *, what: str) -> None:
    """Copy a layer as it is stored. Raises DigestMismatch, UnsupportedImage for one that is absent."""
    if scratch.has(named.digest, named.size):
        return
    source = blob.open()
    with scratch.writer() as sink:
        while data := source.read(CHUNK):
            sink.write(data)
        if sink.digest() != named.digest:
            hint = "the image was changed or cut off on its way; get it again"
            raise DigestMismatch(what, expected=str(named.digest), actual=str(sink.digest()), hint=hint)
