"""Images into docker or podman on this machine: what the engine has is not handed to it again."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import BinaryIO

from oci_builder.assemble.context import BuildContext
from oci_builder.digest import Digest
from oci_builder.errors import LoadFailed
from oci_builder.export import docker_archive
from oci_builder.export.engine_images import EngineImage, StoreKind, inspect_images, recent_images, store_kind
from oci_builder.export.loading import Engine, find_engine, load, tag
from oci_builder.image import Image
from oci_builder.oci.manifest import Manifest, parse_manifest
from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.reference import Reference
from oci_builder.updates.local import LoadedImages, expected_ids, unneeded

_WORTH_ASKING = 4_000_000
"""Bytes to hand over, from which on an engine is asked for more images: to ask takes as long."""


@dataclass(frozen=True, kw_only=True)
class EngineLoad:
    """An image that an engine has now: what it is called there, and what the engine said.

    ``travelled`` and ``whole`` are bytes: of the archive it was handed, and of one with all layers. ``left_out`` are
    the layers that it had.
    """

    engine: str
    id: Digest
    said: str
    travelled: int
    whole: int
    left_out: frozenset[Digest]


def load_built(
    image: Image, references: Sequence[Reference], context: BuildContext, *, whole: bool = False
) -> EngineLoad:
    """Have the engine of this machine name ``image`` by all ``references``: it gets the layers that it lacks.

    With ``whole`` it gets all of them; so it does where it did not take what was handed to it, whatever it had said of
    itself. Raises LoadFailed, CorruptBlob, FileProblem.
    """
    engine = find_engine(context.environ)
    with context.reporter.stage("load"):
        return _Loading(image, tuple(references), engine, store_kind(engine, context.environ), context).run(whole=whole)


@dataclass(frozen=True)
class _Loading:
    """One image on its way into one engine."""

    image: Image
    references: tuple[Reference, ...]
    engine: Engine
    kind: StoreKind
    context: BuildContext

    def run(self, *, whole: bool) -> EngineLoad:
        """Hand over what is missing, or else everything."""
        left_out = frozenset() if whole else self._there()
        try:
            return self._handed(left_out)
        except LoadFailed as error:
            if not left_out:
                raise
            # What it had may have gone meanwhile; podman knows layers by how they were packed, too.
            why = error.why.partition("\n")[0][:200]
            self.context.reporter.note(
                f"{self.engine.name} gets the whole image: it did not take what it lacks ({why})"
            )
            return self._handed(frozenset())

    def _there(self) -> frozenset[Digest]:
        """The layers that the engine has: of the image that has the name now, and of those that it got last."""
        names = [str(reference) for reference in self.references]
        held = inspect_images(self.engine, names, self.context.environ)
        found = self._unneeded(held)
        rest = {layer.descriptor.digest: layer.descriptor.size for layer in self.image.layers}
        if sum(size for digest, size in rest.items() if digest not in found) < _WORTH_ASKING:
            return found
        return self._unneeded((*held, *recent_images(self.engine, self.context.environ)))

    def _unneeded(self, held: Sequence[EngineImage]) -> frozenset[Digest]:
        return unneeded(self.image, held, self.kind, self._manifest) if held else frozenset()

    def _manifest(self, digest: Digest) -> Manifest | None:
        if digest == self.image.digest:
            own = parse_manifest(self.image.manifest, media_type=MANIFEST, what="the manifest")
            return own if isinstance(own, Manifest) else None
        return LoadedImages(self.context.store).find(digest)

    def _handed(self, left_out: AbstractSet[Digest]) -> EngineLoad:
        context, engine = self.context, self.engine
        # podman reads a file of several names as docker's, in which no layer may be missing.
        at_once = self.references[:1] if self.kind == "podman" and left_out else self.references
        parts = docker_archive.plan(self.image, at_once, left_out)

        def write(sink: BinaryIO) -> int:
            return docker_archive.write_stream(
                parts, sink, store=context.store, reporter=context.reporter, name=engine.name
            )

        said = load(engine, write, context.environ)
        if rest := [str(reference) for reference in self.references[len(at_once) :]]:
            tag(engine, str(at_once[0]), rest, context.environ)
        found = self._expect_named(said)
        LoadedImages(context.store).keep(self.image)
        return EngineLoad(
            engine=engine.name,
            id=found,
            said=said,
            travelled=docker_archive.size_of(parts),
            whole=docker_archive.size_of(docker_archive.plan(self.image, self.references)),
            left_out=frozenset(left_out),
        )

    def _expect_named(self, said: str) -> Digest:
        """See that each name leads to the image: engines say "Loaded" of more than they have. Raises LoadFailed."""
        wanted = expected_ids(self.image, self.kind)
        diff_ids = tuple(layer.diff_id for layer in self.image.layers)
        known = min(wanted)
        for reference in self.references:
            found = next(iter(inspect_images(self.engine, [str(reference)], self.context.environ)), None)
            if found is not None and found.id in wanted and found.diff_ids == diff_ids:
                known = found.id
                continue
            is_what = f"image {found.id.hex[:12]}" if found is not None else "no image"
            why = f"it said {said[-200:]!r}, and {reference.familiar} is {is_what} there afterwards"
            hint = f"see what `{self.engine.name} image inspect {reference.familiar}` says; or write a file: --out FILE"
            raise LoadFailed(f"{self.engine.name} load", why, hint=hint)
        return known
