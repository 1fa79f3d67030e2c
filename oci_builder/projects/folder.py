"""A folder of somebody's project: which locks lie in it, and what it is where nobody wrote a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oci_builder import inputs
from oci_builder.bounded import load_toml
from oci_builder.errors import RecipeError
from oci_builder.files import open_regular
from oci_builder.projects.layouts import declared_name, has_package, scripts_of, table_of
from oci_builder.projects.packages import TOOLS
from oci_builder.tomlslips import clause

PYPROJECT, REQUIREMENTS = "pyproject.toml", "requirements.txt"
LIMIT = 4 << 20
"""Bytes of a pyproject.toml that are read."""

ELSEWHERE = tuple(f"requirements/{name}.txt" for name in ("production", "prod", "requirements", "base", "main"))
"""Where requirements lie in projects that have several files of them: what is for production goes first."""

MARKS = (PYPROJECT, *TOOLS)
"""What makes a folder the project of somebody, besides requirements.txt and image.toml."""

_CONDA = ("environment.yml", "environment.yaml")
OTHERS = ("Pipfile", "setup.py", *_CONDA)
"""What looks like a project, and does not say what it needs in a way that can be read."""

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class FoundProject:
    """What a folder without a recipe comes to: the keys of a recipe that are not the usual ones.

    ``scripts`` are commands that come with the project, where it is installed; ``document`` is its pyproject.toml.
    """

    name: str = ""
    version: str = ""
    requirements: tuple[str, ...] = ()
    project: str | None = None
    scripts: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


def locks_beside(folder: Path) -> tuple[Path, ...]:
    """The locks of other tools in ``folder``, in the order in which they are looked for."""
    return tuple(folder / name for name in TOOLS if inputs.is_file(folder / name))


def find_project(folder: Path) -> FoundProject | None:
    """What ``folder`` asks for; None where it is nobody's project.

    A lock decides before requirements.txt, and that before what pyproject.toml asks for. Raises RecipeError for what
    does not say what it needs.
    """
    locked = bool(locks_beside(folder))
    listed = inputs.is_file(folder / REQUIREMENTS)
    if inputs.is_file(folder / PYPROJECT):
        found = _from_pyproject(_document(folder / PYPROJECT), folder, locked=locked)
        if listed and not locked:
            # Both are asked for where the project is to bring the command that is started.
            project = found.project if found is not None and found.scripts else None
            return replace(found or FoundProject(), requirements=(REQUIREMENTS,), project=project)
        if found is not None:
            return found
    if not locked and any(inputs.is_file(folder / name) for name in ("setup.py", PYPROJECT)):
        name, scripts = declared_name(folder), scripts_of({}, folder)
        if name and (scripts or not listed):
            requirements = (REQUIREMENTS,) if listed else ()
            return FoundProject(name=_lower(name), requirements=requirements, project=".", scripts=scripts)
    if listed:
        return FoundProject(requirements=(REQUIREMENTS,))
    if locked:
        return FoundProject()
    elsewhere = next((name for name in ELSEWHERE if inputs.is_file(folder / name)), None)
    return _other(folder) if elsewhere is None else FoundProject(requirements=(elsewhere,))


def read_project(folder: Path) -> Mapping[str, Any] | None:
    """The pyproject.toml of a folder; None where there is none. Raises RecipeError."""
    return _document(folder / PYPROJECT) if inputs.is_file(folder / PYPROJECT) else None


def _from_pyproject(document: Mapping[str, Any], folder: Path, *, locked: bool) -> FoundProject | None:
    project, poetry = table_of(document, "project"), table_of(document, "tool", "poetry")
    if project is None and poetry is None:
        return FoundProject(document=document) if locked else None
    name, version = (_said(key, project, poetry) for key in ("name", "version"))
    found = FoundProject(name=_lower(name), version=version, document=document)
    scripts = scripts_of(document, folder)
    if _is_built(document, poetry, folder, has_scripts=bool(scripts)) and has_package(document, folder, name):
        return replace(found, project=".", scripts=scripts)
    return replace(found, requirements=(PYPROJECT,))


def _lower(name: str) -> str:
    """The name of a project as an image can have it; "" where none can."""
    return name.lower() if _NAME.fullmatch(name.lower()) else ""


def _said(key: str, *tables: Mapping[str, Any] | None) -> str:
    """The first text that one of the tables has for ``key``."""
    return next((text for table in tables if isinstance(text := (table or {}).get(key), str)), "")


def _is_built(
    document: Mapping[str, Any], poetry: Mapping[str, Any] | None, folder: Path, *, has_scripts: bool
) -> bool:
    """Whether the tools would install the project itself, too."""
    uv = table_of(document, "tool", "uv") or {}
    pdm = table_of(document, "tool", "pdm") or {}
    if uv.get("package") is False or (poetry or {}).get("package-mode") is False or pdm.get("distribution") is False:
        return False
    if table_of(document, "build-system") is not None or uv.get("package") is True:
        return True
    # Without the table pip takes setuptools, and uv does not build; whoever names commands means them.
    is_uvs = bool(uv) or inputs.is_file(folder / "uv.lock")
    return has_scripts and not is_uvs and table_of(document, "project") is not None


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


def _document(file: Path) -> Mapping[str, Any]:
    try:
        with open_regular(file) as stream:
            data = stream.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise RecipeError(str(file), "", f"longer than {LIMIT} bytes")
        return load_toml(data.decode())
    except (OSError, ValueError) as error:
        raise RecipeError(str(file), "", f"not TOML: {clause(str(error))}") from error
