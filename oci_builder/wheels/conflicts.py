"""Which distribution owns which path, and what happens when two want one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from oci_builder.distinfo import headers
from oci_builder.errors import PathConflict
from oci_builder.layer import LayerKey
from oci_builder.wheels.archive import WheelArchive
from oci_builder.wheels.install import RULES
from oci_builder.wheels.installed_wheels import InstalledWheels, archive_of
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.target import Target

Policy = Literal["error", "last"]

_RECORD = "settled"


@dataclass(frozen=True, slots=True, order=True)
class Conflict:
    """``loser`` gives up ``path`` to ``winner``; both are names of distributions."""

    path: str
    loser: str
    winner: str


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    path: str
    loser: str
    winner: str


def resolve_conflicts(wheels: Sequence[Wheel], listing: Listing, *, policy: Policy) -> tuple[Conflict, ...]:
    """Find the paths that two wheels fill with different bytes, and who gives them up.

    With ``policy`` "error" any such path raises PathConflict. With "last" the distribution that pip would install last
    keeps it: dependents after what they depend on. What was found for the same wheels before is remembered.
    """
    store = listing.store
    key = _key_of(wheels, listing.opened.target, policy)
    known = store.record(_RECORD, key)
    if known is not None:
        try:
            return tuple(
                Conflict(*msgspec.structs.astuple(each)) for each in msgspec.json.decode(known, type=list[_Stored])
            )
        except msgspec.MsgspecError:
            store.drop_record(_RECORD, key)
    found = tuple(sorted(_conflicts(wheels, listing, policy)))
    told = [_Stored(each.path, each.loser, each.winner) for each in found]
    store.put_record(_RECORD, key, msgspec.json.encode(told))
    return found


def _key_of(wheels: Sequence[Wheel], target: Target, policy: Policy) -> str:
    return LayerKey.of(
        kind=_RECORD,
        rules=RULES,
        wheels=[
            [wheel.pin.name, wheel.pin.sha256.hex, *(["unverified"] if wheel.unverified else [])] for wheel in wheels
        ],
        schemes=dict(target.schemes("")),
        markers=dict(target.markers()),
        policy=policy,
    ).hex


def _conflicts(wheels: Sequence[Wheel], listing: Listing, policy: Policy) -> Iterator[Conflict]:
    listing.have(wheels)
    twice = _claimed_twice(wheels, listing)
    owners: dict[str, tuple[Wheel, str]] = {}
    for wheel in wheels if policy == "error" else _install_order(wheels, listing.opened):
        for claim in listing.claims(wheel) if twice else ():
            if hash(claim.path) not in twice:
                continue
            first, digest = owners.setdefault(claim.path, (wheel, claim.sha256))
            if first is wheel or (digest and digest == claim.sha256):
                continue
            if policy == "error":
                raise _conflict(claim.path, first, wheel)
            yield Conflict(claim.path, first.pin.name, wheel.pin.name)
            owners[claim.path] = (wheel, claim.sha256)


def _claimed_twice(wheels: Sequence[Wheel], listing: Listing) -> set[int]:
    """The hashes of all paths that two wheels claim, and perhaps of some that one claims.

    A number a path is all that is held of them, though there be a hundred thousand; which they are is looked up after.
    """
    seen: set[int] = set()
    twice: set[int] = set()
    for wheel in wheels:
        own = {hash(claim.path) for claim in listing.claims(wheel)}
        twice |= seen & own
        seen |= own
    return twice


def _conflict(path: str, first: Wheel, second: Wheel) -> PathConflict:
    hint = 'drop one of the two, or set [python] conflicts = "last" in image.toml to let the later one win, as pip does'
    return PathConflict(f"/{path}", first.label, second.label, hint=hint)


def _install_order(wheels: Sequence[Wheel], opened: InstalledWheels) -> list[Wheel]:
    """pip's order: the farther from what was asked for, the earlier; equals by name, backwards."""
    opened.have(wheels)
    needs = {wheel.pin.name: _needs(archive_of(wheel), opened.target) for wheel in wheels}
    depth = dict.fromkeys(needs, 0)
    for _ in needs:  # as many rounds as there could be steps in a chain; a circle ends with the rounds
        for name, needed in needs.items():
            for other in needed & depth.keys():
                depth[other] = min(max(depth[other], depth[name] + 1), len(needs))
    return sorted(wheels, key=lambda wheel: (depth[wheel.pin.name], wheel.pin.name), reverse=True)


def _needs(archive: WheelArchive, target: Target) -> set[str]:
    text = archive.read(f"{archive.dist_info}/METADATA").decode(errors="replace")
    environment = {**target.markers(), "extra": ""}
    found: set[str] = set()
    for line in headers(text).get_all("Requires-Dist", []):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # it orders nothing, and whether it is met was pip's question
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.add(canonicalize_name(requirement.name))
    return found


def lost_by(found: Iterable[Conflict]) -> Mapping[str, frozenset[str]]:
    """The paths each distribution gives up."""
    out: dict[str, set[str]] = {}
    for each in found:
        out.setdefault(each.loser, set()).add(each.path)
    return {name: frozenset(paths) for name, paths in out.items()}
