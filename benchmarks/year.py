"""A year of weekly updates of the reference image, from the index's own history: what each costs to carry."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.history import LockedDay
from oci_builder.assemble.build import build
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.updates import UpdateTask, write
from oci_builder.image import Image
from oci_builder.platforms import AMD64
from oci_builder.recipes import load_image
from oci_builder.reference import Reference
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Logins
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.updates.update import UpdatePolicy

BASE, APP, SMALL = "the base", "the user", "the small ones"
_CHAIN = 0.5
"""Of the whole image: what all patches of a chain may have together (updates.update)."""


class WeekLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of a week's image: what is in it whatever its versions are, its diff ID, and its size in bytes."""

    name: str
    diff_id: str
    size: int


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """A week's image, and what brings a machine to it that has the week's before: bytes, and seconds of CPU.

    ``changed`` are the distributions that have another version; ``seconds`` is what making the patch took.
    """

    day: str
    changed: tuple[str, ...]
    layers: tuple[WeekLayer, ...]
    whole: int
    patch: int = 0
    seconds: float = 0.0


def context_of(cache: Path, project: Path) -> BuildContext:
    """A silent one; wheels come from the index alone, through pip as it is configured."""
    environ = {name: text for name, text in os.environ.items() if name != "PIP_FIND_LINKS"}
    return BuildContext(
        store=Store(cache),
        reporter=Quiet(),
        registries=Registries(Access(logins=Logins({}))),
        project=project,
        jobs=2,
        now=int(time.time()),
        environ=environ,
    )


def measured(days: Sequence[LockedDay], work: Path, *, layers: Path, cache: Path) -> Iterator[Week]:
    """Build the image of each week, and the update from the week's before."""
    before: Image | None = None
    known: Mapping[str, str] = {}
    for each in days:
        context = context_of(cache, each.recipe.parents[1])
        policy = BuildPolicy(frozen=True, layer_path=(layers,))
        image = build(load_image(each.recipe), AMD64, context=context, policy=policy).image
        changed = tuple(sorted(name for name, version in each.versions.items() if known.get(name) != version))
        whole = sum(layer.descriptor.size for layer in image.layers)
        week = Week(day=each.day, changed=changed if known else (), layers=_layers(image), whole=whole)
        if before is not None and before.id != image.id:
            began = time.process_time()
            size = _patch(before, image, work, context)
            week = msgspec.structs.replace(week, patch=size, seconds=round(time.process_time() - began, 2))
        yield week
        before, known = image, each.versions


def _layers(image: Image) -> tuple[WeekLayer, ...]:
    names = [_name(layer.holds, number) for number, layer in enumerate(image.layers)]
    return tuple(
        WeekLayer(name=name, diff_id=str(layer.diff_id), size=layer.descriptor.size)
        for name, layer in zip(names, image.layers, strict=True)
    )


def _name(holds: Sequence[str], number: int) -> str:
    if number == 0:
        return BASE
    if len(holds) == 1 and holds[0].startswith("user "):
        return APP
    return holds[0].partition(" ")[0] if len(holds) == 1 else SMALL


def _patch(before: Image, after: Image, work: Path, context: BuildContext) -> int:
    """The size of the file that brings one image up to the other: the cache knows the layers of both."""
    receipt = work / "receipt.json"
    named = {"Id": str(before.id), "Os": "linux", "Architecture": "amd64"}
    rootfs = {"Type": "layers", "Layers": [str(layer.diff_id) for layer in before.layers]}
    receipt.write_bytes(msgspec.json.encode([{**named, "RootFS": rootfs}]))
    task = UpdateTask(
        old=receipt,
        new=after,
        references=(Reference.parse("mypy:latest"),),
        policy=UpdatePolicy(force=True),
    )
    return write(task, work / "update.tar", context)[1]


def exact(weeks: Sequence[Week], order: Callable[[Week], Sequence[str]] | None = None) -> list[int]:
    """What travels each week of the new image itself to a graph driver: all from the lowest layer that differs.

    Layers lie in the ``order`` of a week, or as they are; what is not among them lies between, below the user's.
    """
    found = []
    for before, after in _pairs(weeks):
        old, new = (_ordered(week.layers, order(week) if order else None) for week in (before, after))
        common = 0
        while common < min(len(old), len(new)) and old[common].diff_id == new[common].diff_id:
            common += 1
        found.append(sum(layer.size for layer in new[common:]))
    return found


def blobs(weeks: Sequence[Week]) -> list[int]:
    """What travels each week to containerd's store or a registry: layers that are not there."""
    return [
        sum(layer.size for layer in after.layers if layer.diff_id not in {each.diff_id for each in before.layers})
        for before, after in _pairs(weeks)
    ]


def patches(weeks: Sequence[Week]) -> list[int]:
    """Patch upon patch, and the whole image where they would be more than half of it together."""
    found, chain = [], 0
    for _, after in _pairs(weeks):
        chain += after.patch
        if chain > _CHAIN * after.whole:
            chain = 0
            found.append(after.whole)
        else:
            found.append(after.patch)
    return found


def wholes(weeks: Sequence[Week]) -> list[int]:
    """The whole image, each week in which something changed."""
    return [after.whole if after.layers != before.layers else 0 for before, after in _pairs(weeks)]


def _pairs(weeks: Sequence[Week]) -> Iterator[tuple[Week, Week]]:
    return itertools.pairwise(weeks)


def _ordered(layers: Sequence[WeekLayer], order: Sequence[str] | None) -> Sequence[WeekLayer]:
    if order is None:
        return layers
    places = {name: number for number, name in enumerate(order)}
    return sorted(layers, key=lambda layer: (layer.name == APP, places.get(layer.name, len(places))))


def by_changes(weeks: Sequence[Week]) -> list[str]:
    """The layers' names, those that changed least in ``weeks`` first, of equal ones the larger; the base below all."""
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for before, after in _pairs(weeks):
        there = {layer.diff_id for layer in before.layers}
        for layer in after.layers:
            counts[layer.name] = counts.get(layer.name, 0) + (layer.diff_id not in there)
            sizes[layer.name] = layer.size
    return [BASE, *sorted(counts.keys() - {BASE, APP}, key=lambda name: (counts[name], -sizes[name], name))]


def by_size(week: Week) -> list[str]:
    """The layers' names as ``[layering] order = "size"`` has them in a week; the base below all."""
    sizes = {layer.name: layer.size for layer in week.layers}
    names = sorted(sizes.keys() - {BASE, APP, SMALL}, key=lambda name: (-sizes[name].bit_length(), name))
    return [BASE, *names, SMALL]
