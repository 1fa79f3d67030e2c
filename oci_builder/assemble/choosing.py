"""The base of a recipe that names none: the newest Python that the project, its locks and its tools ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from packaging.specifiers import SpecifierSet

from oci_builder import inputs
from oci_builder.catalog import find_layer, known_layers
from oci_builder.debian.recipe import load_layer
from oci_builder.errors import OcibuildError, RecipeError
from oci_builder.projects.python_asked import Asked, python_asked
from oci_builder.recipes import BASE_DEFAULT, FILE, ImageSource
from oci_builder.wheels.pythons import fits, image_of, newest_fitting, specifiers

_LAYERS = "python-3."
"""How bases of layers/ are called that are nothing but a Python; others are chosen by their names alone."""


def with_base(source: ImageSource, *, project_dir: Path, extra: Sequence[Path]) -> ImageSource:
    """``source`` with the base that fits what its project asks for, where its recipe names none; else as it is.

    Of ``layers/`` the newest that fits, for nothing has to be fetched from a registry for it; where none does, the
    newest image of Docker Hub that does. Raises RecipeError where no Python is all that is asked for.
    """
    if source.recipe.base is not BASE_DEFAULT:
        return source
    folders = [*([source.project] if source.project else []), *(path.parent for path in source.pyprojects)]
    folders += [*(path.parent for path in source.foreign_locks), source.folder]
    borrowed = [source.borrowed_lock] if source.borrowed_lock else []
    asked = python_asked([*folders, source.within.root], [*source.foreign_locks, *borrowed])
    own = python_asked([], [source.lock]) if not borrowed and inputs.is_file(source.lock) else ()
    if not asked and not own:
        return source
    known = _known(source, project_dir, extra)
    # What was locked stays, as long as the project lets it.
    found = _chosen((*asked, *own), known) or _chosen(asked, known) if asked else _chosen(own, known)
    if found is None:
        raise _nothing(source, asked or own)
    base, why = found
    if base == BASE_DEFAULT:
        return source
    return replace(source, recipe=msgspec.structs.replace(source.recipe, base=base), base_said=f"base: {base}, {why}")


def _known(source: ImageSource, project_dir: Path, extra: Sequence[Path]) -> dict[str, str]:
    """The bases of ``layers/`` that are a Python, and its version; the newest first."""
    found: dict[str, str] = {}
    for name in known_layers(project_dir=project_dir, extra=extra):
        if name.startswith(_LAYERS):
            try:
                folder = find_layer(name, recipe_folder=source.folder, project_dir=project_dir, extra=extra)
                found[name] = load_layer(folder).python.version
            except OcibuildError:
                continue  # whoever names it learns what is wrong with it
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[1].split(".")], reverse=True))


def _chosen(asked: Sequence[Asked], known: dict[str, str]) -> tuple[str, str] | None:
    """The base, and why it is that, in words; None where nothing fits."""
    wanted = _together(asked)
    said = " and ".join(each.said for each in asked)
    for name, version in known.items():
        if fits(wanted, version):
            return name, f"the newest of layers/ for {said}"
    minor = newest_fitting(wanted)
    return (image_of(minor), f"for {said}: no base of layers/ has such a Python") if minor else None


def _together(asked: Sequence[Asked]) -> SpecifierSet:
    found = specifiers(each.specifier for each in asked)
    assert found is not None, "each of them was read"
    return found


def _nothing(source: ImageSource, asked: Sequence[Asked]) -> RecipeError:
    said = " and ".join(each.said for each in asked)
    alone = len(asked) == 1
    why = f"no base that is known has a Python for {said}" if alone else f"no Python is all that is asked for: {said}"
    hint = f'name one in {source.folder / FILE}, as in base = "python-3.13", or change what is asked for'
    return RecipeError(str(source.folder / FILE), "base", why, hint=hint)
