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


@pytest.fixture(autouse=True)
def few() -> Iterator[None]:
    """Images have fewer entries than usual: what the limit is decides nothing here."""
    token = limits._RAISED.set(limits.Limits(entries=100))
    yield
    limits._RAISED.reset(token)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    layer = make_tar(*files(*((f"srv/{number}", b"") for number in range(MANY))))
    return save_layout(tmp_path / "image", [layer], config_of([layer]))


@pytest.mark.parametrize("verb", ["inspect", "tree", "sbom", "verify"])
def test_a_large_image_is_looked_at_when_the_option_of_the_refusal_is_given(
    image: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(image)]) != 0
    assert "--max-entries" in capsys.readouterr().err
    assert main([verb, str(image), "--max-entries", "1000"]) == 0


def test_a_large_base_is_built_upon_when_the_key_of_the_refusal_is_written(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny: Tiny = make_tiny(tmp_path / "project")
    recipe = tiny.image / "image.toml"
    text = f'base = "{image}"\n[config]\ncmd = ["/srv/1"]\n[python]\nrequirements = []\n'
    recipe.write_text(text)
    (tiny.image / "pylock.toml").unlink()
    words = ["build", NAME, "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--out", str(tiny.out)]
    assert main(words) == 1
    assert "max-entries in image.toml" in capsys.readouterr().err
    recipe.write_text(f"max-entries = 1000\n{text}")
    assert main(words) in (0, 3)  # an empty file is no program, as the gate says
    assert "max-entries" not in capsys.readouterr().err
