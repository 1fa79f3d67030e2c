"""Upgrading is a daily act: what changes is what was changed, told by digests."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.tiny import IMAGE, NAME, Tiny, built, make_tiny
from tests.support.wheels import make_wheel


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    tiny = make_tiny(tmp_path / "project")
    (tiny.image / "image.toml").write_text(f'{IMAGE}[layering]\nstrategy = "each"\n')
    return tiny


def layers(tiny: Tiny, *flags: str) -> dict[str, str]:
    """Build, and give the digest of each layer by what it holds."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        built(tiny, "--json", *flags)
    return {",".join(layer["holds"]): layer["digest"] for layer in json.loads(said.getvalue())["layers"]}


def lock(tiny: Tiny, *flags: str) -> tuple[int, str]:
    """Run ``ocibuild lock``; its exit code, and what it says."""
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(["lock", NAME, *places, *flags])
    return code, said.getvalue()


def test_a_line_more_is_a_layer_more_and_nothing_else(tiny: Tiny) -> None:
    tiny.require("whole==3.0")
    lock(tiny)
    text = (tiny.image / "pylock.toml").read_text()
    before = layers(tiny)
    make_wheel(tiny.wheels, "added", "1.0")
    # Newer versions of what is locked: nobody asked for them.
    make_wheel(tiny.wheels, "many", "9.0")
    with (tiny.image / "requirements.txt").open("a") as file:
        file.write("added\n")
    after = layers(tiny)
    assert after.keys() - before.keys() == {"added 1.0"}
    assert {holds: digest for holds, digest in after.items() if holds in before} == before
    new = (tiny.image / "pylock.toml").read_text().splitlines()
    assert "".join(line for line in text.splitlines() if line not in new and not line.startswith("fingerprint")) == ""


def test_one_upgraded_package_is_one_changed_layer(tiny: Tiny) -> None:
    tiny.require("whole==3.0")
    lock(tiny)
    before = layers(tiny)
    for name in ("many", "tool"):
        make_wheel(tiny.wheels, name, "9.0")
    assert lock(tiny, "--check")[0] == 0
    code, said = lock(tiny, "--upgrade-package", "tool")
    assert code == 0 and said.splitlines()[0] == "tool 2.0 → 9.0"
    after = layers(tiny, "--locked")
    assert after.items() - before.items() == {("tool 9.0", after["tool 9.0"])}
    code, said = lock(tiny, "--upgrade")
    assert code == 0 and said.splitlines()[0] == "many 1.0 → 9.0"


def test_a_check_changes_nothing_and_exits_3_when_the_lock_would_move(tiny: Tiny) -> None:
    tiny.require("whole==3.0")
    assert lock(tiny, "--check")[0] == 3
    assert not (tiny.image / "pylock.toml").exists()
    lock(tiny)
    text = (tiny.image / "pylock.toml").read_bytes()
    (tiny.image / "requirements.txt").write_text("tool\n")
    code, said = lock(tiny, "--check")
    assert code == 3 and "- many 1.0" in said and "- whole 3.0" in said
    assert (tiny.image / "pylock.toml").read_bytes() == text
