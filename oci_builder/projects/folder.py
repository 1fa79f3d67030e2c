"""A folder of somebody's project: which locks lie in it, and what it is where nobody wrote a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_builder import inputs
from oci_builder.bounded import load_toml
from oci_builder.errors import RecipeError
from oci_builder.files import open_regular
from oci_builder.projects.packages import TOOLS

PYPROJECT, REQUIREMENTS = "pyproject.toml", "requirements.txt"
LIMIT = 4 << 20
"""Bytes of a pyproject.toml that are read."""

MARKS = (PYPROJECT, *TOOLS)
"""What makes a folder the project of somebody, besides requirements.txt and image.toml."""

_CONDA = ("environment.yml", "environment.yaml")
OTHERS = ("Pipfile", "setup.py", *_CONDA)
"""What looks like a project, and does not say what it needs in a way that can be read."""

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class FoundProject:
    """What a folder without a recipe comes to: the keys of a recipe that are not the usual ones."""

    name: str = ""
    requirements: tuple[str, ...] = ()
    project: str | None = None


def locks_beside(folder: Path) -> tuple[Path, ...]:
    """The locks of other tools in ``folder``, in the order in which they are looked for."""
    return tuple(folder / name for name in TOOLS if inputs.is_file(folder / name))


def find_project(folder: Path) -> FoundProject | None:
    """What ``folder`` asks for; None where it is nobody's project.

    A lock decides before requirements.txt, and that before what pyproject.toml asks for. Raises RecipeError for what
    does not say what it needs.
    """
    locked = bool(locks_beside(folder))
    if inputs.is_file(folder / PYPROJECT):
        document = _document(folder / PYPROJECT)
        if inputs.is_file(folder / REQUIREMENTS) and not locked:
            return FoundProject(requirements=(REQUIREMENTS,))
        found = _from_pyproject(document, locked=locked)
        if found is not None:
            return found
    if inputs.is_file(folder / REQUIREMENTS):
        return FoundProject(requirements=(REQUIREMENTS,))
    if locked:
        return FoundProject()
    return _other(folder)


def _from_pyproject(document: Mapping[str, Any], *, locked: bool) -> FoundProject | None:
    project, poetry = _table(document, "project"), _table(document, "tool", "poetry")
    if project is None and poetry is None:
        return FoundProject() if locked else None
    said = (project or {}).get("name") or (poetry or {}).get("name")
    name = said.lower() if isinstance(said, str) and _NAME.fullmatch(said.lower()) else ""
    if _is_built(document, poetry):
        return FoundProject(name=name, project=".")
    return FoundProject(name=name, requirements=(PYPROJECT,))


def _is_built(document: Mapping[str, Any], poetry: Mapping[str, Any] | None) -> bool:
    """Whether the tools would install the project itself, too."""
    if _table(document, "build-system") is None or (_table(document, "tool", "uv") or {}).get("package") is False:
        return False
    return (poetry or {}).get("package-mode") is not False


def _other(folder: Path) -> FoundProject | None:
    """What is to be said of a folder that has something else. Raises RecipeError."""
    if inputs.is_file(folder / "Pipfile"):
        why = "without Pipfile.lock nothing says which versions are meant"
        raise RecipeError(str(folder / "Pipfile"), "", why, hint=f"run pipenv lock in {folder}")
    for name in _CONDA:
        if inputs.is_file(folder / name):
            why = "conda packages are not wheels"
            hint = (
                "name them by their PyPI names in requirements.txt, with what stands in its pip: list, or stand on an "
            )
            raise RecipeError(
                str(folder / name), "", why, hint=f"{hint}image that has the environment: base in image.toml"
            )
    if inputs.is_file(folder / "setup.py"):
        why = "what it needs is known only when it is run"
        hint = f'to let it be built here, write {folder / "image.toml"} with: [python] project = "."'
        raise RecipeError(str(folder / "setup.py"), "", why, hint=hint)
    return None


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any] | None:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _document(file: Path) -> Mapping[str, Any]:
    try:
        with open_regular(file) as stream:
            data = stream.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise RecipeError(str(file), "", f"longer than {LIMIT} bytes")
        return load_toml(data.decode())
    except (OSError, ValueError) as error:
        raise RecipeError(str(file), "", f"not TOML: {error}") from error
