"""Locks as bytes, and what changed between two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.debian.lock import (
    Pin,
    RootfsLock,
    SuitePin,
    changes,
    decode,
    encode,
    lock_path,
    moment,
    read_lock,
    write_lock,
)
from oci_builder.errors import StaleLock
from oci_builder.platforms import ARM64


def pin(name: str, version: str = "1-1", sha256: str = "a" * 64) -> Pin:
    return Pin(
        name=name,
        version=version,
        architecture="amd64",
        source=name,
        archive="debian",
        suite="bookworm",
        path=f"pool/main/{name}.deb",
        size=3,
        sha256=sha256,
    )


def lock(*pins: Pin, dates: tuple[int, ...] = (1_700_000_000,)) -> RootfsLock:
    suites = tuple(
        SuitePin(archive="debian", suite=f"s{at}", date=moment(at), inrelease="b" * 64, signers=("c",)) for at in dates
    )
    return RootfsLock(schema=1, architecture="amd64", suites=suites, packages=pins)


def test_a_lock_reads_back_and_is_spelled_one_way(tmp_path: Path) -> None:
    path = lock_path(tmp_path, ARM64)
    write_lock(lock(pin("b"), pin("a")), path)
    assert path.name == "lock.arm64.json"
    assert [one.name for one in read_lock(path).packages] == ["a", "b"]
    assert path.read_bytes() == encode(read_lock(path)) == encode(lock(pin("a"), pin("b")))
    assert path.read_bytes().endswith(b"}\n")


def test_the_epoch_is_the_newest_signature() -> None:
    assert lock(pin("a"), dates=(5, 9, 7)).epoch == 9


def test_dates_are_written_in_utc() -> None:
    assert json.loads(encode(lock(pin("a"))))["suites"][0]["date"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"schema": 1', b'"schema": 2'),
        (b"a" * 64, b"A" * 64),
        (b'"size": 3', b'"size": 0'),
        (b"pool/main", b"../../etc"),
        (b'"version"', b'"verzion"'),
        (b'"1-1"', b'"1 --option"'),
        (b'"debian"', b'"../other"'),
        (b"pool/main", b"/pool/main"),
        (b"pool/main", b"http://x"),
        (b"pool/main", b"pool//main"),
        (b'"size": 3', b'"size": 3000000000000'),
        (b'20Z"', b'20"'),
        (b'"2023-', b'"0001-'),
        (b"b" * 64, b"b"),
        (b"{", b"["),
    ],
)
def test_a_lock_that_cannot_be_used_says_how_to_get_one(old: bytes, new: bytes) -> None:
    with pytest.raises(StaleLock) as raised:
        decode(encode(lock(pin("a"))).replace(old, new, 1), what="lock.amd64.json", base="tiny")
    assert "ocibuild base update tiny" in (raised.value.hint or "")


def test_no_lock_is_a_stale_lock(tmp_path: Path) -> None:
    with pytest.raises(StaleLock, match="none for this platform"):
        read_lock(tmp_path / "lock.amd64.json")


def test_changes_are_listed_by_name() -> None:
    old = lock(pin("same"), pin("gone"), pin("newer", "3.0.17-1"), pin("rebuilt"))
    new = lock(pin("same"), pin("added"), pin("newer", "3.0.22-1"), pin("rebuilt", sha256="d" * 64))
    assert changes(old, new) == ["+ added 1-1", "- gone 1-1", "newer 3.0.17-1 → 3.0.22-1", "rebuilt 1-1, built anew"]
    assert changes(None, lock(pin("a"))) == ["+ a 1-1"]
    assert changes(new, new) == []
