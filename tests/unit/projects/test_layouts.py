"""What can be installed of a project is told as its build backend would find it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from oci_builder.projects.folder import find_project
from oci_builder.projects.layouts import has_package

BACKENDS = {
    "poetry": "poetry.core.masonry.api",
    "hatch": "hatchling.build",
    "flit": "flit_core.buildapi",
    "uv": "uv_build",
    "setuptools": "setuptools.build_meta",
    "maturin": "maturin",
}
LAYOUTS = [
    ("hatch", ["my_app/__init__.py"], "", True),
    ("hatch", ["src/my_app/__init__.py"], "", True),
    ("hatch", ["My_App.py"], "", True),
    ("hatch", ["app/__init__.py"], "", False),
    ("hatch", ["app/__init__.py"], '[tool.hatch.build.targets.wheel]\npackages = ["app"]\n', True),
    ("poetry", ["main.py"], "", False),
    ("poetry", ["app/x.py"], '[tool.poetry]\npackages = [{ include = "app" }]\n', True),
    ("uv", ["main.py"], "", False),
    ("uv", [], "", True),
    ("setuptools", ["app/__init__.py"], "", True),
    ("setuptools", ["app/__init__.py", "tests/__init__.py"], "", True),
    ("setuptools", ["app/__init__.py", "models/__init__.py"], "", False),
    ("setuptools", ["src/any/__init__.py"], "", True),
    ("setuptools", ["a/__init__.py", "b/__init__.py", "setup.py"], "", True),
    ("maturin", ["main.py"], "", True),
]


@pytest.mark.parametrize(("backend", "files", "more", "expected"), LAYOUTS)
def test_a_package_is_found_where_the_backend_finds_it(
    tmp_path: Path, backend: str, files: list[str], more: str, expected: bool
) -> None:
    text = f'[project]\nname = "My-App"\nversion = "1"\n[build-system]\nbuild-backend = "{BACKENDS[backend]}"\n{more}'
    (tmp_path / "pyproject.toml").write_text(text)
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert has_package(tomllib.loads(text), tmp_path, "My-App") is expected
    found = find_project(tmp_path)
    assert found is not None and (found.project == ".") is expected


@pytest.mark.parametrize(
    "more",
    ["[tool.uv]\npackage = false\n", "[tool.poetry]\npackage-mode = false\n", "[tool.pdm]\ndistribution = false\n"],
)
def test_a_project_that_its_tool_does_not_install_is_not_built(tmp_path: Path, more: str) -> None:
    text = '[project]\nname = "x"\nversion = "1"\n[build-system]\nbuild-backend = "hatchling.build"\n'
    (tmp_path / "pyproject.toml").write_text(text + more)
    (tmp_path / "x.py").write_text("")
    found = find_project(tmp_path)
    assert found is not None and found.project is None and found.requirements == ("pyproject.toml",)


def test_requirements_and_a_project_whose_commands_are_wanted_are_both_asked_for(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==1\n")
    text = '[project]\nname = "x"\nversion = "1"\n[build-system]\nbuild-backend = "hatchling.build"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "x.py").write_text("")
    found = find_project(tmp_path)
    assert found is not None and (found.requirements, found.project) == (("requirements.txt",), None)
    (tmp_path / "pyproject.toml").write_text(f'{text}[project.scripts]\nx = "x:main"\n')
    found = find_project(tmp_path)
    assert found is not None and (found.requirements, found.project) == (("requirements.txt",), ".")
