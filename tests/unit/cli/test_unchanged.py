"""A build that has nothing to do does nothing, and only then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.check.verify import verify_file
from oci_builder.cli import main
from tests.support.tiny import CHECKOUT, NAME, Tiny, make_tiny, unsound

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


def test_a_file_that_is_gone_or_changed_is_written_again_and_nothing_is_made(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = tiny.out.read_bytes()
    damages: list[Callable[[Path], object]] = [Path.unlink, overwrite]
    for damage in damages:
        damage(tiny.out)
        lines = said(tiny, capsys)
        assert NOTHING not in lines and "app.tar: " in lines
        assert tiny.out.read_bytes() == expected
        assert verify_file(tiny.out).findings == ()
    assert NOTHING in said(tiny, capsys)


def test_json_tells_the_same_of_a_file_written_again(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for _ in range(2):
        assert main(command(tiny, "--json")) == 0
        documents.append(json.loads(capsys.readouterr().out))
        tiny.out.unlink()
    assert documents[1]["seconds"].keys() == {"write", "total"}
    for document in documents:
        del document["seconds"]
    assert documents[0] == documents[1]


def test_writing_again_loads_nothing_that_builds(tiny: Tiny) -> None:
    program = "import sys; from oci_builder.cli import main; main(sys.argv[1:]); print(*sorted(sys.modules))"
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for _ in range(2):
        tiny.out.unlink()
        argv = [sys.executable, "-c", program, *command(tiny)]
        loaded = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout.split()
    assert "oci_builder.export.docker_archive" in loaded
    rooms = {name.split(".")[1] for name in loaded if name.startswith("oci_builder.")}
    assert rooms.isdisjoint({"assemble", "bases", "check", "debian", "recipes", "registry", "wheels"})


@pytest.mark.parametrize("damage", [overwrite, Path.unlink])
def test_a_layer_that_is_damaged_or_gone_is_made_anew_for_the_file(
    tiny: Tiny, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = tiny.out.read_bytes()
    assert main(command(tiny, "--json")) == 0
    top = json.loads(capsys.readouterr().out)["layers"][-1]["digest"]
    tiny.out.unlink()
    damage(tiny.cache / "v1" / "blobs" / "sha256" / top.removeprefix("sha256:"))
    assert NOTHING not in said(tiny, capsys)
    assert tiny.out.read_bytes() == expected
    assert unsound(tiny.cache) == []


def test_a_folder_for_the_file_that_is_gone_is_told_as_before(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny.root / "out"
    folder.mkdir()
    words = ("--out", "out/app.tar")
    for _ in range(2):
        said(tiny, capsys, *words)
    assert NOTHING in said(tiny, capsys, *words)
    shutil.rmtree(folder)
    assert main(command(tiny, *words)) == 2


def test_other_words_or_another_environment_are_another_build(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOTHING not in said(tiny, capsys, "--tag", "other:1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert NOTHING not in said(tiny, capsys)
