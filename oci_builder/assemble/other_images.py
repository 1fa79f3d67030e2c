"""Images that a recipe only copies out of: found by their names, pinned as a base is, opened, and read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.pinned_images import ImagePinning
from oci_builder.bases import Base, Pulling, open_base
from oci_builder.catalog import find_image_named
from oci_builder.digest import Digest
from oci_builder.errors import NotFound
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.tree.limits import allowing

Places: TypeAlias = Mapping[str, Path | Reference]
"""Where images are, by the names that a recipe has for them: a file or folder, or in a registry, by digest."""

_WHAT = "image to copy from"


@dataclass(frozen=True)
class OtherImages:
    """The images of a recipe's ``[[copy]] from``. Where each is, is found once."""

    source: ImageSource
    context: BuildContext
    policy: BuildPolicy

    @cached_property
    def places(self) -> Places:
        """Where they are. Raises NotFound, InvalidValue, StaleLock, RegistryError."""
        names = dict.fromkeys(copy.image for copy in self.source.recipe.copy if copy.image is not None)
        return MappingProxyType({name: self._place(name) for name in names})

    @property
    def pins(self) -> tuple[str, ...]:
        """Those of registries, with their digests; sorted."""
        return tuple(sorted(str(place) for place in self.places.values() if isinstance(place, Reference)))

    def open(self, platform: Platform) -> Mapping[str, Base]:
        """Each of them on ``platform``, by name; what is in them is in the store afterwards.

        Raises what opening an image as a base raises.
        """
        found, recipe = {}, self.source.recipe
        for name, place in self.places.items():
            with allowing(recipe.max_entries, unpacked=recipe.max_unpacked_bytes):
                found[name] = open_base(
                    place,
                    platform,
                    store=self.context.store,
                    pulling=self.pulling(place) if isinstance(place, Reference) else None,
                    reporter=self.context.reporter,
                )
        return found

    def pulling(self, reference: Reference) -> Pulling:
        """How one of a registry comes. No layer of it goes into the image: one that was read need not be there."""
        return Pulling(
            registries=self.context.registries,
            jobs=self.context.jobs,
            lazily=True,
            offline=bool(self.policy.offline),
            beside=folder_of(self.source.copied, reference),
            what=_WHAT,
            image=self.source.called,
        )

    def _place(self, name: str) -> Path | Reference:
        source = self.source
        try:
            place = find_image_named(name, recipe_folder=source.folder)
        except NotFound:
            copy = source.copied / Path(name).name
            if not inputs.is_file(copy) and not inputs.is_file(copy / "index.json"):
                raise
            return copy
        if isinstance(place, Path):
            return place
        pinning = ImagePinning(source, self.context, self.policy)
        return pinning.pinned(place, beside=folder_of(source.copied, place), what=_WHAT)


def folder_of(folder: Path, reference: Reference) -> Path:
    """Where a download puts the image ``reference``, below ``folder``: by its name, whatever its digest is."""
    known = str(replace(reference, digest=None)) if reference.tag else str(reference)
    said = re.sub(r"[^a-z0-9.]+", "-", known.partition("@")[0].lower()).strip("-.")
    return folder / f"{said[:80]}-{Digest.of(known.encode()).hex[:8]}"
