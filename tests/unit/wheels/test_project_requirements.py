"""Requirements out of a pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import NotFound, RecipeError, UnsupportedRequirement
from oci_builder.wheels.project_requirements import build_requires, read_groups, read_pyproject
from oci_builder.wheels.requirements import fingerprint, scan

TEXT = """\
[project]
name = "My.App"
version = "1"
dependencies = [
  "idna >= 3",
  'six; python_version < "4"',
]
[project.optional-dependencies]
web = ["flask[async]"]
"CLI_tools" = ["click"]
all = ["my-app[web,cli-tools]"]
[dependency-groups]
test = ["pytest", {include-group = "lint"}]
lint = ["ruff"]
"""


@pytest.fixture
def pyproject(tmp_path: Path) -> Path:
    path = tmp_path / "pyproject.toml"
    path.write_text(TEXT)
    return path


def texts(lines: tuple[tuple[int, str], ...]) -> list[str]:
    return [text for _, text in lines]


def test_dependencies_are_requirements_with_their_lines(pyproject: Path) -> None:
    assert read_pyproject(pyproject).lines == ((5, "idna >= 3"), (6, 'six; python_version < "4"'))


def test_an_extra_adds_its_own_whatever_way_its_name_is_spelt(pyproject: Path) -> None:
    found = texts(read_pyproject(pyproject, extras=["cli-tools", "WEB"]).lines)
    assert found == ["idna >= 3", 'six; python_version < "4"', "click", "flask[async]"]


def test_an_extra_may_be_made_of_the_projects_others(pyproject: Path) -> None:
    found = texts(read_pyproject(pyproject, extras=["all"]).lines)
    assert found[2:] == ["click", "flask[async]"]


def test_a_group_adds_those_it_includes(pyproject: Path) -> None:
    assert texts(read_pyproject(pyproject, groups=["test"]).lines)[2:] == ["pytest", "ruff"]
    assert texts(read_groups(pyproject, ["lint"]).lines) == ["ruff"]


def test_a_file_of_groups_alone_needs_no_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\nrun = ["idna"]\n')
    assert texts(read_pyproject(tmp_path / "pyproject.toml", groups=["run"]).lines) == ["idna"]


def test_a_lock_watches_what_is_listed_and_not_how_it_is_laid_out(pyproject: Path) -> None:
    before = fingerprint(scan([read_pyproject(pyproject)]))
    pyproject.write_text(f"# a comment\n{TEXT}")
    assert fingerprint(scan([read_pyproject(pyproject)])) == before
    assert fingerprint(scan([read_pyproject(pyproject, extras=["web"])])) != before


@pytest.mark.parametrize(
    ("text", "extras", "groups", "said"),
    [
        ("x =", [], [], "not TOML"),
        ("", [], [], "project: there is no such table"),
        ('[project]\ndynamic = ["dependencies"]\n', [], [], "project.dependencies: it is dynamic"),
        ('[project]\ndependencies = "idna"\n', [], [], "project.dependencies: expected a list"),
        (
            '[project]\ndependencies = ["idna", "a b"]\n',
            [],
            [],
            r"project.dependencies\[1\]: 'a b' is not a requirement",
        ),
        ("[project]\ndependencies = [1]\n", [], [], r"project.dependencies\[0\]: 1 is not a requirement"),
        (TEXT, ["gui"], [], "gui: no such name; there are all, cli-tools, web"),
        (TEXT, [], ["docs"], "dependency-groups.docs: no such name; there are lint, test"),
        ("[project]\n", [], ["docs"], "no such name; there is none"),
        ('[project]\n[dependency-groups]\na = [{include-group = "a"}]\n', [], ["a"], "includes itself: a → a"),
        ("[project]\n[dependency-groups]\na = [{other = 1}]\n", [], ["a"], "is not a requirement"),
        ("[project]\n[dependency-groups]\na = 1\n", [], ["a"], "dependency-groups: expected a table of lists"),
    ],
)
def test_what_does_not_serve_is_named(
    tmp_path: Path, text: str, extras: list[str], groups: list[str], said: str
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=said):
        read_pyproject(path, extras=extras, groups=groups)


def test_a_dependency_that_is_no_wheel_is_refused_with_its_line(pyproject: Path) -> None:
    pyproject.write_text('[project]\ndependencies = [\n"x @ git+https://files.example/x"]\n')
    with pytest.raises(UnsupportedRequirement, match=r"pyproject\.toml:3: .*version control"):
        scan([read_pyproject(pyproject)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"pyproject\.toml"):
        read_pyproject(tmp_path / "pyproject.toml")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ("setuptools",)),
        ("[build-system]\n", ("setuptools",)),
        ('[build-system]\nrequires = ["hatchling>=1", "a"]\n', ("a", "hatchling>=1")),
    ],
)
def test_what_builds_a_project_is_known(tmp_path: Path, text: str, wanted: tuple[str, ...]) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert build_requires(tmp_path / "pyproject.toml") == wanted
    assert build_requires(tmp_path / "nowhere.toml") == ("setuptools",)


@pytest.mark.parametrize("text", ['[build-system]\nrequires = "x"\n', '[build-system]\nrequires = ["--index-url=x"]\n'])
def test_a_build_system_that_is_no_list_of_requirements_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"build-system\.requires"):
        build_requires(tmp_path / "pyproject.toml")


def test_groups_that_double_or_lie_deep_end(tmp_path: Path) -> None:
    doubling = [f'g{n} = [{{include-group = "g{n + 1}"}}, {{include-group = "g{n + 1}"}}]' for n in range(30)]
    deep = [f'g{n} = [{{include-group = "g{n + 1}"}}]' for n in range(2000)]
    for lines, last, why in ((doubling, 30, "more than 20000 requirements"), (deep, 2000, "more than 40 deep")):
        file = tmp_path / "pyproject.toml"
        file.write_text("\n".join(["[dependency-groups]", *lines, f'g{last} = ["a"]', ""]))
        with pytest.raises(RecipeError, match=why):
            read_groups(file, ["g0"])
