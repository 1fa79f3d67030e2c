"""Users and groups by name and number: whoever runs, and whoever owns what the image's own layers hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from oci_builder.errors import InvalidValue, UnsafePath
from oci_builder.gate.finding import Finding
from oci_builder.rebase.sides import Side, Sides, refused
from oci_builder.tree.accounts import groups_of, home_of, ids_of, names_of
from oci_builder.tree.tree import Tree

Database = Literal["passwd", "group"]
_HINT = "the numbers in its layers stay what they are: take a base whose accounts have them, or build the image anew"


def account_findings(sides: Sides) -> Iterator[Finding]:
    """Who would be somebody else on the new base."""
    yield from _runner(sides.before, sides.after)
    owners: Mapping[Database, dict[int, str]] = {"passwd": {}, "group": {}}
    for entry in sides.tree:
        owners["passwd"].setdefault(entry.uid, entry.path)
        owners["group"].setdefault(entry.gid, entry.path)
    yield from _owners(sides, "passwd", "user", owners["passwd"])
    yield from _owners(sides, "group", "group", owners["group"])


def _runner(before: Side, after: Side) -> Iterator[Finding]:
    user = after.run.user
    old, new = _ids(before.tree, before.run.user), _ids(after.tree, user)
    if new is None and old is not None:
        yield refused("user", user, f"the image runs as {user}, and the new base has no such user or group", _HINT)
    elif old is not None and new != old:
        who = f"the image runs as {user or 'root'}"
        why = f"{who}, which is {_numbers(new)} on the new base, and ran as {_numbers(old)} on the old one"
        yield refused("user", user or "root", why, _HINT)
        return
    was, now = home_of(before.tree, before.run.user), home_of(after.tree, user)
    if was != now and "HOME" not in after.run.env:
        why = f"the home of {user or 'root'}, who runs, was {was} on the old base and is {now} on the new one"
        yield refused("user", user or "root", why, "set HOME where the image is run, or build the image anew")


def _ids(tree: Tree, user: str) -> tuple[int, int, frozenset[int]] | None:
    if not user:
        return 0, 0, frozenset()
    try:
        return *ids_of(tree, user), groups_of(tree, user)
    except (InvalidValue, UnsafePath):
        return None


def _numbers(ids: tuple[int, int, frozenset[int]] | None) -> str:
    assert ids is not None, "it was told before"
    more = f" with groups {', '.join(map(str, sorted(ids[2])))}" if ids[2] else ""
    return f"{ids[0]}:{ids[1]}{more}"


def _owners(sides: Sides, database: Database, what: str, owners: Mapping[int, str]) -> Iterator[Finding]:
    old, new = names_of(sides.before.tree, database), names_of(sides.after.tree, database)
    for number, path in sorted(owners.items()):
        before, after = old.get(number), new.get(number)
        if before == after:
            continue
        now = f"is {after}" if after else "is nobody"
        was = f"was {before}" if before else "was nobody"
        why = f"{what} {number}, who owns /{path} and more, {was} on the old base and {now} on the new one"
        yield refused("user" if database == "passwd" else "group", str(number), why, _HINT)
