"""What is refused for its size is taken where somebody says that it is right: the words of the refusal, followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.tree import limits
from tests.support.archives import make_tar
from tests.support.imported import config_of, files, save_layout
from tests.support.tiny import NAME, Tiny, make_tiny

MANY = 300

LIMITS = {
    "max-entries": (limits.Limits(entries=100), "1000"),
    "max-unpacked": (limits.Limits(unpacked=100_000), "10MB"),
    "max-unpacked, for what is packed": (limits.Limits(ratio=2, unsuspected=1000), "10MB"),
}


@pytest.fixture(params=LIMITS)
def raised(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """What raises a limit, and to what; images may have less than usual, what exactly decides nothing here."""
    usual, value = LIMITS[request.param]
    token = limits._RAISED.set(usual)
    yield request.param.partition(",")[0], value
    limits._RAISED.reset(token)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    layer = make_tar(*files(*((f"srv/{number}", b"") for number in range(MANY))))
    return save_layout(tmp_path / "image", [layer], config_of([layer]))


@pytest.mark.parametrize("verb", ["inspect", "tree", "sbom", "verify"])
def test_a_large_image_is_looked_at_when_the_option_of_the_refusal_is_given(
    image: Path, raised: tuple[str, str], verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(image)]) != 0
    assert f"--{raised[0]}" in capsys.readouterr().err
    assert main([verb, str(image), f"--{raised[0]}", raised[1]]) == 0


def test_two_large_images_are_compared_when_the_option_of_the_refusal_is_given(
    image: Path, raised: tuple[str, str]
) -> None:
    assert main(["diff", str(image), str(image)]) != 0
    assert main(["diff", str(image), str(image), f"--{raised[0]}", raised[1]]) == 0


def test_a_large_base_is_built_upon_and_verified_when_the_key_of_the_refusal_is_written(
    image: Path, raised: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, value = raised
    tiny: Tiny = make_tiny(tmp_path / "project")
    recipe = tiny.image / "image.toml"
    text = f'base = "{image}"\n[config]\ncmd = ["/srv/1"]\n[python]\nrequirements = []\n'
    recipe.write_text(text)
    (tiny.image / "pylock.toml").unlink()
    words = ["build", NAME, "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--out", str(tiny.out)]
    assert main(words) == 1
    assert f"{key} in image.toml" in capsys.readouterr().err
    recipe.write_text(f"{key} = {value if value.isdigit() else repr(value)}\n{text}")
    # An empty file is no program, as the gate says.
    allowed = '[[checks.allow]]\nsubject = "*"\nreason = "nobody starts it"\n'
    recipe.write_text(recipe.read_text() + allowed)
    assert main([*words, "--verify"]) == 0, capsys.readouterr().err
