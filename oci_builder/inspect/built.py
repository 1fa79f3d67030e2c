"""The contents of images that were built just now."""

from __future__ import annotations

from collections.abc import Sequence

from oci_builder.image import Image
from oci_builder.imported.names import readable
from oci_builder.inspect.contents import MAX_KEPT_FILE, FileRecord, ImageContents, LayerContents, Merge, is_wanted
from oci_builder.inspect.reading import in_order
from oci_builder.layer import DELETIONS, IndexEntry, Layer
from oci_builder.oci.jsonio import decode
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind


def contents_of(image: Image, store: Store, *, name: str, references: Sequence[str] = ()) -> ImageContents:
    """What is in an image that was built just now: from its layers' indexes, without unpacking them again.

    Raises CorruptBlob and UnsupportedImage.
    """
    merge, layers = Merge(name), []
    for number, layer in enumerate(image.layers, 1):
        files = [_record(entry, number) for entry in layer.entries if entry.kind not in DELETIONS]
        hidden = [readable(entry.path) for entry in layer.entries if entry.kind == Kind.WHITEOUT.value]
        opaque = [readable(entry.path) for entry in layer.entries if entry.kind == "opaque"]
        merge.add(files, hidden=hidden, opaque=opaque)
        merge.keep(_kept(layer, store))
        layers.append(
            LayerContents(
                number=number,
                digest=layer.descriptor.digest,
                diff_id=str(layer.diff_id),
                size=layer.descriptor.size,
                created_by=layer.created_by,
                files=tuple(files),
                hidden=tuple(hidden),
            )
        )
    return ImageContents(
        name=name,
        config=decode(image.config, what="configuration"),
        config_digest=image.id,
        manifest_digest=image.digest,
        references=tuple(references),
        layers=tuple(layers),
        tree=in_order(merge.tree),
        kept=merge.kept,
        annotations=image.annotations,
    )


def _record(entry: IndexEntry, number: int) -> FileRecord:
    size = entry.size if entry.kind == Kind.FILE.value else 0
    path, target = readable(entry.path), readable(entry.target)
    digest = bytes.fromhex(entry.sha256)
    return FileRecord(path, entry.kind, entry.mode, entry.uid, entry.gid, size, target, digest, number)


def _kept(layer: Layer, store: Store) -> dict[str, bytes]:
    wanted = [entry for entry in layer.entries if entry.size <= MAX_KEPT_FILE and is_wanted(entry.path)]
    with MappedFiles() as sources:
        return {
            readable(entry.path): sources.read(content, what=entry.path)
            for entry in wanted
            if entry.kind not in DELETIONS and (content := layer.content(entry, store)) is not None
        }
