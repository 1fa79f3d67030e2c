"""An image against its lock: the same, or said where not."""

from __future__ import annotations

import _imp
import posixpath
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from oci_builder.cli import main
from oci_builder.inspect.contents import FileRecord, ImageContents
from oci_builder.inspect.reading import read_image
from oci_builder.projects.contents import lock_contents
from oci_builder.store import Store
from oci_builder.verify.compiled import BytecodeWatcher
from oci_builder.verify.locked import LockReport, compare_with_lock, environment_of, wheel_at_hand
from tests.support.targets import SITE
from tests.support.tiny import Tiny, built, make_tiny
from tests.support.wheels import make_wheel

TOOL = f"{SITE}/tool.py"
RECORD = f"{SITE}/tool-2.0.dist-info/RECORD"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    project = make_tiny(tmp_path_factory.mktemp("tiny"))
    built(project)
    return project


@pytest.fixture(scope="module")
def contents(tiny: Tiny) -> ImageContents:
    return read_image(tiny.out)


def compared(
    tiny: Tiny, contents: ImageContents, *, wheels: Path | None = None, bytecode: BytecodeWatcher | None = None
) -> LockReport:
    at_hand = wheel_at_hand(Store(tiny.root / "empty"), wheels or tiny.wheels)
    lock = lock_contents(tiny.image / "pylock.toml", environment_of(contents))
    return compare_with_lock(contents, bytecode or BytecodeWatcher(), lock, at_hand)


def with_tree(contents: ImageContents, changes: Mapping[str, FileRecord | None]) -> ImageContents:
    tree = {path: record for path, record in {**contents.tree, **changes}.items() if record is not None}
    return replace(contents, tree=tree)


def test_an_image_is_what_its_lock_says(tiny: Tiny, contents: ImageContents) -> None:
    report = compared(tiny, contents)
    assert (report.findings, report.wheels, report.unseen) == ([], 3, [])
    assert report.files.keys() == {"base", "ocibuild", "wheels"}


def test_wheels_that_are_not_at_hand_are_named(tiny: Tiny, contents: ImageContents, tmp_path: Path) -> None:
    report = compared(tiny, contents, wheels=tmp_path)
    assert (report.findings, report.wheels) == ([], 0)
    assert report.unseen == ["many 1.0", "tool 2.0", "whole 3.0"]


def test_a_wheel_with_another_digest_is_not_at_hand(tiny: Tiny, contents: ImageContents, tmp_path: Path) -> None:
    shutil.copytree(tiny.wheels, tmp_path / "wheels")
    make_wheel(tmp_path / "wheels", "tool", "2.0", files={"tool.py": "OTHER = 1\n"})
    assert compared(tiny, contents, wheels=tmp_path / "wheels").unseen == ["tool 2.0"]


def test_a_changed_file_is_said(tiny: Tiny, contents: ImageContents) -> None:
    changed = with_tree(contents, {TOOL: structs.replace(contents.tree[TOOL], digest=bytes(32))})
    assert compared(tiny, changed).findings == [f"/{TOOL} is not what its RECORD says"]


def test_a_missing_file_is_said(tiny: Tiny, contents: ImageContents) -> None:
    assert compared(tiny, with_tree(contents, {TOOL: None})).findings == [f"/{TOOL} is in RECORD, and not in the image"]


def test_an_additional_file_is_said(tiny: Tiny, contents: ImageContents) -> None:
    more = f"{SITE}/more.py"
    found = compared(tiny, with_tree(contents, {more: structs.replace(contents.tree[TOOL], path=more)})).findings
    assert found == [f"/{more} belongs to no locked wheel, nor to the base"]


