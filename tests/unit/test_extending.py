"""Recipes over others."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import OcibuildError
from oci_builder.recipes import ImageSource, load_image


def write(root: Path, **recipes: str) -> None:
    for name, text in recipes.items():
        (root / "build" / name).mkdir(parents=True)
        (root / "build" / name / "image.toml").write_text(text)


COMMON = """
name = "common"
version = "9"
base = "../../layers/ours"
max-size = "1GB"
[python]
requirements = ["requirements.txt"]
find-links = ["wheels", "https://example.org/simple"]
bytecode = "none"
[config]
env = { A = "common", B = "common" }
[[copy]]
src = "files"
dest = "/common"
"""
APP = """
extends = "../common/image.toml"
max-size = "2GB"
[config]
env = { B = "app" }
workdir = "/srv"
[[copy]]
src = "src"
dest = "/srv"
"""


def loaded(root: Path, name: str = "app") -> ImageSource:
    return load_image(root / "build" / name)


def test_what_the_nearer_one_says_holds_and_the_rest_is_the_others(tmp_path: Path) -> None:
    write(tmp_path, common=COMMON, app=APP)
    (tmp_path / "build" / "common" / "requirements.txt").write_text("")
    recipe = loaded(tmp_path).recipe
    assert (recipe.name, recipe.version, recipe.max_size) == ("app", None, "2GB")
    assert recipe.base == "../../layers/ours"
    assert recipe.config.env == {"A": "common", "B": "app"} and recipe.config.workdir == "/srv"
    assert recipe.python.requirements == ("../common/requirements.txt",) and recipe.python.bytecode == "none"
    assert recipe.python.find_links == ("../common/wheels", "https://example.org/simple")
    assert [(copy.src, copy.dest) for copy in recipe.copy] == [("../common/files", "/common"), ("src", "/srv")]


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ('base-packages = ["git"]', '[base-packages]\nkeep = ["x/*"]'),
        ('[base-packages]\npackages = ["curl"]\nkeep = ["x/*"]', 'base-packages = ["git"]'),
    ],
)
def test_packages_as_a_list_and_as_a_table_are_laid_over_each_other(tmp_path: Path, below: str, above: str) -> None:
    write(tmp_path, common=below, app=f'extends = "../common/image.toml"\n{above}')
    found = load_image(tmp_path / "build" / "app").recipe.debian
    assert (found.packages, found.keep) == (("git",), ("x/*",))


def test_one_extends_another_that_extends_a_third(tmp_path: Path) -> None:
    write(
        tmp_path,
        common=COMMON,
        middle='extends = "../common/image.toml"\n[config]\nenv = { C = "middle", A = "middle" }\n',
        app='extends = "../middle/image.toml"\n[config]\nenv = { A = "app" }\n',
    )
    (tmp_path / "build" / "common" / "requirements.txt").write_text("")
    recipe = loaded(tmp_path).recipe
    assert recipe.config.env == {"A": "app", "B": "common", "C": "middle"}
    assert recipe.copy[0].src == "../common/files"


@pytest.mark.parametrize(
    ("recipes", "said"),
    [
        ({"app": 'extends = "../gone/image.toml"\n'}, "extends: there is no file"),
        ({"app": 'extends = "image.toml"\n'}, "in its turn"),
        ({"app": 'extends = "../b/image.toml"\n', "b": 'extends = "../app/image.toml"\n'}, "in its turn"),
        ({"app": 'extends = "../b/image.toml"\n', "b": "nonsense = 1\n"}, r"b/image\.toml:1: nonsense: unknown key"),
        ({"app": 'extends = "../../../x.toml"\n'}, "leads out of the project"),
        ({"app": 'extends = "/etc/x.toml"\n'}, "extends: expected"),
        (
            {"app": 'extends = "../n0/image.toml"\n'}
            | {f"n{number}": f'extends = "../n{number + 1}/image.toml"\n' for number in range(20)},
            "more than 8 deep",
        ),
    ],
)
def test_what_cannot_be_extended_is_named(tmp_path: Path, recipes: dict[str, str], said: str) -> None:
    (tmp_path / "x.toml").write_text("")
    write(tmp_path / "project", **recipes)
    with pytest.raises(OcibuildError, match=said):
        loaded(tmp_path / "project")
