"""Which Python a project asks for: each file that can say so, and those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.projects.python_asked import python_asked

SAID = {
    "pyproject.toml": ('[project]\nname = "x"\nrequires-python = ">=3.10,<3.13"\n', ">=3.10,<3.13"),
    "pyproject.toml of Poetry": ('[tool.poetry.dependencies]\npython = "^3.10"\n', ">=3.10,<4"),
    ".python-version": ("# ours\n\n3.12.4  # exactly\n3.11\n", "==3.12.*"),
    ".python-version of uv": ("cpython-3.13\n", "==3.13.*"),
    "uv.lock": ('version = 1\nrequires-python = ">=3.12"\n[[package]]\nname = "x"\nnot TOML', ">=3.12"),
    "pylock.toml": ('lock-version = "1.0"\nrequires-python = ">=3.11.2,<3.12"\n[[packages]]\n', ">=3.11.2,<3.12"),
    "pylock.other.toml": ('requires-python = "==3.13.*"\n', "==3.13.*"),
    "poetry.lock": ('[[package]]\nname = "x"\n\n[metadata]\npython-versions = ">=3.9"\n', ">=3.9"),
    "pdm.lock": ('[metadata]\n[[metadata.targets]]\nrequires_python = "~=3.12"\n[[package]]\n', "~=3.12"),
    "Pipfile.lock": ('{"_meta": {"requires": {"python_version": "3.9"}}}', "==3.9.*"),
}
UNSAID = {
    "pyproject.toml": "[project\n",
    "pyproject.toml of nobody": "[project]\nrequires-python = 3\n",
    "pyproject.toml of a list": "project = [1]\n",
    "pyproject.toml of no specifier": '[project]\nrequires-python = "three"\n',
    "pyproject.toml of alternatives": '[tool.poetry.dependencies]\npython = "^2.7 || ^3.9"\n',
    ".python-version": "pypy3.10\n",
    ".python-version of free threads": "3.13t\n",
    ".python-version of a name": "miniconda3-4.7.12\n",
    ".python-version of nothing": "\n",
    "uv.lock": "\0",
    "poetry.lock": "[metadata]\npython-versions = []\n",
    "pdm.lock": '[[metadata.targets]]\nrequires_python = ">=3.9"\n[[metadata.targets]]\nrequires_python = ">=3.8"\n',
    "Pipfile.lock": "[" * 100_000,
}


def asked(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name.partition(" ")[0]
    path.write_text(text)
    locks = [path] if "lock" in path.name else []
    return [each.specifier for each in python_asked([folder], locks)]


@pytest.mark.parametrize("name", SAID)
def test_every_file_that_can_say_it_is_heard(name: str, tmp_path: Path) -> None:
    text, specifier = SAID[name]
    (found,) = asked(tmp_path, name, text)
    assert set(found.replace(" ", "").split(",")) == set(specifier.split(","))


@pytest.mark.parametrize("name", UNSAID)
def test_what_cannot_be_read_says_nothing(name: str, tmp_path: Path) -> None:
    assert asked(tmp_path, name, UNSAID[name]) == []


def test_all_are_heard_once_with_their_words(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SAID["pyproject.toml"][0])
    (tmp_path / ".python-version").write_text("3.12\n")
    found = python_asked([tmp_path, tmp_path], [])
    assert [each.said for each in found] == [
        "requires-python >=3.10,<3.13 in pyproject.toml",
        "3.12 in .python-version",
    ]
