"""An image taken off its base and put onto another, and all that speaks against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.bases import Base
from oci_builder.bases.images import as_base
from oci_builder.gate.finding import Finding
from oci_builder.image import MAX_LAYERS, Image
from oci_builder.imported.merging import merged
from oci_builder.imported.opening import ForeignImage
from oci_builder.layer import Layer
from oci_builder.oci.inherited import Inherited
from oci_builder.rebase.ability import Ability
from oci_builder.rebase.accounts import account_findings
from oci_builder.rebase.config import rebased_annotations, rebased_config
from oci_builder.rebase.modules import module_findings
from oci_builder.rebase.native import native_findings
from oci_builder.rebase.oldbase import OldBase
from oci_builder.rebase.paths import path_findings
from oci_builder.rebase.running import (
    binary_findings,
    named_findings,
    other_python_findings,
    python_findings,
    requirement_findings,
    shadow_findings,
    start_findings,
)
from oci_builder.rebase.sides import Side, Sides, refused
from oci_builder.store import Store
from oci_builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class Swap:
    """What is wanted: ``image``, made elsewhere, off its ``old`` base and onto the ``new`` one.

    What its own layers have at the paths ``kept``, absolute ones, is right, whatever the new base has there.
    """

    image: Base
    old: OldBase
    new: Base
    annotations: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    def lets(self, finding: Finding) -> bool:
        """Whether somebody looked at what a finding is about, and found it right."""
        return finding.kind == "path" and finding.subject in self.kept

    @property
    def own(self) -> Sequence[Layer]:
        """The image's layers above its base."""
        return self.image.layers[self.old.layers :]

    @property
    def is_done(self) -> bool:
        """Whether it stands on the new base already."""
        there = [layer.diff_id for layer in self.image.layers]
        return there[: len(self.new.layers)] == [layer.diff_id for layer in self.new.layers]


@dataclass(frozen=True, kw_only=True)
class Rebased:
    """The image on its new base, and why it would not run there as it did: nothing, where it does."""

    image: Image
    findings: tuple[Finding, ...]


def rebase(swap: Swap, store: Store) -> Rebased:
    """Put an image onto another base, and judge it; all layers are in ``store``. Raises DigestMismatch."""
    layers = (*swap.new.layers, *swap.own)
    said = _said(swap.image)
    config = rebased_config(said, swap.old, swap.new)
    image = Image(
        platform=swap.image.platform,
        run=config.run,
        created=config.created,
        layers=layers,
        annotations=rebased_annotations(swap.annotations, swap.new, before=said.created, created=config.created),
        inherited=config,
    )
    found = dict.fromkeys(_findings(swap, image, config, store))
    return Rebased(image=image, findings=tuple(each for each in found if not swap.lets(each)))


def _findings(swap: Swap, image: Image, config: Inherited, store: Store) -> Iterator[Finding]:
    if len(image.layers) > MAX_LAYERS:
        why = f"it would have {counted(len(image.layers), 'layer')}, and Docker mounts {MAX_LAYERS} at most"
        yield refused("layers", str(len(image.layers)), why, "take a base of fewer layers")
    there = ForeignImage(
        name=swap.image.name,
        digest=image.digest,
        inherited=config,
        layers=image.layers,
        tree=merged(image.layers, store),
    )
    base = merged(swap.image.layers[: swap.old.layers], store)
    before = Side(swap.image, _said(swap.image).run, base)
    after = Side(as_base(there, image.platform), config.run, swap.new.tree)
    sides = Sides(before=before, after=after, own=swap.own, first=swap.old.layers + 1, store=store)
    yield from python_findings(before, after)
    yield from binary_findings(before, after)
    yield from other_python_findings(sides)
    old, new = Ability(before, store), Ability(after, store)
    alone = Ability(Side(swap.new, config.run, swap.new.tree), store)
    yield from native_findings(sides, old, new, alone)
    yield from requirement_findings(old, new)
    yield from module_findings(sides)
    yield from start_findings(sides, old, new)
    yield from shadow_findings(sides)
    yield from named_findings(sides)
    yield from account_findings(sides)
    yield from path_findings(sides)


def _said(image: Base) -> Inherited:
    assert image.inherited is not None, "it was made already"
    return image.inherited
