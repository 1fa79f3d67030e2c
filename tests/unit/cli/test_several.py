"""Several images in one command: what they share is made once, and one that fails stops no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.verify.verify import verify_file
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.tiny import IMAGE, NAME, Tiny, make_tiny
from tests.support.wheels import make_wheel

OTHER = "other"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Two images that share all their wheels but one."""
    tiny = make_tiny(tmp_path / "project")
    folder = tiny.root / "build" / OTHER
    shutil.copytree(tiny.image, folder)
    (folder / "image.toml").write_text(IMAGE + '[layering]\nstrategy = "each"\n')
    (tiny.image / "image.toml").write_text(IMAGE + '[layering]\nstrategy = "each"\n')
    return tiny


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def run(tiny: Tiny, verb: str, *words: object) -> int:
    places = ("--project-dir", tiny.root, "--cache-dir", tiny.cache, "--progress", "plain")
    return main([str(word) for word in (verb, *words, *places)])


def layers_of(tiny: Tiny, capsys: pytest.CaptureFixture[str], *words: object) -> list[Any]:
    capsys.readouterr()
    assert run(tiny, "plan", *words, "--json") == 0
    found: list[Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_is_what_it_is_when_it_is_built_alone(tiny: Tiny, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    for name in (NAME, OTHER):
        assert run(tiny, "build", name, "--out-dir", alone) == 0
    tiny.forget()
    assert run(tiny, "build", "--all", "--out-dir", together) == 0
    for name in (NAME, OTHER):
        assert (together / f"{name}.tar").read_bytes() == (alone / f"{name}.tar").read_bytes()
        assert verify_file(together / f"{name}.tar").findings == ()


def test_what_two_images_share_is_made_once(tiny: Tiny, tmp_path: Path) -> None:
    assert run(tiny, "build", NAME, OTHER, "--out", tmp_path / "{name}.tar") == 0
    made = [path.stat().st_ino for path in (tiny.cache / "v1" / "records" / "layer").iterdir()]
    # The base, a layer for each of three wheels, and that of the user with what is copied.
    assert len(made) == 5


def test_one_that_fails_is_named_and_stops_no_other(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lies = tiny.root / "build" / OTHER / "wheels"
    (next(lies.glob("tool-*"))).unlink()
    make_wheel(lies, "tool", "2.0", files={"tool.py": b"1"}, record_lies={"tool.py": "tool.py,sha256=x,1"})
    (tiny.root / "build" / OTHER / "pylock.toml").unlink()
    code = run(tiny, "build", NAME, OTHER, "--out-dir", tmp_path)
    said = capsys.readouterr().err
    assert code == 1
    assert f"1 of 2 images were not made: {OTHER}" in said and "tool" in said
    assert verify_file(tmp_path / f"{NAME}.tar").findings == () and not (tmp_path / f"{OTHER}.tar").exists()


def test_names_are_filled_into_what_is_pushed(tiny: Tiny, registry: FakeRegistry) -> None:
    assert run(tiny, "build", "--all", "--push", f"{registry.host}/team/{{name}}:1") == 0
    assert {f"team/{name}:1" for name in (NAME, OTHER)} <= registry.manifests.keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([NAME, OTHER, "--out", "x.tar"], "2 images need {name} in it"),
        ([NAME, OTHER, "--push", "r.example/x:1"], "2 images need {name} in it"),
        ([NAME, OTHER, "--tag", "x:1"], "2 images cannot have one name"),
        ([NAME, "--all"], "leave out the names"),
        ([], "which image?"),
        ([NAME, "--out", "x.tar", "--out-dir", "."], "exclude each other"),
        ([NAME, "--out-dir", "nowhere"], "there is no such folder"),
    ],
)
def test_words_that_would_write_several_to_one_place_do_not_fit(
    tiny: Tiny, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "build", *words) == 2
    assert said in capsys.readouterr().err


def test_a_second_build_of_several_has_nothing_to_do(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny.root)
    words = ["build", "--all", "--out-dir", str(tmp_path), "--cache-dir", str(tiny.cache)]
    # The first one makes the base's folder what it is afterwards.
    assert [main(words) for _ in range(3)] == [0, 0, 0]
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().err.count("nothing to do") == 2


def test_a_plan_makes_nothing_and_says_what_a_build_would(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = layers_of(tiny, capsys, NAME)
    assert not found["base"]["there"] and not tiny.out.exists()
    assert not (tiny.cache / "v1" / "records" / "layer").exists()
    assert run(tiny, "build", NAME, "--out", tiny.out) == 0
    (found,) = layers_of(tiny, capsys, NAME)
    assert found["base"]["there"] and all(layer["there"] for layer in found["layers"]) and found["fetch"] == 0


def test_a_plan_names_the_input_that_moved_and_what_it_takes(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tiny, "build", NAME, "--out", tiny.out) == 0
    (tiny.wheels / "many-1.0-py3-none-any.whl").unlink()
    make_wheel(tiny.wheels, "many", "1.1", files={"many/__init__.py": ""})
    tiny.lock()
    (found,) = layers_of(tiny, capsys, NAME)
    moved = [layer for layer in found["layers"] if not layer["there"]]
    assert [(layer["label"], layer["why"]) for layer in moved] == [("many 1.1", ["many 1.0 is now 1.1"])]
    assert moved[0]["seconds"] is not None
    assert moved[0]["fetch"] == (tiny.wheels / "many-1.1-py3-none-any.whl").stat().st_size


def test_a_plan_says_which_files_are_not_as_the_last_build_read_them(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert layers_of(tiny, capsys, NAME)[0]["moved"] is None
    # The first one makes the base's folder what it is afterwards.
    for _ in range(2):
        assert run(tiny, "build", NAME, "--out", tiny.out) == 0
        tiny.out.unlink()
    assert layers_of(tiny, capsys, NAME)[0]["moved"] == []
    (tiny.wheels / "many-1.0-py3-none-any.whl").unlink()
    make_wheel(tiny.wheels, "many", "1.1", files={"many/__init__.py": ""})
    tiny.lock()
    moved = layers_of(tiny, capsys, NAME)[0]["moved"]
    lock = f"{tiny.image.relative_to(tiny.root)}/pylock.toml"
    assert f"{lock} has changed" in moved
    assert all(tiny.image.name in each for each in moved)
    assert run(tiny, "plan", NAME) == 0
    assert f"since the last build: {lock} has changed" in capsys.readouterr().out
