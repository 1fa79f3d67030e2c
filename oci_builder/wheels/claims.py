"""Which distribution owns which path, and what happens when two want one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import Literal

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from oci_builder.errors import PathConflict
from oci_builder.layer import LayerKey
from oci_builder.store import Store
from oci_builder.wheels.archive import WheelArchive, open_wheel
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.opened import Opened
from oci_builder.wheels.target import Target

Policy = Literal["error", "last"]

_CLAIMS = "claims"
_SETTLED = "settled"


@dataclass(frozen=True, slots=True, order=True)
class Loss:
    """``loser`` gives up ``path`` to ``winner``; both are names of distributions."""

    path: str
    loser: str
    winner: str


class _Claim(msgspec.Struct, frozen=True, array_like=True):
    path: str
    sha256: str


class _Loss(msgspec.Struct, frozen=True, array_like=True):
    path: str
    loser: str
    winner: str


def settle(wheels: Sequence[Wheel], opened: Opened, *, policy: Policy, store: Store) -> tuple[Loss, ...]:
    """Find the paths that two wheels fill with different bytes, and who gives them up.

    With ``policy`` "error" any such path raises PathConflict. With "last" the distribution that pip would install last
    keeps it: dependents after what they depend on. What was found for the same wheels before is remembered.
    """
    key = _settled_key(wheels, opened.target, policy)
    known = store.record(_SETTLED, key)
    if known is not None:
        try:
            return tuple(Loss(*msgspec.structs.astuple(each)) for each in msgspec.json.decode(known, type=list[_Loss]))
        except msgspec.MsgspecError:
            store.drop_record(_SETTLED, key)
    losses = tuple(sorted(_losses(wheels, opened, policy, store)))
    told = [_Loss(loss.path, loss.loser, loss.winner) for loss in losses]
    store.put_record(_SETTLED, key, msgspec.json.encode(told))
    return losses


def _settled_key(wheels: Sequence[Wheel], target: Target, policy: Policy) -> str:
    return LayerKey.of(
        kind=_SETTLED,
        wheels=[[wheel.pin.name, wheel.pin.sha256.hex] for wheel in wheels],
        schemes=dict(target.schemes("")),
        markers=dict(target.markers()),
        policy=policy,
    ).hex


def _losses(wheels: Sequence[Wheel], opened: Opened, policy: Policy, store: Store) -> Iterator[Loss]:
    owners: dict[str, tuple[Wheel, str]] = {}
    _have_claims(wheels, opened, store)
    for wheel in wheels if policy == "error" else _install_order(wheels, opened):
        for claim in _claims(wheel, opened, store):
            first, digest = owners.setdefault(claim.path, (wheel, claim.sha256))
            if first is wheel or (digest and digest == claim.sha256):
                continue
            if policy == "error":
                raise _conflict(claim.path, first, wheel)
            yield Loss(claim.path, first.pin.name, wheel.pin.name)
            owners[claim.path] = (wheel, claim.sha256)


def _conflict(path: str, first: Wheel, second: Wheel) -> PathConflict:
    hint = 'drop one of the two, or set [python] conflicts = "last" in image.toml to let the later one win, as pip does'
    return PathConflict(f"/{path}", first.label, second.label, hint=hint)


def _have_claims(wheels: Sequence[Wheel], opened: Opened, store: Store) -> None:
    """Get together what would otherwise be got one by one: claims that others know, and wheels that nobody knows."""
    keys = {wheel: _claims_key(wheel, opened.target) for wheel in wheels}
    store.expect(_CLAIMS, keys.values())
    opened.have(wheel for wheel, key in keys.items() if store.record(_CLAIMS, key) is None)


def _claims_key(wheel: Wheel, target: Target) -> str:
    schemes = dict(sorted(target.schemes(wheel.pin.name).items()))
    return LayerKey.of(kind=_CLAIMS, wheel=str(wheel.pin.sha256), schemes=schemes).hex


def _claims(wheel: Wheel, opened: Opened, store: Store) -> Iterable[_Claim]:
    key = _claims_key(wheel, opened.target)
    known = store.record(_CLAIMS, key)
    if known is not None:
        try:
            return msgspec.json.decode(known, type=list[_Claim])
        except msgspec.MsgspecError:
            store.drop_record(_CLAIMS, key)
    claims = [_Claim(entry.path, entry.sha256) for entry in opened.installed(wheel).entries]
    store.put_record(_CLAIMS, key, msgspec.json.encode(claims))
    return claims


def _install_order(wheels: Sequence[Wheel], opened: Opened) -> list[Wheel]:
    """pip's order: the farther from what was asked for, the earlier; equals by name, backwards."""
    opened.have(wheels)
    needs = {wheel.pin.name: _needs(open_wheel(wheel.path, wheel.pin.filename), opened.target) for wheel in wheels}
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
    for line in HeaderParser().parsestr(text).get_all("Requires-Dist", []):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # it orders nothing, and whether it is met was pip's question
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.add(canonicalize_name(requirement.name))
    return found


def lost_by(losses: Iterable[Loss]) -> Mapping[str, frozenset[str]]:
    """The paths each distribution gives up."""
    out: dict[str, set[str]] = {}
    for loss in losses:
        out.setdefault(loss.loser, set()).add(loss.path)
    return {name: frozenset(paths) for name, paths in out.items()}
