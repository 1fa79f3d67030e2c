"""Names to folders: the images of a project, and the layers they may stand on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from oci_builder import inputs
from oci_builder.errors import NotFound
from oci_builder.projects.folder import ELSEWHERE, MARKS, OTHERS
from oci_builder.reference import Reference
from oci_builder.wording import called

IMAGES = "build"
_RECIPES = ("image.toml", "requirements.txt")
_PROJECTS = (*_RECIPES, *MARKS, *OTHERS, *ELSEWHERE)
"""What makes a folder that is named by its path something to build, or to say something of."""

_DOCUMENTS = ("index.json", "manifest.json")
_LAYER = "layer.toml"
_LAYOUT = ("index.json", "manifest.json")
_SCRATCH = "scratch"
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_PATHS = ("/", "./", "../")
_PACKAGE = Path(__file__).parent
_DEEPEST, _MOST, _SHOWN = 2, 200, 5
"""Levels and folders in which projects are looked for, to name them, and how many are named."""


def find_image(name: str, project_dir: Path) -> Path:
    """The folder of an image: ``build/<name>`` of the project, or the path that ``name`` is. Raises NotFound."""
    if "/" in name or name in (".", ".."):
        return _image_at(Path(name))
    folder = project_dir / IMAGES / name
    if _is_image(folder):
        return folder
    raise NotFound("image", name, searched=(str(folder.parent),), hint=_image_hint(name, folder, project_dir))


def is_project(folder: Path) -> bool:
    """Whether a folder is something to build, or to say something of."""
    return any(inputs.is_file(folder / file) for file in _PROJECTS)


def projects_below(folder: Path) -> tuple[Path, ...]:
    """The projects in a folder that is none, and in folders of it, the nearest first."""
    level = [folder]
    for _ in range(_DEEPEST):
        level = [each for above in level for each in _folders(above)][:_MOST]
        if found := tuple(each for each in level if is_project(each)):
            return found
    return ()


def _folders(folder: Path) -> list[Path]:
    try:
        return [each for each in inputs.listing(folder) if not each.name.startswith(".") and inputs.is_dir(each)]
    except OSError:
        return []


def known_images(project_dir: Path) -> tuple[str, ...]:
    """The names of all images under ``build/``, in order."""
    return _names(project_dir / IMAGES, _RECIPES)


def find_base(name: str, *, recipe_folder: Path, project_dir: Path, extra: Sequence[Path]) -> Path | Reference | None:
    """What a recipe's ``base`` means: a layer's folder, an image's file or folder, an image of a registry, or nothing.

    "scratch" is nothing (None). A path to an image is relative to the recipe's folder, ends in .tar, .tar.gz or .tgz or
    leads to a folder. What has a tag, a digest or a registry's host is a reference. All else is as in ``find_layer``.
    Raises NotFound, InvalidValue.
    """
    if name == _SCRATCH:
        return None
    place = recipe_folder / name
    if name.endswith(_ARCHIVES) or name.startswith(_PATHS) or ("/" in name and inputs.exists(place)):
        if inputs.is_file(place) or any(inputs.is_file(place / file) for file in (_LAYER, *_LAYOUT)):
            return place
        hint = f"an image is a .tar, or a folder that holds index.json; a layer is a folder that holds {_LAYER}"
        raise NotFound("base", name, searched=(str(place),), hint=hint)
    reference = read_reference(name)
    return reference or find_layer(name, recipe_folder=recipe_folder, project_dir=project_dir, extra=extra)


def find_image_named(name: str, *, recipe_folder: Path) -> Path | Reference:
    """What a recipe calls an image that it copies out of: an archive or an OCI layout, or an image of a registry.

    A path is relative to the recipe's folder. Raises NotFound, InvalidValue.
    """
    place = recipe_folder / name
    if name.endswith(_ARCHIVES) or name.startswith(_PATHS) or ("/" in name and inputs.exists(place)):
        if inputs.is_file(place) or any(inputs.is_file(place / file) for file in _LAYOUT):
            return place
        hint = "an image is a .tar, or a folder that holds index.json"
        raise NotFound("image to copy from", name, searched=(str(place),), hint=hint)
    reference = read_reference(name)
    if reference is None:
        hint = (
            f"name an image of a registry with its tag, as in {name}:latest, or the path of a file, as in ./{name}.tar"
        )
        raise NotFound("image to copy from", name, searched=(), hint=hint)
    return reference


def read_reference(name: str) -> Reference | None:
    """The reference that ``name`` is, or None if it is a layer's name or a path. Raises InvalidValue."""
    if name.startswith(_PATHS) or name.endswith(_ARCHIVES):
        return None
    host, slash, _ = name.partition("/")
    known = "@" in name or ":" in name or (slash and ("." in host or host == "localhost"))
    return Reference.parse(name) if known else None


