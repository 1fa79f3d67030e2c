"""``ocibuild plan``: what a build would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import options
from oci_builder.cli.build import ManyRequest, one_by_one
from oci_builder.cli.request import BuildRequest, takes
from oci_builder.cli.terminal import printable, tell, tell_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_builder.assemble.outline import LayerOutline, Outline
    from oci_builder.cli.settings import Settings

_WIDTH = 60
"""Letters of a label or a reason."""

_MOVED = 10
"""Inputs that are told one by one."""


@click.command("plan")
@options.image_names_or_all
@options.recipe
@options.sources
@options.locking
@options.registry
@options.project
@options.cache
@options.jobs
@options.as_json
@options.talk
@takes(ManyRequest)
def command(request: ManyRequest) -> None:
    """Show what a build would do, and do none of it.

    Of each layer of the images NAME: whether it is there, why it would be made, how many bytes would be fetched for it,
    and how long the last one like it took. Versions are chosen as a build chooses them, a project's wheel is built to
    know it, and no lock is written.
    """
    from oci_builder.cli.settings import make_settings

    settings = make_settings(request)
    found = [each for one in one_by_one(request, settings) for each in _outlines(one, settings)]
    if request.as_json:
        tell_json([_document(each) for each in found])
    else:
        for each in found:
            _tell(each)


def _outlines(request: BuildRequest, settings: Settings) -> list[Outline]:
    from oci_builder.assemble.outline import outline
    from oci_builder.assemble.planner import Planner
    from oci_builder.cli.progress import shown
    from oci_builder.cli.recipe import make_policy, open_source
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.platforms import Platform

    source = open_source(settings, request)
    registries = make_registries(settings, base_references(source.recipe), request)
    platforms = [Platform.parse(text) for text in dict.fromkeys(request.platforms)] or list(source.recipe.targets[:1])
    policy = make_policy(settings, request, update_lock=False)
    with shown(settings) as reporter:
        planner = Planner(settings.context(registries, reporter), policy)
        return [outline(planner, source, each) for each in platforms]


def _tell(found: Outline) -> None:
    from oci_builder.cli.progress import human_bytes

    tell(f"{found.name} ({found.platform})")
    for layer in (found.base, *found.layers):
        tell(f"  {'there' if layer.there else 'make '}  {printable(layer.label, _WIDTH)}{_more(layer)}")
    for text in (found.moved or ())[:_MOVED]:
        tell(f"  since the last build: {printable(text, 2 * _WIDTH)}")
    if len(found.moved or ()) > _MOVED:
        tell(f"  since the last build: {len(found.moved or ()) - _MOVED} other inputs moved")
    missing = found.missing
    if not missing:
        tell("  every layer is there: a build would write the image")
        return
    seconds = "" if found.seconds is None else f", about {found.seconds:.1f} s of work"
    count = f"{len(missing)} layer{'' if len(missing) == 1 else 's'} to make"
    tell(f"  {count}, {human_bytes(found.fetch)} to fetch{seconds}")


def _more(layer: LayerOutline) -> str:
    from oci_builder.cli.progress import human_bytes

    said: list[str] = [printable(text, _WIDTH) for text in layer.why]
    said += [f"{human_bytes(layer.fetch)} to fetch"] if layer.fetch else []
    said += [f"{layer.seconds:.1f} s the last time"] if layer.seconds is not None else []
    return f": {'; '.join(said)}" if said else ""


def _document(found: Outline) -> dict[str, Any]:
    return {
        "name": found.name,
        "platform": str(found.platform),
        "base": _layer(found.base),
        "layers": [_layer(layer) for layer in found.layers],
        "moved": None if found.moved is None else list(found.moved),
        "fetch": found.fetch,
        "seconds": found.seconds,
    }


def _layer(layer: LayerOutline) -> dict[str, Any]:
    why: Sequence[str] = layer.why
    return {
        "label": layer.label,
        "holds": list(layer.holds),
        "key": layer.key or None,
        "there": layer.there,
        "why": list(why),
        "fetch": layer.fetch,
        "seconds": layer.seconds,
    }
