"""A build that has nothing to do does nothing, and only then."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.tiny import NAME, Tiny, make_tiny

NOTHING = "nothing to do"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A project we stand in, with a lock and an image that were just made."""
    tiny = make_tiny(tmp_path / "project")
    monkeypatch.chdir(tiny.root)
    tiny.lock()
    # The first looks about; what loading it changed (compiled modules, say) is settled for the second.
    assert main(command(tiny)) == main(command(tiny)) == 0
    return tiny


def command(tiny: Tiny, *words: str) -> list[str]:
    # pytest changes it between a test's set-up and the test itself.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    return [NAME, "--cache-dir", str(tiny.cache), "--progress", "none", *words]


def said(tiny: Tiny, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(command(tiny, *words)) == 0
    return capsys.readouterr().err


def test_the_same_again_leaves_the_file_alone(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    before = tiny.out.stat()
    assert NOTHING in said(tiny, capsys)
    assert tiny.out.stat() == before


def test_json_tells_the_same_image(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for _ in range(2):
        assert main(command(tiny, "--json")) == 0
        captured = capsys.readouterr()
        documents.append(json.loads(captured.out))
    assert NOTHING in captured.err
    for document in documents:
        del document["seconds"]
    assert documents[0] == documents[1]


def overwrite(path: Path) -> None:
    """Other bytes of the same size and age."""
    info = path.stat()
    path.write_bytes(bytes(info.st_size))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


CHANGES: dict[str, Callable[[Tiny], object]] = {
    "the image is gone": lambda tiny: tiny.out.unlink(),
    "the image holds something else": lambda tiny: overwrite(tiny.out),
    "the recipe says something else": lambda tiny: (tiny.image / "image.toml").write_text(
        (tiny.image / "image.toml").read_text() + '\n[config]\ncmd = ["true"]\n'
    ),
    "a file was added to the recipe's folder": lambda tiny: (tiny.image / "new").write_text("x"),
    "the base's recipe was touched": lambda tiny: os.utime(tiny.base / "layer.toml"),
    "another base of that name would be found first": lambda tiny: (tiny.root / "layers" / "other").mkdir(),
    "the cache was cleared": lambda tiny: main(["cache", "clear", "--cache-dir", str(tiny.cache)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(tiny: Tiny, change: Callable[[Tiny], object], capsys: pytest.CaptureFixture[str]) -> None:
    assert NOTHING in said(tiny, capsys)
    change(tiny)
    assert NOTHING not in said(tiny, capsys)
    assert NOTHING in said(tiny, capsys)


def test_other_words_or_another_environment_are_another_build(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOTHING not in said(tiny, capsys, "--tag", "other:1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert NOTHING not in said(tiny, capsys)
