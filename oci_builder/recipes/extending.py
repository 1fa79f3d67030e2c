"""A recipe over another: what several images of one repository have in common is written once.

``extends`` names the other's file. Tables are laid over each other key by key; of ``[[copy]]`` and its like the other's
come first; every other value is the nearer one's. Paths in the other are relative to its own folder, as always.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from oci_builder import bounded, inputs
from oci_builder.confined import Within
from oci_builder.errors import BadKey, OutsideProject, RecipeError
from oci_builder.files import explained
from oci_builder.recipes.image import ImageToml
from oci_builder.tomlfile import convert, misplaced, parse_toml, read_toml

_DEEPEST = 8
_ITS_OWN = ("name", "version", "tags", "extends")
"""Keys that say which image it is: nobody takes them over."""

_ADDED = ("copy", "folder", "link", "fetch")
_LIST_OR_TABLE = {"base-packages": "packages"}
_PATHS = ("./", "../")


def load_recipe(file: Path, within: Within) -> ImageToml:
    """The recipe of ``file``, in the folder that ``within`` finds from, over all that it extends.

    Raises RecipeError, also where they extend each other in a circle, and FileProblem.
    """
    recipe, text = _read(file, file.name, within)
    documents, folders, seen, place = [text], [""], set[Path](), file.name
    while recipe.extends is not None:
        here, place = file.parent / place, posixpath.join(posixpath.dirname(place), recipe.extends)
        path = file.parent / place
        # A folder may be swapped at any time.
        with explained(path):
            seen.add(inputs.real(here))
            why = _refusal(path, seen)
        if why:
            raise misplaced(here, BadKey("extends", why))
        recipe, text = _read(path, place, within)
        documents.append(text)
        folders.append(posixpath.dirname(place))
    return recipe if len(documents) == 1 else _together(file, documents, folders)


def _refusal(path: Path, seen: Collection[Path]) -> str | None:
    """Why the recipe at ``path`` cannot be extended by what was ``seen``; None if it can."""
    if not inputs.is_file(path):
        return f"there is no file {path}"
    if inputs.real(path) in seen:
        return f"{path} extends this recipe in its turn"
    return f"recipes extend each other more than {_DEEPEST} deep" if len(seen) > _DEEPEST else None


def _read(file: Path, name: str, within: Within) -> tuple[ImageToml, str]:
    """One recipe, and its text."""
    try:
        with explained(file):
            found = within.find(name, follow=True)
    except OutsideProject as error:
        why = f"it leads out of the project, {error.root}"
        raise RecipeError(str(file), "", why, hint="copy what it leads to, or name its own folder") from error
    text = read_toml(file, opened=found.open())
    return parse_toml(text, ImageToml, file=str(file)), text


def _together(file: Path, documents: Sequence[str], folders: Sequence[str]) -> ImageToml:
    """The recipes that ``documents`` are, each over the next, as that of ``file``."""
    merged: dict[str, Any] = {}
    for text, folder in zip(reversed(documents), reversed(folders), strict=True):
        merged = _over(merged, _moved(bounded.load_toml(text), folder))
    return convert(merged, ImageToml, file=str(file))


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two documents as one."""
    merged = {key: value for key, value in below.items() if key not in _ITS_OWN}
    for key, value in above.items():
        known = merged.get(key)
        if key in _LIST_OR_TABLE and isinstance(known, list | dict) and isinstance(value, list | dict):
            # A list is short for a table with that one key.
            known, value = (each if isinstance(each, dict) else {_LIST_OR_TABLE[key]: each} for each in (known, value))
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = _over(known, value)
        elif key in _ADDED and isinstance(known, list):
            merged[key] = [*known, *value]
        else:
            merged[key] = value
    return merged


def _moved(document: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A document whose paths are relative to ``folder``, with paths that are relative to the folder that it is in."""

    def moved(path: str) -> str:
        return posixpath.normpath(posixpath.join(folder, path))

    found = dict(document)
    if isinstance(base := found.get("base"), str) and base.startswith(_PATHS):
        found["base"] = _as_path(moved(base))
    if isinstance(python := found.get("python"), dict):
        python = dict(python)
        if "project" in python:
            python["project"] = moved(python["project"])
        if "requirements" in python:
            python["requirements"] = [moved(path) for path in python["requirements"]]
        if "find-links" in python:
            python["find-links"] = [path if "://" in path else moved(path) for path in python["find-links"]]
        found["python"] = python
    if isinstance(copies := found.get("copy"), list):
        found["copy"] = [_copy_moved(copy, moved) for copy in copies]
    return found


def _copy_moved(copy: Mapping[str, Any], moved: Callable[[str], str]) -> dict[str, Any]:
    image = copy.get("from")
    if image is None:
        return {**copy, "src": moved(copy["src"])}
    return {**copy, "from": _as_path(moved(image)) if image.startswith(_PATHS) else image}


def _as_path(path: str) -> str:
    return path if path.startswith(_PATHS) else f"./{path}"
