"""Lines that are no requirements, and what their hints say to write: that is a requirement."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from oci_builder.errors import RecipeError
from oci_builder.wheels.requirements import read
from oci_builder.wheels.slips import hint_of_line, hint_of_name, hint_of_version


def refused(tmp_path: Path, line: str) -> RecipeError:
    file = tmp_path / "requirements.txt"
    file.write_text(f"{line}\n")
    with pytest.raises(RecipeError) as caught:
        read([file], environ={})
    return caught.value


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("numpy pandas", "in a line of its own"),
        ("numpy, pandas", "in a line of its own"),
        ("numpy==1.2 pandas==2", "in a line of its own"),
        ("numpy==${VERSION}", "is not set"),
        ("numpy==$VERSION", "written as ${NAME}"),
        ("numpy==${version}", "written as ${NAME}"),
        ("numpy^3", "NAME>=3,<4"),
        ("numpy = ^3", "NAME>=3,<4"),
        ("numpy=>1", "`>=`"),
        ("numpy=1.2", "`==`"),
        ("numpy~>1.2", "`~=`"),
        ("numpy==latest", "the name alone"),
        ("numpy@1.2", "NAME==VERSION"),
        ("numpy 1.2", "NAME==VERSION"),
        ("numpy==1.x", "NAME==1.2.*"),
        ("numpy>=1 <2", "a comma between"),
        ('numpy=="1.2"', "take the quotes away"),
        ('"numpy"', "take the quotes"),
        ("“numpy”", "straight quotes"),
        ("numpy\u00a0==1", "type the line anew"),
        ("numpy;", "semicolon"),
        ("numpy,", "comma"),
        ("numpy; python_version < 3.8", 'python_version < "3.12"'),
        ("// numpy", "behind a #"),
        ("numpy // it counts", "behind a #"),
        ("pip install numpy", "leave the command out"),
        ("python -m pip install numpy", "leave the command out"),
        ("import numpy", "this is Python"),
        ("dependencies:", "conda"),
        ("  - numpy=1.2", "take the dash away"),
        ("[packages]", "another tool's file"),
        ('["numpy", "pandas"]', "JSON"),
        ('"numpy": "1.2"', "JSON"),
        ("numpy/1.2", "a requirement a line"),
        ("--what 1", "taken are -r"),
        ("--index-url=foo", "--index-url https://…/simple"),
        ("--extra-index-url example.org/simple", "--extra-index-url https://…/simple"),
        ("numpy>=3,<2", "let the ranges overlap"),
        ("python==3.11", 'base = "python-3.11"'),
    ],
)
def test_a_slip_is_told_from_its_form(tmp_path: Path, line: str, hint: str) -> None:
    error = refused(tmp_path, line)
    assert error.line == 1
    assert hint in str(error.hint)


@pytest.mark.parametrize("line", ["TOKEN=hunter2", "hunter2 hunter2", '"hunter2": "hunter2"', "hunter2==hunter2"])
def test_nothing_of_a_line_is_shown(tmp_path: Path, line: str) -> None:
    error = refused(tmp_path, line)
    assert "hunter2" not in f"{error} {error.hint}"


@pytest.mark.parametrize("text", ["numpy>=1,<=1", "numpy>=1,<2", "numpy==1.*,==1.2", "numpy!=1", "numpy>1", "numpy"])
def test_a_range_with_something_in_it_is_taken(tmp_path: Path, text: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"{text}\n")
    assert [line.name for line in read([file], environ={}).lines] == [Requirement(text).name]


@pytest.mark.parametrize("text", ["a" * 4000, "a " * 2000, "a," * 2000, "a=" * 2000, "- " * 2000, "a;" * 2000])
def test_a_long_line_is_looked_at_in_short(text: str) -> None:
    assert hint_of_line(text)


def test_names_of_modules_are_told_from_those_of_distributions() -> None:
    assert "scikit-learn" in str(hint_of_name("sklearn"))
    assert "python3-tk" in str(hint_of_name("tkinter"))
    assert "standard library" in str(hint_of_name("sqlite3"))
    assert hint_of_name("numpy") is None


def test_versions_with_a_plus_are_on_an_index_of_their_own() -> None:
    assert "--extra-index-url" in str(hint_of_version("==2.4.0+cpu"))
    assert hint_of_version("==2.4.0") is None
