"""Updates of images wherever they are: files, folders, registries, built just now, or known by a receipt alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from oci_builder.assemble.context import BuildContext
from oci_builder.digest import Digest
from oci_builder.errors import CheckFailed, InvalidValue, UnsupportedImage
from oci_builder.files import open_regular
from oci_builder.image import Image
from oci_builder.imported.parts import ImageParts, LayerBlob, open_parts
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.store import Store
from oci_builder.updates.proving import verify_update
from oci_builder.updates.target import TargetImage, is_receipt, read_receipt, target_of
from oci_builder.updates.update import (
    Update,
    UpdateContext,
    UpdatePolicy,
    UpdateRequest,
    make_update,
    write_update,
)
from oci_builder.verify.registry import open_served
from oci_builder.verify.results import Report

Place = Path | Reference


@dataclass(frozen=True, kw_only=True)
class UpdateTask:
    """What is to be written: what brings a target that has ``old`` up to ``new``.

    Without ``references`` it is called what ``new`` is called. With ``verify`` it is proved from its bytes and the old
    image's before it appears.
    """

    old: Place
    new: Place | Image
    platform: Platform | None = None
    references: Sequence[Reference] = ()
    policy: UpdatePolicy = field(default_factory=UpdatePolicy)
    verify: bool = False


def write(task: UpdateTask, path: Path, context: BuildContext) -> tuple[Update, int]:
    """Make an update and write it to ``path``, whole or not at all; gives it and the file's size in bytes.

    Raises UpdateRefused, UnsupportedImage, DigestMismatch, RegistryError, CheckFailed, FileProblem.
    """
    with contextlib.ExitStack() as stack:
        scratch = Store(stack.enter_context(context.store.scratch()))
        world = UpdateContext(store=context.store, scratch=scratch, reporter=context.reporter)
        target, old = stack.enter_context(_opened_target(task, context))
        new = stack.enter_context(_opened_new(task, context))
        request = UpdateRequest(
            target=target,
            new=new,
            references=task.references or names_of(new),
            policy=task.policy,
            made=task.new.layers if isinstance(task.new, Image) else (),
        )
        if task.verify and old is None:
            why = "its layers are not at hand, and without them nothing is proved from bytes"
            raise UnsupportedImage(target.name, why, hint="leave out --verify, or name the old image itself")
        update = make_update(request, world)
        proof = _proof(path, old, world) if task.verify and old is not None else None
        return update, write_update(update, path, world, proof=proof)


def verify(path: Path, since: Place, *, platform: Platform | None = None, context: BuildContext) -> Report:
    """All that is wrong with an update, given the old image. Raises RegistryError, UnsupportedImage, FileProblem."""
    with context.store.scratch() as folder, opened_parts(since, platform, context, partial_is_well=False) as parts:
        return verify_update(path, parts, scratch=Store(folder))


@contextlib.contextmanager
def _opened_target(task: UpdateTask, context: BuildContext) -> Iterator[tuple[TargetImage, ImageParts | None]]:
    """The old image, and its bytes where they are at hand."""
    old = task.old
    if isinstance(old, Path) and is_receipt(old):
        yield read_receipt(old), None
        return
    with opened_parts(old, task.platform, context, partial_is_well=True) as parts:
        is_whole = not any(layer.absent for layer in parts.layers)
        yield target_of(parts), parts if is_whole else None


@contextlib.contextmanager
def _opened_new(task: UpdateTask, context: BuildContext) -> Iterator[ImageParts]:
    if not isinstance(task.new, Image):
        with opened_parts(task.new, task.platform, context, partial_is_well=True) as parts:
            yield parts
        return
    with contextlib.ExitStack() as stack:

        def opened(digest: Digest) -> BinaryIO:
            return stack.enter_context(open_regular(context.store.path(digest)))

        image = task.new
        layers = [layer.descriptor for layer in image.layers]
        yield ImageParts(
            name=task.references[0].familiar if task.references else "the image",
            config=image.config,
            manifest=image.manifest,
            layers=tuple(LayerBlob(each.digest, each.size, partial(opened, each.digest)) for each in layers),
            annotations=image.annotations,
        )


@contextlib.contextmanager
def opened_parts(
    place: Place, platform: Platform | None, context: BuildContext, *, partial_is_well: bool
) -> Iterator[ImageParts]:
    """The image at ``place``, of whose layers some may be left out where that is well.

    Raises UnsupportedImage, RegistryError, DigestMismatch, FileProblem.
    """
    if isinstance(place, Path):
        with open_parts(place, platform=platform, partial=partial_is_well) as parts:
            yield parts
        return
    served = open_served(
        place,
        platform,
        context.registries,
        store=context.store,
        jobs=context.jobs,
        reporter=context.reporter,
    )
    with served as parts:
        yield parts


def names_of(parts: ImageParts) -> tuple[Reference, ...]:
    """The names of an image that a file can have."""
    found = []
    for text in parts.references:
        if ":" not in text:
            continue  # a layout may say no more than a tag
        with contextlib.suppress(InvalidValue):
            reference = Reference.parse(text)
            found.append(replace(reference, digest=None) if reference.tag else reference)
    return tuple(dict.fromkeys(reference for reference in found if reference.tag))


def _proof(path: Path, old: ImageParts, world: UpdateContext) -> Callable[[Path], None]:
    def prove(begun: Path) -> None:
        with world.reporter.stage("verify"):
            report = verify_update(begun, old, scratch=world.scratch)
        if report.findings:
            raise CheckFailed(str(path), report.findings, hint=f"{path} was not written")

    return prove
