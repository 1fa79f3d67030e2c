"""An update proved from its bytes and those of the old image: nothing that was remembered of either is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.errors import UnsupportedImage
from oci_builder.imported.archive import open_archive
from oci_builder.imported.documents import Findings, as_object
from oci_builder.imported.folder import open_folder
from oci_builder.imported.parts import Files, ImageParts, LayerBlob, find_parts
from oci_builder.oci.jsonio import decode
from oci_builder.oci.layout import blob_path
from oci_builder.store import Store
from oci_builder.tree.limits import ByteReader
from oci_builder.updates.faces import MergedTree
from oci_builder.updates.reading import LayerReader, digest_of
from oci_builder.updates.target import target_of
from oci_builder.updates.words import TREE
from oci_builder.verify.results import Report
from oci_builder.verify.verify import verify_files
from oci_builder.wording import counted


def verify_update(path: Path, since: ImageParts, *, scratch: Store) -> Report:
    """Check every byte of an update, and of the layers that it leaves out, which are those of the image ``since``.

    A patch is held to what it says of the whole root filesystem. Raises FileProblem, UnsupportedImage where ``since``
    does not read.
    """
    findings = Findings()
    if path.is_dir():
        with open_folder(path, findings) as folder:
            return _verified(_Completed(folder, _blobs(since)), findings, str(path), since, scratch)
    with open_archive(path, findings) as archive:
        files = _Completed(archive, _blobs(since))
        return _verified(files, findings, str(path), since, scratch, remarks=archive.remarks)


def _blobs(since: ImageParts) -> Mapping[str, LayerBlob]:
    """The layers of the old image by the names that they would have in the update."""
    return {blob_path(digest_of(blob)): blob for blob in since.layers if not blob.absent}


@dataclass(frozen=True)
class _Completed:
    """The files of an update, and the layers of the old image behind them."""

    _files: Files
    _blobs: Mapping[str, LayerBlob]

    @property
    def names(self) -> Sequence[str]:
        """What the update itself holds: no layer of the old image is too much in it."""
        return self._files.names

    def size(self, name: str) -> int | None:
        """Bytes, or None if it is in neither."""
        size = self._files.size(name)
        return self._blobs[name].size if size is None and name in self._blobs else size

    def open(self, name: str) -> ByteReader | None:
        """The content, to be read before the next is opened; None if it is in neither."""
        if self._files.size(name) is None and name in self._blobs:
            return self._blobs[name].open()
        return self._files.open(name)

    def document(self, name: str, findings: Findings) -> bytes | None:
        """All of a small file of the update's."""
        return self._files.document(name, findings)


def _verified(
    files: Files, findings: Findings, name: str, since: ImageParts, scratch: Store, remarks: Sequence[str] = ()
) -> Report:
    report = verify_files(files, findings, remarks=remarks)
    if any("is not there" in line for line in report.findings):
        return _with(report, _misfit(files, name, since))
    if report.findings:
        return report
    parts = find_parts(files, name, None, Findings())
    return _with(report, _differs(parts, since, scratch))


def _misfit(files: Files, name: str, since: ImageParts) -> list[str]:
    """What is wrong with an update that lacks layers, in a word: it is one of another image."""
    try:
        parts = find_parts(files, name, None, Findings(), partial=True)
        old, new = target_of(since), target_of(parts)
    except UnsupportedImage:
        return []
    there = _blobs(since)
    lacking = {
        diff_id
        for blob, diff_id in zip(parts.layers, new.diff_ids, strict=True)
        if blob.absent and blob_path(digest_of(blob)) not in there
    }
    if lacking <= set(old.diff_ids):
        return [f"{since.name} has the layers that it leaves out, but packed otherwise than they are named"]
    count = counted(len(lacking), "layer")
    return [f"it is no update of {since.name}: it leaves out {count} that are not in that"]


def _differs(parts: ImageParts, since: ImageParts, scratch: Store) -> list[str]:
    run = as_object(decode(parts.config, what=f"{parts.name}: configuration").get("config"))
    promised = as_object(run.get("Labels")).get(TREE)
    if promised is None:
        return []
    found = MergedTree(LayerReader(scratch, None).read(target_of(parts))).digest()
    if promised == str(found):
        return []
    return [f"upon {since.name} it makes another root filesystem ({found}) than it says ({promised!s:.80})"]


def _with(report: Report, lines: Sequence[str]) -> Report:
    return Report(report.images, (*lines, *report.findings), report.remarks)
