"""What became of an update, as lines for a person and as JSON for a program."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.updates.blobs import BlobUpdate
    from oci_builder.updates.update import Update


def told(update: Update, path: Path, size: int) -> list[str]:
    """An update for a person: what travels, what is named and left out, and what there is afterwards."""
    from oci_builder.cli.progress import human_bytes

    found = update.difference
    kind = "layers of" if found is None else "patch to"
    named = ", ".join(reference.familiar for reference in update.references) or "no name"
    sizes = f"{human_bytes(size)} instead of {human_bytes(update.whole)}"
    lines = [f"{path}: {sizes}: {kind} image {update.equals.hex[:12]}, {named}"]
    if found is not None:
        changed, gone = counted(len(found.changed), "path"), counted(found.gone, "path")
        lines.append(f"{changed} added or changed, {gone} gone; the image's ID is {update.image.id.hex[:12]}")
    count = counted(len(update.omitted), "layer")
    left = f"{count} ({human_bytes(update.left)}) {'is' if len(update.omitted) == 1 else 'are'} named and left out"
    lines.append(f"{left}: the target has image {update.target.id.removeprefix('sha256:')[:12] or update.target.name}")
    return lines


def document(update: Update, path: Path, size: int) -> dict[str, Any]:
    """The same and more, for programs; sizes are bytes."""
    found = update.difference
    return {
        "file": str(path),
        "size": size,
        "kind": "exact" if found is None else "patch",
        "id": str(update.image.id),
        "digest": str(update.image.digest),
        "equals": str(update.equals),
        "since": update.target.id,
        "tags": [reference.familiar for reference in update.references],
        "whole": update.whole,
        "left_out": update.left,
        "layers": [
            {
                "digest": str(layer.descriptor.digest),
                "size": layer.descriptor.size,
                "left_out": layer.descriptor.digest in update.omitted,
            }
            for layer in update.image.layers
        ],
        "changed": None if found is None else len(found.changed),
        "gone": None if found is None else found.gone,
    }


def told_of_blobs(update: BlobUpdate, path: Path, size: int) -> list[str]:
    """An update for a registry, for a person."""
    from oci_builder.cli.progress import human_bytes

    named = ", ".join(map(str, update.references)) or "no name"
    sizes = f"{human_bytes(size)} instead of {human_bytes(update.whole)}"
    count = counted(len(update.omitted), "blob")
    is_left = f"{'is' if len(update.omitted) == 1 else 'are'} named and left out"
    return [
        f"{path}: {sizes}: {counted(len(update.brought), 'blob')} for a registry: {named}@{update.parcel.digest}",
        f"{count} ({human_bytes(update.left)}) {is_left}: the registry has {update.old}",
        f"there: ocibuild push {shlex.quote(str(path))} REFERENCE",
    ]


def blobs_document(update: BlobUpdate, path: Path, size: int) -> dict[str, Any]:
    """The same for programs; sizes are bytes."""
    return {
        "file": str(path),
        "size": size,
        "kind": "blobs",
        "digest": str(update.parcel.digest),
        "since": update.old,
        "tags": [str(reference) for reference in update.references],
        "whole": update.whole,
        "left_out": update.left,
        "blobs": [
            {"digest": str(blob.digest), "size": blob.size, "left_out": blob.digest in update.omitted}
            for blob in update.parcel.blobs
        ],
    }
