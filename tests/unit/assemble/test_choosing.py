"""The base of a recipe that names none: by what the project asks for, what was locked, and what is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.assemble.choosing import with_base
from oci_builder.errors import RecipeError
from oci_builder.recipes import ImageSource, Overrides, load_image, with_overrides
from tests.support.tiny import CHECKOUT, IMAGE, build, make_tiny

HUB = "docker.io/library/python"


def project(folder: Path, requires: str, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = f'[project]\nname = "demo"\nversion = "1"\nrequires-python = "{requires}"\n'
    (folder / "pyproject.toml").write_text(text)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def chosen(folder: Path, layers: tuple[Path, ...] = (CHECKOUT / "layers",)) -> ImageSource:
    return with_base(load_image(folder), project_dir=folder, extra=layers)


@pytest.mark.parametrize(
    ("requires", "base"),
    [
        (">=3.9", "python-3.13"),
        (">=3.11,<3.13", "python-3.11"),
        (">=3.12,<3.13", f"{HUB}:3.12-slim"),
        (">=3.11.5,<3.12", f"{HUB}:3.11-slim"),
        ("==3.10.*", f"{HUB}:3.10-slim"),
        (">=3.14", f"{HUB}:3.14-slim"),
        ("<3.9,>=3.8", f"{HUB}:3.8-slim"),
    ],
)
def test_the_newest_that_fits_is_taken_from_layers_first(requires: str, base: str, tmp_path: Path) -> None:
    source = chosen(project(tmp_path / "p", requires))
    assert source.recipe.base == base
    assert requires in source.base_said or base == "python-3.11"


def test_what_the_recipe_or_the_command_line_names_is_the_base(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", ">=3.12")
    (folder / "image.toml").write_text('base = "python-3.11"\n[python]\nproject = "."\n')
    assert chosen(folder).recipe.base == "python-3.11" and chosen(folder).base_said == ""
    (folder / "image.toml").write_text('[python]\nrequirements = ["pyproject.toml"]\n')
    assert chosen(folder).recipe.base == "python-3.13"
    source = load_image(folder)
    named = with_overrides(source.recipe, Overrides(base="python-3.11", tags=["demo:1"]))
    source = ImageSource(source.folder, named, source.within, source.beside)
    assert with_base(source, project_dir=folder, extra=()).recipe.base == "python-3.11"
    tagged = with_overrides(load_image(folder).recipe, Overrides(tags=["demo:1"]))
    source = ImageSource(source.folder, tagged, source.within, source.beside)
    assert with_base(source, project_dir=folder, extra=()).recipe.base == "python-3.13"


def test_a_recipe_in_build_hears_its_project(tmp_path: Path) -> None:
    root = project(tmp_path / "p", ">=3.9")
    (root / ".python-version").write_text("3.12\n")
    folder = root / "build" / "app"
    folder.mkdir(parents=True)
    (folder / "image.toml").write_text('[python]\nproject = "../.."\n')
    assert chosen(folder).recipe.base == f"{HUB}:3.12-slim"


def test_without_a_word_of_it_the_base_is_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    source = chosen(tmp_path)
    assert source.recipe.base == "python-3.11" and source.base_said == ""


def test_what_was_locked_stays_as_long_as_the_project_lets_it(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", ">=3.9")
    (folder / "pylock.toml").write_text('lock-version = "1.0"\nrequires-python = ">=3.11.2,<3.12"\n')
    assert chosen(folder).recipe.base == "python-3.11"
    project(folder, ">=3.13")
    assert chosen(folder).recipe.base == "python-3.13"


def test_a_lock_of_another_tool_decides_with_the_project(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", ">=3.9")
    (folder / "uv.lock").write_text('version = 1\nrequires-python = ">=3.12, <3.13"\n')
    assert chosen(folder).recipe.base == f"{HUB}:3.12-slim"


@pytest.mark.parametrize(
    ("requires", "version", "said"),
    [
        (">=3.11", "3.10\n", "no Python is all that is asked for: requires-python >=3.11 in pyproject.toml and 3.10"),
        (">=3.20", "", "no base that is known has a Python for requires-python >=3.20 in pyproject.toml"),
    ],
)
def test_what_nothing_fits_is_an_error_that_names_who_asks(
    requires: str, version: str, said: str, tmp_path: Path
) -> None:
    folder = project(tmp_path / "p", requires)
    (folder / ".python-version").write_text(version)
    with pytest.raises(RecipeError, match=said.replace(".", r"\.")):
        chosen(folder)


def test_a_base_of_another_name_is_taken_by_its_name_alone(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", ">=3.12")
    layers = folder / "layers" / "special"
    layers.mkdir(parents=True)
    (layers / "layer.toml").write_bytes((CHECKOUT / "layers/python-3.13/layer.toml").read_bytes())
    assert chosen(folder).recipe.base == "python-3.13"


def test_a_base_that_is_named_and_does_not_fit_is_an_error_with_one_that_does(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    project(tiny.image, ">=3.11.5")
    (tiny.image / "image.toml").write_text(IMAGE.replace("requirements.txt", "pyproject.toml"))
    ending = build(tiny)
    assert ending.code == 2
    assert "requires-python >=3.11.5 in pyproject.toml, and the base has Python 3.11.2" in ending.said
    assert f'base = "{HUB}:3.11-slim" in image.toml' in ending.said
