"""``build --verify``: what was written is read again, and what does not hold does not appear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from tests.support.fakeregistry import FakeRegistry, fake_registry, give
from tests.support.tiny import Tiny, build, make_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def lie(tiny: Tiny) -> None:
    """Have the cache say of every layer that it unpacks to another: no digest of a blob tells that it does not."""
    store = Store(tiny.cache)
    for path in sorted((tiny.cache / "v1" / "records" / "layer").iterdir()):
        data = store.record("layer", path.stem)
        assert data is not None
        diff_id = str(json.loads(data)["diff_id"])
        store.put_record("layer", path.stem, data.replace(diff_id.encode(), b"sha256:" + b"1" * 64))


@pytest.mark.parametrize("out", ["app.tar", "app.tar.gz", "app/"])
def test_what_holds_is_written(tiny: Tiny, out: str) -> None:
    ending = build(tiny, "--verify", "--out", f"{tiny.root}/{out}")
    assert ending.code == 0 and "verify" in ending.said
    assert verify_file(tiny.root / out).findings == ()


@pytest.mark.parametrize("out", ["app.tar", "app.tgz", "app/"])
def test_what_does_not_hold_does_not_appear(tiny: Tiny, out: str) -> None:
    assert build(tiny).code == 0
    tiny.out.unlink()
    lie(tiny)
    ending = build(tiny, "--verify", "--out", f"{tiny.root}/{out}")
    assert ending.code == 3, ending.said
    assert "diff ID" in ending.said and str(tiny.root / out).rstrip("/") in ending.said
    assert not (tiny.root / out).exists()
    assert not list(tiny.root.glob(".app*")), "nor is anything left of it"
    assert build(tiny, "--out", f"{tiny.root}/{out}").code == 0, "without the flag nobody notices: it is not idle"


@pytest.mark.parametrize("out", ["app.tar", "app/"])
def test_what_was_there_before_stays(tiny: Tiny, out: str) -> None:
    assert build(tiny, "--out", f"{tiny.root}/{out}").code == 0
    named = tiny.root / out / "index.json" if out.endswith("/") else tiny.root / out
    before = named.read_bytes()
    lie(tiny)
    assert build(tiny, "--verify", "--label", "a=b", "--out", f"{tiny.root}/{out}").code == 3
    assert named.read_bytes() == before


def test_an_unchanged_image_is_verified_too(tiny: Tiny) -> None:
    for _ in range(2):
        ending = build(tiny, "--verify")
        assert ending.code == 0 and "verify" in ending.said and "nothing to do" not in ending.said


def test_what_a_registry_serves_is_read_again(tiny: Tiny, registry: FakeRegistry) -> None:
    flags = ["--verify", "--push", f"{registry.host}/team/app:1"]
    ending = build(tiny, *flags)
    assert ending.code == 0, ending.said
    assert any(each.startswith("GET /v2/team/app/blobs/") for each in registry.methods())
    registry.does("GET .*/blobs/", give(b"something else"), lasting=True)
    ending = build(tiny, *flags)
    assert ending.code == 3 and f"{registry.host}/team/app:1" in ending.said
