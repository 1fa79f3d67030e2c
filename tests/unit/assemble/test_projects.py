"""Folders of projects without a recipe, and locks of other tools that lie beside what a recipe asks for."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from oci_builder.catalog import find_image
from oci_builder.cli import main
from oci_builder.errors import NotFound
from oci_builder.recipes import load_image
from tests.support.projects import make_project
from tests.support.tiny import NAME, Tiny, make_tiny
from tests.support.wheels import sha256
from tests.unit.assemble.test_inputs import packages, recipe


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def wheel_of(tiny: Tiny, name: str) -> tuple[Path, str]:
    (found,) = (path for path in tiny.wheels.glob(f"{name}-*.whl") if path.name.split("-")[0] == name)
    return found, found.name.split("-")[1]


def uv_lock(tiny: Tiny, *names: str, folder: str = ".", more: str = "") -> str:
    """A uv.lock of these wheels, as uv writes it."""
    edges = ", ".join(f'{{ name = "{name}" }}' for name in names)
    text = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n[[package]]\nname = "x"\nversion = "1"\n'
    text += f'source = {{ virtual = "{folder}" }}\ndependencies = [{edges}]\n{more}'
    for name in ("tool", "many"):
        path, version = wheel_of(tiny, name)
        text += f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "https://x.example" }}\n'
        text += f'wheels = [{{ url = "https://x.example/{path.name}", hash = "sha256:{sha256(path)}" }}]\n'
    return text


def poetry_lock(tiny: Tiny, name: str) -> str:
    path, version = wheel_of(tiny, name)
    text = f'[[package]]\nname = "{name}"\nversion = "{version}"\ngroups = ["main"]\n'
    return (
        f'{text}files = [{{file = "{path.name}", hash = "sha256:{sha256(path)}"}}]\n[metadata]\nlock-version = "2.1"\n'
    )


def said(tiny: Tiny, *words: str) -> tuple[int, str]:
    errors = io.StringIO()
    cache = ["--cache-dir", str(tiny.cache), "--project-dir", str(tiny.root)]
    with contextlib.redirect_stderr(errors):
        code = main([*words, *cache])
    return code, errors.getvalue()


PYPROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["tool"]\n'


def test_a_lock_beside_a_pyproject_toml_decides(tiny: Tiny) -> None:
    (tiny.root / "pyproject.toml").write_text(PYPROJECT)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    assert packages(tiny) == ["tool 2.0"]
    (tiny.root / "uv.lock").write_text(uv_lock(tiny, "tool", "many"))
    assert packages(tiny) == ["many 1.0", "tool 2.0"]
    code, text = said(tiny, NAME, "--locked", "--out", str(tiny.out))
    assert (code, "uv.lock decides: 2 packages" in text) == (0, True)


def test_a_lock_is_named_like_requirements_with_its_groups(tiny: Tiny) -> None:
    more = '[package.dev-dependencies]\ndev = [{ name = "many" }]\n'
    (tiny.root / "uv.lock").write_text(uv_lock(tiny, "tool", more=more))
    recipe(tiny, 'requirements = ["../../uv.lock"]')
    assert packages(tiny) == ["tool 2.0"]
    recipe(tiny, 'requirements = ["../../uv.lock"]\ngroups = ["dev"]')
    assert packages(tiny) == ["many 1.0", "tool 2.0"]


def test_the_project_of_a_recipe_has_a_lock_too(tiny: Tiny) -> None:
    make_project(tiny.root / "src", requires=["tool"])
    (tiny.root / "src" / "poetry.lock").write_text(poetry_lock(tiny, "tool"))
    recipe(tiny, 'project = "../../src"')
    assert packages(tiny) == ["app 1.0", "tool 2.0"]


def test_a_member_of_a_workspace_finds_the_lock_above(tiny: Tiny) -> None:
    member = tiny.root / "packages" / "x"
    member.mkdir(parents=True)
    (member / "pyproject.toml").write_text(PYPROJECT)
    (tiny.root / "uv.lock").write_text(uv_lock(tiny, "tool", "many", folder="packages/x"))
    recipe(tiny, 'requirements = ["../../packages/x/pyproject.toml"]')
    assert packages(tiny) == ["many 1.0", "tool 2.0"]


def test_two_locks_that_agree_are_one_and_others_are_refused(tiny: Tiny) -> None:
    (tiny.root / "pyproject.toml").write_text(PYPROJECT)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    (tiny.root / "uv.lock").write_text(uv_lock(tiny, "tool"))
    (tiny.root / "poetry.lock").write_text(poetry_lock(tiny, "tool"))
    assert packages(tiny) == ["tool 2.0"]
    (tiny.root / "poetry.lock").write_text(poetry_lock(tiny, "many"))
    code, text = said(tiny, NAME, "--out", str(tiny.out))
    assert code == 1
    assert "poetry.lock lies with it and says something else: many not at all or 1.0, tool 2.0 or not at all" in text
    # The hint, followed.
    recipe(tiny, 'requirements = ["../../poetry.lock"]')
    assert packages(tiny) == ["many 1.0"]


def test_a_lock_that_is_behind_is_told_of_and_not_held_to(tiny: Tiny) -> None:
    (tiny.root / "pyproject.toml").write_text(PYPROJECT)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    (tiny.root / "uv.lock").write_text(uv_lock(tiny, "many"))
    code, text = said(tiny, NAME, "--out", str(tiny.out))
    assert (code, "uv.lock is behind: pyproject.toml asks for tool" in text) == (0, True)
    code, text = said(tiny, NAME, "--locked", "--out", str(tiny.out))
    assert (code, "bring it up to date: uv lock" in text) == (1, True)
    code, text = said(tiny, "lock", NAME)
    assert (code, "make it anew with the tool that made it: uv lock" in text) == (2, True)


def test_the_lock_of_ocibuild_goes_before_others_and_says_so(tiny: Tiny) -> None:
    (tiny.root / "pyproject.toml").write_text(PYPROJECT)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    assert said(tiny, "lock", NAME)[0] == 0
    (tiny.root / "uv.lock").write_text(uv_lock(tiny, "many"))
    code, text = said(tiny, NAME, "--out", str(tiny.out))
    assert (code, "pylock.toml decides, as ocibuild lock wrote it; uv.lock is not read" in text) == (0, True)
    # It is held to what it was made from, and made anew as ever.
    assert packages(tiny, "--locked") == ["tool 2.0"]
    code, text = said(tiny, "lock", NAME)
    assert (code, text.splitlines()[-1]) == (0, f"{tiny.image}/pylock.toml: unchanged")


FOLDERS = {
    "environment.yml": "conda packages are not wheels",
    "setup.py": "what it needs is known only when it is run",
    "Pipfile": "without Pipfile.lock nothing says which versions are meant",
}


@pytest.mark.parametrize(("file", "why"), FOLDERS.items())
def test_a_folder_that_does_not_say_what_it_needs_gets_a_clear_answer(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, why: str
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / file).touch()
    monkeypatch.chdir(tmp_path / "p")
    code, text = said(tiny, ".")
    assert (code, why in text, "hint: " in text) == (2, True, True)


def test_a_project_is_an_image_without_a_recipe_and_found_from_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    (folder / "below" / "deep").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "uv.lock").touch()
    for place in (folder, folder / "below" / "deep"):
        monkeypatch.chdir(place)
        source = load_image(find_image(".", Path()))
        assert source.folder.resolve() == folder
        assert (source.recipe.name, source.project) == ("x", None)
        assert [path.name for path in source.foreign_locks] == ["uv.lock"]
    (folder / "pyproject.toml").write_text(f"{PYPROJECT}[build-system]\nrequires = []\n")
    assert load_image(find_image(str(folder), Path())).recipe.python.project == "."
    # Not above a checkout.
    (folder / "below" / ".git").mkdir()
    with pytest.raises(NotFound):
        find_image(".", Path())


def test_requirements_that_a_recipe_names_decide_whatever_lies_beside_them(tmp_path: Path) -> None:
    for name in ("requirements.txt", "uv.lock"):
        (tmp_path / name).touch()
    assert load_image(tmp_path).foreign_locks == (tmp_path / "uv.lock",)
    (tmp_path / "image.toml").write_text('[python]\nrequirements = ["requirements.txt"]\n')
    assert load_image(tmp_path).foreign_locks == ()
    (tmp_path / "image.toml").write_text("[python]\n")
    assert load_image(tmp_path).foreign_locks == (tmp_path / "uv.lock",)


def test_what_poetry_asks_for_is_read_where_there_is_no_lock(tiny: Tiny) -> None:
    text = '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\npython = "^3.11"\ntool = "^2.0"\n'
    text += 'many = {version = "~1", optional = true}\n[tool.poetry.extras]\nbig = ["many"]\n'
    (tiny.root / "pyproject.toml").write_text(text)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    assert packages(tiny) == ["tool 2.0"]
    recipe(tiny, 'requirements = ["../../pyproject.toml"]\nextras = ["big"]')
    assert packages(tiny) == ["many 1.0", "tool 2.0"]
