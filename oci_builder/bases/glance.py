"""Whether a base is here, and what fetching it would take, without fetching or making anything of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oci_builder.bases.pulled import Pulling, missing_layers
from oci_builder.debian.opening import Opening
from oci_builder.debian.recipe import is_layer
from oci_builder.debian.supply import Supply
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store


@dataclass(frozen=True, kw_only=True)
class BaseGlance:
    """A base by its name: ``there``, or not and ``why``; ``fetch`` is in bytes."""

    name: str
    there: bool
    why: str = ""
    fetch: int = 0


def glance_base(
    place: Path | Reference | None, platform: Platform, *, store: Store, supply: Supply, pulling: Pulling
) -> BaseGlance:
    """What is here of the base at ``place``. Of an image in a registry its documents are fetched, if need be.

    Raises RecipeError, StaleLock, RegistryError, NotFound.
    """
    if place is None:
        return BaseGlance(name="scratch", there=True)
    if isinstance(place, Reference):
        missing = missing_layers(place, platform, pulling=pulling, store=store)
        why = f"{len(missing)} of its layers are not here" if missing else ""
        return BaseGlance(name=str(place), there=not missing, why=why, fetch=sum(each.size for each in missing))
    if not is_layer(place):
        return BaseGlance(name=place.name, there=True)
    opening = Opening(place, platform, store, supply, Quiet())
    if opening.found() is not None:
        return BaseGlance(name=place.name, there=True)
    absent = opening.absent()
    why = "its layer was not made here yet, or its lock has changed"
    if absent and opening.has_no_source():
        why += (
            "; a build would stop here, for there is no apt-get on this machine, and no --mirror to take packages from"
        )
    return BaseGlance(name=place.name, there=False, why=why, fetch=sum(pin.size for pin in absent))
