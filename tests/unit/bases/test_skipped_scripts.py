"""Packages that are taken without what their scripts do, and the numbers of accounts that scripts make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oci_builder.bases import Supply
from oci_builder.debian.extralock import Accounts, read_extra_lock
from oci_builder.errors import PackageError, StaleLock
from oci_builder.recipes import ImageToml
from oci_builder.store import Store
from oci_builder.tomlfile import parse_toml
from tests.support.debian import Deb, small_base, write_suite
from tests.unit.bases.test_packages import DEBS, LIBRARIES, World, world  # noqa: F401 a fixture

ACCOUNT = """#!/bin/sh
set -e
adduser --system --group --quiet --no-create-home --home /var/lib/NAME NAME
mkdir -p /var/lib/NAME
chown NAME:NAME /var/lib/NAME
groupadd -r NAME-more
"""
SERVERS = [
    Deb(
        name=name,
        files={f"usr/bin/{name}": b"x", "var/": b"", "var/lib/": b""},
        scripts={"postinst": ACCOUNT.replace("NAME", name).encode()},
    )
    for name in ("alpha", "middle", "zeta")
]


def test_a_refusal_says_the_line_that_takes_the_package_all_the_same(world: World) -> None:  # noqa: F811
    with pytest.raises(PackageError, match="chpasswd") as caught:
        world.add("libgl1", "libscripted1")
    line = re.search(r"base-packages = .+", caught.value.hint or "")
    assert line is not None
    debian = parse_toml(f"{line[0]}\n", ImageToml, file="image.toml").debian
    assert debian.names == ("libgl1", "libscripted1") and debian.skipped.keys() == {"libscripted1"}
    base = world.add(*debian.names, skipped=dict(debian.skipped))
    assert f"{LIBRARIES}/libscripted1.so.1" not in base.tree and f"{LIBRARIES}/libscripted.so.1" in base.tree
    assert base.skipped_scripts == ("libscripted1 1.0-1",)
    assert (
        "tiny: libscripted1 is without what its maintainer scripts would do: what they do is not needed" in world.said
    )


def test_a_refusal_says_the_line_of_a_table_with_globs_and_of_what_others_need(world: World) -> None:  # noqa: F811
    for skipped, line in (
        ({}, 'packages = [{ name = "libscripted1", scripts = "skip", '),
        ({"x": 'so "it" is'}, '{ name = "libscripted1", scripts = "skip", '),
    ):
        with pytest.raises(PackageError) as caught:
            world.add("libscripted1", keep=["/x"], skipped=skipped)
        assert line in (caught.value.hint or "")


def test_what_is_passed_over_makes_nothing_and_is_locked(world: World) -> None:  # noqa: F811
    base = world.add("chosen", skipped={"chosen": "nobody needs the link"})
    assert "usr/bin/chosen" in base.tree and "usr/bin/choice" not in base.tree
    assert read_extra_lock(world.lock).skipped == {"chosen": "nobody needs the link"}
    closed = Supply(now=world.supply.now, offline=True, locked=True)
    for skipped in ({}, {"other": "x"}):
        with pytest.raises(StaleLock):
            world.add("chosen", skipped=skipped, supply=closed)
    before = world.lock.read_bytes()
    again = world.add("chosen", skipped={"chosen": "another reason"}, supply=closed)
    assert again.layers == base.layers and world.lock.read_bytes() == before
    world.server.asked.clear()
    assert world.add("chosen", skipped={"chosen": "another reason"}).layers == base.layers
    assert read_extra_lock(world.lock).skipped == {"chosen": "another reason"} and world.server.paths == []
    assert world.add("chosen").layers[-1].diff_id != base.layers[-1].diff_id


def test_a_package_without_scripts_needs_none_passed_over(world: World) -> None:  # noqa: F811
    world.add("libx11-6", skipped={"libx11-6": "to be sure"})
    assert any("libx11-6 has no maintainer scripts" in line for line in world.said)


def numbers(world: World, *packages: str) -> dict[str, list[str]]:  # noqa: F811
    """What the accounts of packages are called by number: users, and groups."""
    tree = world.add(*packages).tree
    found = {}
    for path in ("etc/passwd", "etc/group"):
        content = tree.paths[tree.resolve(path)].content
        data = world_read(content)
        found[path] = [":".join(line.split(":")[0:3:2]) for line in data.splitlines() if int(line.split(":")[2]) > 99]
    return found


def world_read(content: object) -> str:
    """The text of a file."""
    from oci_builder.tree.content import MappedFiles

    with MappedFiles() as sources:
        return sources.read(content, what="a file").decode()  # type: ignore[arg-type]


@pytest.fixture
def servers(world: World, tmp_path: Path) -> World:  # noqa: F811
    """A world whose archive has programs with accounts of their own."""
    write_suite(tmp_path / "mirror", "debian", "bookworm", [*small_base(), *DEBS, *SERVERS])
    return world


def test_accounts_keep_their_numbers_when_another_package_comes(servers: World, tmp_path: Path) -> None:
    alone = numbers(servers, "zeta")
    assert alone == {"etc/passwd": ["zeta:100"], "etc/group": ["zeta:100", "zeta-more:999"]}
    lock = read_extra_lock(servers.lock)
    assert lock.accounts == Accounts(users={"zeta": 100}, groups={"zeta": 100, "zeta-more": 999})
    together = numbers(servers, "alpha", "zeta")
    assert set(alone["etc/passwd"]) < set(together["etc/passwd"]) == {"zeta:100", "alpha:101"}
    assert set(alone["etc/group"]) < set(together["etc/group"])
    lock = read_extra_lock(servers.lock)
    # The number of one that goes is not that of the one that comes: files in volumes may be its own.
    assert numbers(servers, "middle", "zeta")["etc/passwd"] == ["middle:102", "zeta:100"]
    servers.lock.unlink()
    assert numbers(servers, "alpha", "zeta")["etc/passwd"] == ["alpha:100", "zeta:101"]
    assert read_extra_lock(servers.lock).accounts != lock.accounts


def test_the_numbers_of_a_lock_are_those_of_the_layer(servers: World, tmp_path: Path) -> None:
    servers.add("zeta")
    servers.add("alpha", "zeta")
    layer = servers.add("alpha", "zeta").layers[-1]
    servers.store = Store(tmp_path / "other")
    assert servers.add("alpha", "zeta").layers[-1].diff_id == layer.diff_id
    text = servers.lock.read_text()
    servers.lock.write_text(text.replace('"zeta": 100', '"zeta": 4294967295'))
    with pytest.raises(StaleLock):
        servers.add("alpha", "zeta")
    # A number that somebody has cannot be had.
    servers.lock.write_text(text.replace('"zeta": 100', '"zeta": 0'))
    users = numbers(servers, "alpha", "zeta")["etc/passwd"]
    assert len({each.partition(":")[2] for each in users}) == 2 and "zeta:0" not in users
