"""What an image is made of, as a value: everything by digest and key, and nothing made yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.assemble.annotations import annotations_of, manifest_annotations
from oci_builder.assemble.app_layer import app_layers, owner_of, run_config
from oci_builder.assemble.fetched import FetchedLayers
from oci_builder.assemble.image_copies import ImageCopies
from oci_builder.bases import Base, Compiling, keep_interpreter
from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.image import Image
from oci_builder.inputs import InputSet
from oci_builder.layer import RECORDS, Layer, LayerKey, find
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.store import Store
from oci_builder.tree.entry import Entry
from oci_builder.tree.tree import Tree
from oci_builder.wheels.installed_wheels import MOST_UNPACKED
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.steps import LayerStep
from oci_builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """One image to be: its ``base``, the ``steps`` that make its layers above it, and how it runs.

    ``others`` are images that it copies out of, as its recipe calls them, ``pins`` its wheels. ``lock`` is the digest
    of the lock that names these, ``created`` its date in seconds since 1970. ``compiling`` lends the interpreter that
    its steps name, ``fetch`` gets wheels that the store does not have: these two are this machine's, and no part of
    what the plan says; nor are ``inputs``, all that was read to make it, as it was then, where somebody wrote that
    down.
    """

    source: ImageSource
    platform: Platform
    base: Base
    others: Mapping[str, Base] = field(default_factory=dict)
    pins: tuple[WheelPin, ...] = ()
    lock: Digest | None = None
    steps: tuple[LayerStep, ...] = ()
    created: int = 0
    compiling: Compiling | None = field(default=None, repr=False)
    fetch: Callable[[Sequence[Wheel]], None] | None = field(default=None, repr=False)
    inputs: InputSet | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"BuildPlan({self.source.recipe.name}, {self.platform}, {counted(len(self.steps), 'layer')} of wheels)"

    def missing(self, store: Store) -> tuple[LayerStep, ...]:
        """The steps whose layers ``store`` does not have."""
        store.expect(RECORDS, [step.key.hex for step in self.steps])
        return tuple(step for step in self.steps if find(step.key, store) is None)

    def assemble(self, layers: Mapping[LayerKey, Layer], store: Store) -> Image:
        """The image, of ``layers`` by the keys of the steps, and of what lies above them.

        Raises PathConflict, UnsupportedImage, and what the recipe's copies raise.
        """
        made = [layers[step.key] for step in self.steps]
        keep_interpreter(self.base, made)
        base, recipe = self.base, self.source.recipe
        below = base.tree.overlaid(_entries(layer.tree(store) for layer in made))
        owner = owner_of(recipe, base, below)
        fetched = FetchedLayers(store=store, owner=owner, most=recipe.max_unpacked_bytes)
        files, below = fetched.over(below, recipe.fetch)
        taken = ImageCopies(store=store, owner=owner, images=self.others).over(below, recipe.copy)
        above = app_layers(self.source, base, taken, store, compiling=self.compiling)
        known = annotations_of(recipe, base, lock=self.lock, pins=self.pins, copied=tuple(self.others.values()))
        image = Image(
            platform=self.platform,
            run=run_config(recipe, base, labels=known),
            created=self.created,
            layers=base.layers,
            inherited=base.inherited,
            annotations=manifest_annotations(recipe, known, created=self.created),
        ).append(*made, *files, *taken.layers, *above)
        self._check_unpacked(image)
        return image

    @property
    def sources(self) -> Mapping[Digest, Reference]:
        """In which repository blobs of the base can be had."""
        if self.base.reference is None:
            return {}
        return {layer.descriptor.digest: self.base.reference for layer in self.base.layers if layer.imported}

    def _check_unpacked(self, image: Image) -> None:
        unpacked = sum(layer.unpacked for layer in image.layers)
        most = self.source.recipe.max_unpacked_bytes or MOST_UNPACKED
        if unpacked > most:
            why = f"its layers unpack to {unpacked} bytes, and {most} are allowed"
            hint = 'if that is right, set max-unpacked = "..." in image.toml'
            raise UnsupportedImage(self.source.recipe.name, why, hint=hint)


def _entries(trees: Iterable[Tree]) -> Iterator[Entry]:
    for tree in trees:
        yield from tree
