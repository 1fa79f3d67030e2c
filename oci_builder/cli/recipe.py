"""The recipe that a command line means, and what its user chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder import inputs
from oci_builder.cli.messages import misused

if TYPE_CHECKING:
    from oci_builder.assemble.context import BuildPolicy
    from oci_builder.cli.request import RecipeRequest
    from oci_builder.cli.settings import Settings
    from oci_builder.recipes import ImageSource


_PLACES = {"push": "pushes", "cache-from": "cache_from", "cache-to": "cache_to"}
"""The flags that name registries, and where a request has them."""


def open_source(settings: Settings, request: RecipeRequest) -> ImageSource:
    """The recipe that the request's name leads to, changed by its flags. Raises NotFound, RecipeError, InvalidValue."""
    from oci_builder.catalog import find_image
    from oci_builder.recipes import BASE_DEFAULT, Overrides, load_image, with_overrides

    source = load_image(find_image(request.name, settings.project), project=request.project_dir)
    overrides = Overrides(
        base=_base_from_here(request.base),
        tags=request.tags,
        # A file named on the command line is relative to where the user stands, not to the recipe.
        requirements=tuple(str(path.absolute()) for path in request.requirements),
        user=request.user,
        env=request.env,
        labels=request.labels,
    )
    beside = () if request.requirements else source.beside
    meant = replace(source, recipe=with_overrides(source.recipe, overrides), beside=beside)
    if meant.recipe.base is not BASE_DEFAULT:
        return meant
    # Loaded only where a base is to be chosen.
    from oci_builder.assemble.choosing import with_base

    layers = tuple(path.absolute() for path in request.layers)
    return with_base(meant, project_dir=settings.project, extra=layers)


def make_policy(settings: Settings, request: RecipeRequest, *, update_lock: bool = True) -> BuildPolicy:
    """What the user chose. Raises click.UsageError where two flags exclude each other."""
    from oci_builder.assemble.context import BuildPolicy
    from oci_builder.cli.userconfig import user_config

    for first, second in (("offline", "online"), ("locked", "frozen")):
        if getattr(request, first) and getattr(request, second):
            raise misused(f"--{first} and --{second} exclude each other")
    for name in ("push", "cache-from", "cache-to"):
        if request.offline and getattr(request, _PLACES[name], None):
            raise misused(f"--offline and --{name} exclude each other: a registry is a network")
    return BuildPolicy(
        offline=True if request.offline else False if request.online else None,
        locked=request.locked,
        frozen=request.frozen,
        update_lock=update_lock,
        mirrors=request.mirrors or user_config(settings.environ).mirrors,
        layer_path=tuple(path.absolute() for path in request.layers),
        find_links=tuple(_from_here(place) for place in request.find_links),
        epoch=settings.epoch if request.epoch is None else request.epoch,
    )


def _base_from_here(base: str | None) -> str | None:
    """An image's file or folder that lies where the user stands by its full path; all else as it is written."""
    from oci_builder.cli.delivery import SUFFIXES

    if base is None:
        return None
    is_file = base.endswith(SUFFIXES) and inputs.is_file(Path(base))
    is_folder = "/" in base and any(inputs.is_file(Path(base, name)) for name in ("index.json", "manifest.json"))
    return str(Path(base).absolute()) if is_file or is_folder else base


def _from_here(place: str) -> str:
    return place if "://" in place else str(Path(place).absolute())