def find_image_file(text: str) -> Path | Reference:
    """The file or folder that ``text`` names, or else the image of a registry.

    ``mypy`` also means ``mypy.tar``, as builds write it; a reference has a tag, a digest, or a registry's name with a
    dot or a port. Raises NotFound, InvalidValue.
    """
    path = Path(text)
    if inputs.is_file(path) or (inputs.is_dir(path) and any(inputs.is_file(path / name) for name in _DOCUMENTS)):
        return path
    built = Path(f"{text}.tar")
    if inputs.is_file(built):
        return built
    reference = read_reference(text) if not inputs.exists(path) else None
    if reference is not None:
        return reference
    hint = (
        "name a docker archive or an OCI layout, packed or as a folder, or an image of a registry with its tag, as in "
    )
    hint += f"{path.name or text}:latest; `ocibuild NAME` builds NAME.tar"
    raise NotFound("image file", text, searched=[str(path), str(built)], hint=hint)


def find_layer(name: str, *, recipe_folder: Path, project_dir: Path, extra: Sequence[Path]) -> Path:
    """The folder of a layer recipe. Raises NotFound.

    A name with a slash is a path beside image.toml. Any other is looked for in ``extra``, in ``layers/`` of the
    project, among the packaged layers, and beside the package as in a checkout; the first found is it.
    """
    if "/" in name:
        folder = recipe_folder / name
        if inputs.is_file(folder / _LAYER):
            return folder
        raise NotFound("layer", name, searched=(str(folder),), hint=f"a layer is a folder that holds {_LAYER}")
    roots = _layer_roots(recipe_folder, project_dir, extra)
    for root in roots:
        if inputs.is_file(root / name / _LAYER):
            return root / name
    known = [found for root in roots for found in _names(root, (_LAYER,))]
    hint = _nearest_first("layer", name, known) or f"name a folder of layers with --layers; each holds a {_LAYER}"
    raise NotFound("layer", name, searched=tuple(map(str, roots)), hint=hint)


def known_layers(*, project_dir: Path, extra: Sequence[Path]) -> tuple[str, ...]:
    """The names of all layers that an image of the project finds, in order."""
    roots = _layer_roots(project_dir, project_dir, extra)
    return tuple(sorted({name for root in roots for name in _names(root, (_LAYER,))}))


def layer_folders(*, recipe_folder: Path, project_dir: Path, extra: Sequence[Path]) -> tuple[Path, ...]:
    """The folders of all layers that ``find_layer`` finds, in the order in which it looks; of one name the first."""
    found: dict[str, Path] = {}
    for root in _layer_roots(recipe_folder, project_dir, extra):
        for name in _names(root, (_LAYER,)):
            found.setdefault(name, root / name)
    return tuple(found.values())


def _layer_roots(recipe_folder: Path, project_dir: Path, extra: Sequence[Path]) -> list[Path]:
    # An image given as a path may belong to another project: its own layers/ comes before the current one's.
    beside = [recipe_folder.parent.parent] if recipe_folder.parent.name == IMAGES else []
    roots = [*extra, *(root / "layers" for root in (*beside, project_dir)), _PACKAGE / "_layers"]
    return list(dict.fromkeys([*roots, _PACKAGE.parent / "layers"]))


def _image_at(folder: Path) -> Path:
    if folder.name == _RECIPES[0] and inputs.is_file(folder):
        folder = folder.parent
    if is_project(folder):
        return folder
    if folder == Path() and (above := _above(folder)) is not None:
        return above
    why = f"write {folder / _RECIPES[0]} or {folder / _RECIPES[1]}" if inputs.is_dir(folder) else None
    if why and (below := projects_below(folder)):
        shown = ", ".join(map(str, below[:_SHOWN]))
        why = f"projects lie in {shown}: ocibuild {called(below[0])} builds that one"
    raise NotFound("image", str(folder), searched=(str(folder.absolute()),), hint=why)


def _above(folder: Path) -> Path | None:
    """The nearest folder above that is an image or a project, as git and uv look for theirs: not above a checkout."""
    here = folder.absolute()
    for place in here.parents:
        if inputs.exists(here / ".git") or place == place.parent:
            return None
        if any(inputs.is_file(place / file) for file in (*_RECIPES, *MARKS)):
            return place
        here = place
    return None


def _is_image(folder: Path) -> bool:
    return any(inputs.is_file(folder / file) for file in _RECIPES)


def _names(root: Path, files: Iterable[str]) -> tuple[str, ...]:
    marks = tuple(files)
    try:
        folders = inputs.listing(root)
    except OSError:
        return ()
    return tuple(folder.name for folder in folders if any(inputs.is_file(folder / mark) for mark in marks))


def _image_hint(name: str, folder: Path, project_dir: Path) -> str:
    if inputs.is_dir(folder):
        return f"write {folder / _RECIPES[0]} or {folder / _RECIPES[1]}"
    hint = _nearest_first("image", name, known_images(project_dir))
    return hint or f"no image is here at all: write {folder / _RECIPES[1]}, or name another project with --project-dir"


def _letters(name: str) -> str:
    """A name without what people leave out or put in: Python3.11 is python-3.11."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _nearest_first(what: str, name: str, known: Iterable[str]) -> str | None:
    names = sorted(set(known))
    if not names:
        return None
    names.sort(key=lambda other: -SequenceMatcher(None, name, other).ratio())
    plain = _letters(name)
    if meant := [other for other in names if _letters(other) == plain]:
        return f"did you mean {meant[0]!r}?"
    return f"the {what}s here are {', '.join(names)}" if len(names) > 1 else f"the only {what} here is {names[0]}"
