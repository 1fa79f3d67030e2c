"""Updates for registries behind a gap: what one of them lacks, as a file that ``ocibuild push`` completes there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from oci_builder.assemble.context import BuildContext
from oci_builder.assemble.delivery import open_parcel
from oci_builder.assemble.updates import Place, UpdateTask
from oci_builder.errors import UnsupportedImage
from oci_builder.export import docker_archive
from oci_builder.image import Image
from oci_builder.oci.contracts import Blobs
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_blobs, fetch_parcel
from oci_builder.updates.blobs import BlobUpdate, NamedParcel, blob_update, for_platform
from oci_builder.updates.target import is_receipt


def write(task: UpdateTask, path: Path, context: BuildContext) -> tuple[BlobUpdate, int]:
    """Write to ``path`` what a registry lacks of the new image that has the old one; gives it and the size in bytes.

    Raises UpdateRefused, UnsupportedImage, DigestMismatch, RegistryError, FileProblem.
    """
    assert not isinstance(task.new, Image), "what is built just now goes to a registry by itself"
    with contextlib.ExitStack() as stack:
        with context.reporter.stage("compare"):
            old, _, _ = stack.enter_context(_opened(task, task.old, context))
            new, names, blobs = stack.enter_context(_opened(task, task.new, context))
            update = blob_update(old, new, task.references or names, force=task.policy.force)
        if isinstance(task.new, Reference):
            with context.reporter.stage("pull"):
                fetch_blobs(
                    task.new,
                    update.brought,
                    context.registries,
                    store=context.store,
                    jobs=context.jobs,
                    reporter=context.reporter,
                )
        for blob in update.brought:
            if blob.digest not in update.parcel.documents and not blobs.has(blob.digest, blob.size):
                raise UnsupportedImage(new.what, f"{blob.digest} is not in it, and not in {old.what} either")
        with context.reporter.stage("write"):
            return update, docker_archive.write_parts(update.parts, path, store=blobs, reporter=context.reporter)


_Opened = tuple[NamedParcel, tuple[Reference, ...], Blobs]


@contextlib.contextmanager
def _opened(task: UpdateTask, place: Place, context: BuildContext) -> Iterator[_Opened]:
    """What a place holds, what it is called there, and who has its bytes."""
    if isinstance(place, Reference):
        parcel = for_platform(fetch_parcel(place, context.registries), task.platform, what=str(place))
        found = NamedParcel(what=str(place), parcel=parcel, reference=place)
        yield found, (replace(place, digest=None),) if place.tag else (), context.store
        return
    if is_receipt(place):
        why = "what an engine says of an image, and a registry keeps layers as they are packed"
        raise UnsupportedImage(str(place), why, hint="name the image that the registry has, as a reference or a file")
    with open_parcel(place) as (layout, blobs):
        named = tuple(replace(each, digest=None) for each in layout.names if each.tag)
        parcel = for_platform(layout.parcel, task.platform, what=str(place))
        yield NamedParcel(what=str(place), parcel=parcel, reference=next(iter(named), None)), named, blobs
