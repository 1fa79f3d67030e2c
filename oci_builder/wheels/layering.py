"""Which wheels share a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oci_builder.wheels.pins import WheelPin

Strategy = Literal["size", "one", "each"]
Order = Literal["name", "size"]

LARGE = 1 << 20
"""Bytes from which a wheel is worth a layer of its own: a layer costs ``docker load`` 0.11 s however small it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that is here: its pin, its verified file, and the file's size in bytes.

    The files in one that is ``unverified`` are not held to its RECORD.
    """

    pin: WheelPin
    path: Path
    size: int
    unverified: bool = False

    @property
    def label(self) -> str:
        """``numpy 2.4.6``."""
        return f"{self.pin.name} {self.pin.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The wheels of one layer, by name."""

    wheels: tuple[Wheel, ...]

    @property
    def size(self) -> int:
        """Bytes of its wheels."""
        return sum(wheel.size for wheel in self.wheels)

    @property
    def label(self) -> str:
        """What the layer holds, in a few words."""
        first = self.wheels[0].label
        return first if len(self.wheels) == 1 else f"{first} and {len(self.wheels) - 1} more"


def plan(
    wheels: Sequence[Wheel], *, strategy: Strategy, budget: int, apart: bool = False, order: Order = "name"
) -> tuple[Group, ...]:
    """Divide ``wheels`` into at most ``budget`` groups (at least one, where there are wheels).

    A large wheel has its own layer and the small ones share one, which comes last: they change most often, and a layer
    above a changed one is unpacked again. Layers stand in the order of names, so a changed size moves nothing; in that
    of ``size``, those twice as large as others lie below them, and only a wheel that grows so much moves.

    ``apart`` keeps small wheels for any platform out of the layer of those for one: images for several platforms then
    share it.
    """
    apart = apart and strategy != "one" and budget > 1
    ordered = sorted(wheels, key=lambda wheel: wheel.pin.name)
    alone = _alone(ordered, strategy, budget, sharing=2 if apart else 1)
    small = [wheel for wheel in ordered if wheel.pin.name not in alone]
    shared = [[wheel for wheel in small if _fits_all(wheel) is fits] for fits in (False, True)] if apart else [small]
    groups = [Group(wheels=(wheel,)) for wheel in ordered if wheel.pin.name in alone]
    if order == "size":
        groups.sort(key=lambda group: -group.size.bit_length())  # which keeps the order of names among the like
    return (*groups, *(Group(wheels=tuple(group)) for group in shared if group))


def _alone(wheels: Sequence[Wheel], strategy: Strategy, budget: int, *, sharing: int) -> frozenset[str]:
    """The wheels that share with none; ``sharing`` groups are left for the others."""
    if strategy == "one":
        return frozenset()
    candidates = [wheel for wheel in wheels if strategy == "each" or wheel.size >= LARGE]
    if len(candidates) == len(wheels) <= budget:
        return frozenset(wheel.pin.name for wheel in wheels)
    largest = sorted(candidates, key=lambda wheel: (-wheel.size, wheel.pin.name))[: max(budget - sharing, 0)]
    return frozenset(wheel.pin.name for wheel in largest)


def _fits_all(wheel: Wheel) -> bool:
    return wheel.pin.filename.endswith("-any.whl")