def test_a_record_that_was_changed_with_its_file_does_not_hide_it(tiny: Tiny, contents: ImageContents) -> None:
    text = contents.kept[RECORD].decode()
    line = next(line for line in text.splitlines() if line.startswith("tool.py,"))
    kept = {**contents.kept, RECORD: text.replace(line, "tool.py,sha256=" + "A" * 43 + ",1").encode()}
    tree = with_tree(contents, {TOOL: structs.replace(contents.tree[TOOL], digest=bytes(32))}).tree
    assert compared(tiny, replace(contents, kept=kept, tree=tree)).findings == [
        f"tool 2.0: /{TOOL} is not what the wheel holds"
    ]


def test_a_record_with_one_more_line_does_not_hide_the_file(tiny: Tiny, contents: ImageContents) -> None:
    more = f"{SITE}/more.py"
    record = structs.replace(contents.tree[TOOL], path=more, digest=bytes(32))
    kept = {**contents.kept, RECORD: contents.kept[RECORD] + b"more.py,sha256=" + b"A" * 43 + b",1\n"}
    changed = replace(with_tree(contents, {more: record}), kept=kept)
    assert compared(tiny, changed).findings == [f"tool 2.0: /{more} is in the image's RECORD, and not in the wheel"]


PYC = f"{SITE}/__pycache__/tool.cpython-311.pyc"


def with_bytecode(contents: ImageContents, path: str) -> ImageContents:
    """The image with a .pyc file that its RECORD lists, as one that ocibuild compiled for has it."""
    listed = posixpath.relpath(path, SITE).encode()
    kept = {**contents.kept, RECORD: contents.kept[RECORD] + listed + b",,\n"}
    return replace(with_tree(contents, {path: structs.replace(contents.tree[TOOL], path=path)}), kept=kept)


def test_bytecode_of_other_sources_is_said(tiny: Tiny, contents: ImageContents) -> None:
    watch = BytecodeWatcher()
    watch.seen(TOOL, b"VERSION = 2\n")
    head = (3495).to_bytes(2, "little") + b"\r\n" + (1).to_bytes(4, "little")
    key = int.from_bytes(head[:4], "little")
    changed = with_bytecode(contents, PYC)
    watch.seen(PYC, head + _imp.source_hash(key, b"VERSION = 2\n") + b"code")
    good = compared(tiny, changed, bytecode=watch)
    assert (good.findings, good.bytecode) == ([], 1)
    watch.seen(PYC, head + _imp.source_hash(key, b"VERSION = 3\n") + b"code")
    assert compared(tiny, changed, bytecode=watch).findings == [f"/{PYC} is not the bytecode of /{TOOL}"]


def test_bytecode_of_no_module_is_said_though_record_lists_it(tiny: Tiny, contents: ImageContents) -> None:
    path = f"{SITE}/__pycache__/evil.cpython-311.pyc"
    assert compared(tiny, with_bytecode(contents, path)).findings == [f"/{path} is bytecode of no module"]


def test_another_lock_is_another_image(tiny: Tiny, contents: ImageContents, tmp_path: Path) -> None:
    text = (tiny.image / "pylock.toml").read_text()
    path = tmp_path / "pylock.toml"
    path.write_text(text.replace('"tool"', '"other"').replace("tool-2.0", "other-2.0"))
    lock = lock_contents(path, environment_of(contents))
    findings = compare_with_lock(
        contents, BytecodeWatcher(), lock, wheel_at_hand(Store(tmp_path), tiny.wheels)
    ).findings
    assert findings[:2] == ["other 2.0 is locked, and not in the image", "tool 2.0 is in the image, and not locked"]


def test_the_command_says_yes_and_no(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tiny.image / "pylock.toml"
    assert main(["verify", str(tiny.out), "--lock", str(lock), "--cache-dir", str(tiny.cache)]) == 0
    assert "3 wheels compared" in capsys.readouterr().err
    other = tmp_path / "pylock.toml"
    other.write_text(lock.read_text().replace('"2.0"', '"2.1"').replace("tool-2.0", "tool-2.1"))
    assert main(["verify", str(tiny.out), "--lock", str(other), "--cache-dir", str(tiny.cache)]) == 3
    assert "tool 2.0 is in the image, and 2.1 is locked" in capsys.readouterr().err
