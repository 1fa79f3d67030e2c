"""A build that has nothing to do does nothing, and only then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import build, main
from oci_builder.cli.recipe import open_source
from oci_builder.recipes import ImageSource
from oci_builder.verify.verify import verify_file
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
        (tiny.image / "image.toml").read_text() + '\n[config]\ncmd = ["python3", "-V"]\n'
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


def recipe(tiny: Tiny, text: str) -> None:
    (tiny.image / "image.toml").write_text((tiny.image / "image.toml").read_text() + text)


def make_outside_copy(tiny: Tiny) -> Path:
    """A copy from beside ``build/``; gives the file to edit."""
    (tiny.root / "src" / "deep").mkdir(parents=True)
    (tiny.root / "src" / "deep" / "f").write_text("1")
    recipe(tiny, '[[copy]]\nsrc = "../../src"\ndest = "/a"\n')
    return tiny.root / "src" / "deep" / "f"


def make_linked_copy(tiny: Tiny) -> Path:
    """The same through a link that is no part of the recipe's folder."""
    file = make_outside_copy(tiny)
    (tiny.root / "build" / "lnk").symlink_to("../src/deep")
    text = (tiny.image / "image.toml").read_text()
    (tiny.image / "image.toml").write_text(text.replace("../../src", "../lnk/f"))
    return file


def make_include(tiny: Tiny) -> Path:
    """Requirements that include others from elsewhere."""
    (tiny.root / "more.txt").write_text("tool\n")
    (tiny.image / "requirements.txt").write_text("whole==3.0\n-r ../../more.txt\n")
    return tiny.root / "more.txt"


def make_hidden_include(tiny: Tiny) -> Path:
    """The same in what PowerShell writes."""
    file = make_include(tiny)
    text = (tiny.image / "requirements.txt").read_text()
    (tiny.image / "requirements.txt").write_bytes(text.encode("utf-16"))
    return file


def make_constraint(tiny: Tiny) -> Path:
    """The same with constraints, on a line that is joined of two."""
    (tiny.root / "less.txt").write_text("tool\n")
    (tiny.image / "requirements.txt").write_text("whole==3.0\n\\\n-c ../../less.txt\n")
    return tiny.root / "less.txt"


def make_linked_wheels(tiny: Tiny) -> Path:
    """Wheels in a folder elsewhere."""
    tiny.wheels.rename(tiny.root / "all")
    tiny.wheels.symlink_to("../../all")
    return tiny.root / "all" / "new"


def make_linked_keys(tiny: Tiny) -> Path:
    """A base with a folder elsewhere."""
    (tiny.root / "keys").mkdir()
    (tiny.base / "keys").symlink_to(tiny.root / "keys")
    return tiny.root / "keys" / "new.asc"


INPUTS: dict[str, Callable[[Tiny], Path]] = {
    "a copy from beside build/": make_outside_copy,
    "a copy through a link": make_linked_copy,
    "included requirements": make_include,
    "included requirements in UTF-16": make_hidden_include,
    "constraints": make_constraint,
    "a linked folder of wheels": make_linked_wheels,
    "a linked folder of the base": make_linked_keys,
}


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_an_input_that_lies_elsewhere_is_watched_or_nothing_is_remembered(
    tiny: Tiny, make: Callable[[Tiny], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = make(tiny)
    for _ in range(2):
        main(command(tiny))
    capsys.readouterr()
    main(command(tiny))
    remembered = NOTHING in capsys.readouterr().err
    assert remembered == make.__name__.endswith("copy")
    file.write_text("2")
    main(command(tiny))
    assert NOTHING not in capsys.readouterr().err


def test_what_is_copied_from_elsewhere_is_never_stale(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_outside_copy(tiny)
    images = set()
    for text in ("1", "2", "3"):
        file.write_text(text)
        assert NOTHING not in said(tiny, capsys)
        images.add(tiny.out.read_bytes())
    assert len(images) == 3


@pytest.mark.parametrize("first", [True, False])
def test_an_edit_while_the_recipe_is_read_is_built_the_next_time(
    tiny: Tiny, first: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = open_source

    def edited_meanwhile(*args: Any, **flags: Any) -> ImageSource:
        if first:
            recipe(tiny, '[config.labels]\nx = "1"\n')
        source = read(*args, **flags)
        if not first:
            recipe(tiny, '[config.labels]\nx = "1"\n')
        return source

    tiny.forget()
    with monkeypatch.context() as patch:
        # The instant alone is ours: what is called is the real thing.
        patch.setattr(build, "open_source", edited_meanwhile)
        assert NOTHING not in said(tiny, capsys)
    assert NOTHING not in said(tiny, capsys)
    expected = tiny.out.read_bytes()
    tiny.forget()
    said(tiny, capsys)
    assert tiny.out.read_bytes() == expected


def test_an_edit_right_after_another_is_noticed(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    file = tiny.image / "app"
    recipe(tiny, '[[copy]]\nsrc = "app"\ndest = "/app"\n')
    for number in range(5):
        file.write_text(str(number))
        said(tiny, capsys)
        file.write_text(str(number + 5))
        assert NOTHING not in said(tiny, capsys)


def test_a_link_that_leads_nowhere_is_watched_for_where_it_leads(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny.image / "app").mkdir()
    (tiny.image / "app" / "lnk").symlink_to("one")
    recipe(tiny, '[[copy]]\nsrc = "app"\ndest = "/app"\n')
    said(tiny, capsys)
    assert NOTHING in said(tiny, capsys)
    (tiny.image / "new").symlink_to("two")
    folder = (tiny.image / "app").stat()
    (tiny.image / "new").rename(tiny.image / "app" / "lnk")
    os.utime(tiny.image / "app", ns=(folder.st_atime_ns, folder.st_mtime_ns))
    assert NOTHING not in said(tiny, capsys)


def test_a_layout_is_never_taken_for_whole_unread(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--out", "out/")
    for _ in range(2):
        assert NOTHING not in said(tiny, capsys, *words)
    blob = max((tiny.root / "out" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    expected = blob.read_bytes()
    blob.unlink()
    said(tiny, capsys, *words)
    assert blob.read_bytes() == expected


def test_other_words_or_another_environment_are_another_build(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOTHING not in said(tiny, capsys, "--tag", "other:1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert NOTHING not in said(tiny, capsys)
