"""An update made and written: what travels, what is named and left out, and whether it is worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError, UnsupportedImage
from oci_builder.export import docker_archive
from oci_builder.imported.parts import ImageParts
from oci_builder.layer import Layer
from oci_builder.oci.manifest import GivenImage
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.updates.differing import TreeDifference
from oci_builder.updates.exact import Engine, exact_image, left_out
from oci_builder.updates.faces import MergedTree
from oci_builder.updates.memory import ScanMemory
from oci_builder.updates.patching import Trees, make_patch
from oci_builder.updates.reading import LayerReader, PatchContents, bring_blob
from oci_builder.updates.scanning import LayerScan
from oci_builder.updates.target import TargetImage, target_of

_WORTH = 0.9
_CHAIN = 0.5
"""Of the whole image: how much of it an update may be, and how much all patches of a chain together."""


class UpdateRefused(OcibuildError):
    """An update that is not worth making."""


@dataclass(frozen=True, kw_only=True)
class UpdatePolicy:
    """What a user chooses: the new image itself instead of a patch, for which store; and whatever it saves."""

    exact: bool = False
    engine: Engine = "both"
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Update:
    """An update: ``image`` is what the target will have, ``omitted`` its blobs that do not travel.

    Sizes are bytes: what ``travels``, what a file of the ``whole`` new image has, what is ``left`` out. ``difference``
    is None of one that is exact; ``chain`` is what all patches have together, where it is one upon others.
    """

    target: TargetImage
    image: GivenImage
    equals: Digest
    references: tuple[Reference, ...]
    omitted: frozenset[Digest]
    travels: int
    whole: int
    left: int
    difference: TreeDifference | None = None
    chain: int = 0


@dataclass(frozen=True, kw_only=True)
class UpdateContext:
    """What an update is made with: the cache, which remembers layers, and a store of its own for what travels.

    It is where the bytes of an update are read from.
    """

    store: Store
    scratch: Store
    reporter: Reporter

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether one of the stores has a blob."""
        return self.scratch.has(digest, size) or self.store.has(digest, size)

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        """The bytes of a blob, checked. Raises CorruptBlob."""
        return (self.scratch if self.scratch.has(digest, size) else self.store).chunks(digest, size)


@dataclass(frozen=True, kw_only=True)
class UpdateRequest:
    """What is to be made: what brings ``target`` up to ``new``, called ``references`` from then on.

    Of the layers of ``new``, those ``made`` here just now need not be read.
    """

    target: TargetImage
    new: ImageParts
    references: Sequence[Reference]
    policy: UpdatePolicy = field(default_factory=UpdatePolicy)
    made: Sequence[Layer] = ()


def make_update(request: UpdateRequest, context: UpdateContext) -> Update:
    """Make an update; what travels is in the context's stores afterwards.

    Raises UpdateRefused where it is not worth it, UnsupportedImage, DigestMismatch, CheckFailed, FileProblem.
    """
    target, wanted = request.target, target_of(request.new)
    if target.platform not in ("", wanted.platform):
        why = f"an image for {target.platform}, and {request.new.name} is one for {wanted.platform}"
        raise UnsupportedImage(target.name, why, hint="name two images for one platform, with --platform")
    if target.id == wanted.id:
        raise UpdateRefused(f"{target.name} is {request.new.name} already: there is nothing to update")
    update = (_exact if request.policy.exact else _patched)(request, wanted, context)
    if not request.policy.force:
        _expect_worth(update)
    return update


def _patched(request: UpdateRequest, wanted: TargetImage, context: UpdateContext) -> Update:
    target, new = request.target, request.new
    reader = LayerReader(context.scratch, ScanMemory(context.store, (*target.diff_ids, *wanted.diff_ids)))
    reader.know(request.made)
    with context.reporter.stage("compare"):
        scans = reader.read(wanted)
        trees = Trees(old=MergedTree(reader.read(target)), new=MergedTree(scans))
        contents = PatchContents(new, scans, context.store, context.scratch)
        patch = make_patch(target, new, trees, contents=contents, scratch=context.scratch)
    omitted = frozenset(scan.descriptor.digest for scan in trees.old.layers) - {patch.layer.digest}
    travels = docker_archive.size_of(docker_archive.plan(patch.image, request.references, omitted))
    return Update(
        target=target,
        image=patch.image,
        equals=Digest.of(new.config),
        references=tuple(request.references),
        omitted=omitted,
        travels=travels,
        # Documents and headers are as good as the same.
        whole=travels - patch.layer.size + _size(scans),
        left=_size(trees.old.layers),
        difference=patch.difference,
        chain=target.patches + patch.layer.size if target.patches else 0,
    )


def _size(scans: Sequence[LayerScan]) -> int:
    return sum({scan.descriptor.digest: scan.descriptor.size for scan in scans}.values())


def _exact(request: UpdateRequest, wanted: TargetImage, context: UpdateContext) -> Update:
    image = exact_image(request.new)
    omitted = left_out(request.target, wanted, image, request.policy.engine)
    sizes = {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
    with context.reporter.stage("read"):
        for number, (blob, layer) in enumerate(zip(request.new.layers, image.layers, strict=True), 1):
            if layer.descriptor.digest not in omitted and not context.has(layer.descriptor.digest, blob.size):
                bring_blob(blob, layer.descriptor, context.scratch, what=f"{request.new.name}: layer {number}")
    return Update(
        target=request.target,
        image=image,
        equals=image.id,
        references=tuple(request.references),
        omitted=omitted,
        travels=docker_archive.size_of(docker_archive.plan(image, request.references, omitted)),
        whole=docker_archive.size_of(docker_archive.plan(image, request.references)),
        left=sum(size for digest, size in sizes.items() if digest in omitted),
    )


def expect_saving(since: str, travels: int, whole: int) -> None:
    """See that an update saves a tenth at least. Raises UpdateRefused."""
    if travels > _WORTH * whole:
        saved = max(0, 100 - 100 * travels // max(whole, 1))
        raise UpdateRefused(
            f"an update from {since} would carry {_mega(travels)} of {_mega(whole)} MB, and save {saved} %",
            hint="carry the new image whole; --force writes the update anyway",
        )


def _expect_worth(update: Update) -> None:
    expect_saving(update.target.name, update.travels, update.whole)
    if update.chain > _CHAIN * update.whole:
        raise UpdateRefused(
            f"the patches on {update.target.name} would have {_mega(update.chain)} MB together, and the whole new "
            f"image has {_mega(update.whole)}",
            hint="carry the new image whole, and update that from then on; --force writes one more patch anyway",
        )


def _mega(size: int) -> str:
    return f"{size / 1e6:.1f}"


def write_update(
    update: Update, path: Path, context: UpdateContext, *, proof: Callable[[Path], None] | None = None
) -> int:
    """Write an update to ``path``, whole or not at all, and return its size in bytes. Raises as ``write_file``."""
    with context.reporter.stage("write"):
        parts = docker_archive.plan(update.image, update.references, update.omitted)
        return docker_archive.write_parts(parts, path, store=context, reporter=context.reporter, proof=proof)
