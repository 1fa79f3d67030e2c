"""A named pipe wherever a file is expected: it is refused by its name, or let be, and nobody waits for its writer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.tiny import NAME, Tiny, build, make_tiny

SECONDS = 100


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project with a lock."""
    tiny = make_tiny(tmp_path / "project")
    tiny.lock()
    return tiny


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Fail what waits."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for whoever would write to the pipe"))
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)


def piped(path: Path) -> Path:
    """A pipe in place of ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def recipe(tiny: Tiny, text: str) -> None:
    with (tiny.image / "image.toml").open("a") as stream:
        stream.write(text)


def make_included(tiny: Tiny, option: str) -> Path:
    tiny.require("whole==3.0", f"{option} more.txt")
    return piped(tiny.image / "more.txt")


def make_unlocked_wheel(tiny: Tiny) -> Path:
    tiny.require("many")
    return make_wheel(tiny)


def make_wheel(tiny: Tiny) -> Path:
    return piped(tiny.wheels / "many-1.0-py3-none-any.whl")


def make_copy(tiny: Tiny) -> Path:
    recipe(tiny, '[[copy]]\nsrc = "app"\ndest = "/app"\n')
    return piped(tiny.image / "app" / "pipe")


REFUSED: dict[str, Callable[[Tiny], Path]] = {
    "the recipe": lambda tiny: piped(tiny.image / "image.toml"),
    "the requirements": lambda tiny: piped(tiny.image / "requirements.txt"),
    "included requirements": lambda tiny: make_included(tiny, "-r"),
    "constraints": lambda tiny: make_included(tiny, "-c"),
    "the lock": lambda tiny: piped(tiny.image / "pylock.toml"),
    "a wheel of the lock": make_wheel,
    "a wheel that pip would choose": make_unlocked_wheel,
    "a package": lambda tiny: piped(min(tiny.debs.iterdir())),
    "the base's lock": lambda tiny: piped(tiny.base / "lock.amd64.json"),
    "a copied file": make_copy,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_a_pipe_in_place_of_an_input_is_named(tiny: Tiny, make: Callable[[Tiny], Path]) -> None:
    pipe = make(tiny)
    ending = build(tiny)
    assert ending.code in (1, 2)
    assert pipe.name in ending.said and "internal error" not in ending.said
    assert pipe.is_fifo()


FLAGS = {
    "--sbom": "bill.cdx.json",
    "--requirement": "more.txt",
    "--base": "base.tar",
}


@pytest.mark.parametrize(("flag", "name"), FLAGS.items())
def test_a_pipe_that_a_flag_names_is_refused(tiny: Tiny, flag: str, name: str) -> None:
    pipe = piped(tiny.root / name)
    ending = build(tiny, flag, str(pipe))
    assert ending.code in (1, 2)
    assert name in ending.said and "internal error" not in ending.said


def test_certificates_that_are_a_pipe_are_refused(tiny: Tiny) -> None:
    pipe = piped(tiny.root / "ca.pem")
    ending = build(tiny, "--ca-file", str(pipe), "--push", "localhost:1/app:1")
    assert (ending.code, "ca.pem: no certificates" in ending.said) == (1, True)


def test_pipes_in_place_of_all_that_is_kept_are_as_good_as_nothing(tiny: Tiny) -> None:
    assert build(tiny).code == 0
    expected = tiny.out.read_bytes()
    tiny.out.unlink()
    layout = tiny.cache / "v1"
    for path in [*(layout / "blobs" / "sha256").iterdir(), *(layout / "records").rglob("*.json")]:
        piped(path)
    piped(layout / "tmp" / "1-0123456789abcdef")
    ending = build(tiny)
    assert ending.code == 0, ending.said
    assert tiny.out.read_bytes() == expected
    for verb in ("info", "verify", "prune", "clear"):
        assert main(["cache", verb, "--cache-dir", str(tiny.cache)]) == 0


def test_pipes_in_a_layout_are_named(tiny: Tiny) -> None:
    folder = tiny.root / "layout"
    words = ["build", NAME, "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--out", f"{folder}/"]
    for piped_name in ("index.json", "blobs/sha256"):
        assert main(words) == 0
        place = folder / piped_name
        for path in [place] if place.is_file() else list(place.iterdir()):
            piped(path)
        assert main(words) == 1
        assert main(["verify", str(folder), "--cache-dir", str(tiny.cache)]) == 3
        shutil.rmtree(folder)
