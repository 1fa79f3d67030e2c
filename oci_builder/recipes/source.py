"""A recipe and its folder; what a command line may say instead; the JSON Schema."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from oci_builder import inputs
from oci_builder.confined import Within
from oci_builder.detection.choices import init
from oci_builder.errors import BadKey, FileProblem, InvalidValue, NotFound, OutsideProject, RecipeError
from oci_builder.files import explained, kind_of
from oci_builder.platforms import Platform
from oci_builder.projects.folder import locks_beside
from oci_builder.projects.packages import is_foreign
from oci_builder.recipes.extending import load_recipe
from oci_builder.recipes.image import REQUIREMENTS_DEFAULT, ImageToml, PythonRecipe, UserRecipe
from oci_builder.recipes.unwritten import Unwritten, unwritten
from oci_builder.tomlfile import convert, misplaced
from oci_builder.wording import called

FILE = "image.toml"
REQUIREMENTS = "requirements.txt"
LOCK = "pylock.toml"
WHEELS = "wheels"
DEBS = "debs"
BASE = "base"
FETCHED = "fetched"
COPIED = "copied"
IMAGES_LOCK = "images.lock.json"
_IMAGES = "build"
_LOCK_NAME = re.compile(r"pylock\.(?:[^.]+\.)?toml")
_PROJECT_FILES = ("pyproject.toml", "setup.py")


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A recipe, the folder its paths are relative to, and the project that its files lie ``within``.

    ``beside`` are the locks of other tools that lie with what the recipe asks for, and decide in its place. ``notes``
    are what is to be said of a recipe that nobody wrote. ``base_said`` says why the base is what it is, where nobody
    named it.
    """

    folder: Path
    recipe: ImageToml
    within: Within
    beside: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    base_said: str = ""

    @property
    def called(self) -> str:
        """How a command line calls it from where we stand, quoted for a shell: its name in build/, else its path."""
        return called(self.folder)

    @property
    def requirements(self) -> tuple[Path, ...]:
        """The requirements files, in order."""
        return tuple(path for path in self._named if path.suffix != ".toml" and not is_foreign(path))

    @property
    def pyprojects(self) -> tuple[Path, ...]:
        """The pyproject.toml files whose dependencies are asked for, in order."""
        return tuple(path for path in self._named if path.suffix == ".toml" and not is_lock(path))

    @property
    def project(self) -> Path | None:
        """The folder of the project to build and install."""
        name = self.recipe.python.project
        return None if name is None else inputs.without_detours(self.folder / name)

    @property
    def has_python(self) -> bool:
        """Whether anything is to be installed for a Python."""
        return bool(self._named or self.beside) or self.project is not None or inputs.is_file(self.lock)

    @property
    def borrowed_lock(self) -> Path | None:
        """The lock that the recipe names in place of requirements: taken as it is, and never written."""
        return next(filter(is_lock, self._named), None)

    @property
    def foreign_locks(self) -> tuple[Path, ...]:
        """The locks of other tools that decide: the one that the recipe names, else those that lie beside."""
        return tuple(filter(is_foreign, self._named)) or self.beside

    @property
    def lock(self) -> Path:
        """Where the wheel lock is, or would be."""
        return self.borrowed_lock or self.folder / LOCK

    @property
    def _named(self) -> tuple[Path, ...]:
        return tuple(inputs.without_detours(self.folder / name) for name in self.recipe.python.requirements)

    @property
    def wheels(self) -> Path:
        """Where wheels for an offline build are, or would be."""
        return self.folder / WHEELS

    @property
    def debs(self) -> Path:
        """Where packages for an offline build of the base are, or would be."""
        return self.folder / DEBS

    @property
    def base_copy(self) -> Path:
        """Where an image that it stands on is for an offline build, or would be."""
        return self.folder / BASE

    @property
    def fetched(self) -> Path:
        """Where files of [[fetch]] for an offline build are, or would be."""
        return self.folder / FETCHED

    @property
    def image_lock(self) -> Path:
        """Where the lock of its images is, or would be, if ``lock`` is not its own."""
        return self.folder / IMAGES_LOCK

    @property
    def copied(self) -> Path:
        """Where images that it copies out of are for an offline build, or would be."""
        return self.folder / COPIED

    def base_lock(self, platform: Platform) -> Path:
        """Where the lock of the packages over the base is, or would be."""
        return self.folder / f"base.lock.{platform.architecture}.json"


def load_image(folder: Path, *, project: Path | None = None) -> ImageSource:
    """The recipe of ``folder``, by default that of its requirements.txt; ``project`` is its project's, if known.

    Raises RecipeError, NotFound, FileProblem.
    """
    file = folder / FILE
    is_there = {name: _is_file(folder / name) for name in (FILE, REQUIREMENTS, LOCK)}
    found = None if is_there[FILE] else _found(folder)
    with explained(folder):
        within = Within(folder, _root(folder, project))
    recipe = load_recipe(file, within) if found is None else read_recipe(found.document, what=str(folder))
    python = recipe.python
    if found is not None and any(is_foreign(Path(name)) for name in python.requirements):
        # Nobody named that lock: where others lie beside it, all of them have to say the same.
        python = msgspec.structs.replace(python, requirements=())
    if python.requirements is REQUIREMENTS_DEFAULT and not is_there[REQUIREMENTS]:
        python = msgspec.structs.replace(python, requirements=())
    for number, name in enumerate(python.requirements):
        if not inputs.is_file(folder / name):
            absent = BadKey(
                f"python.requirements[{number}]",
                f"there is no file {folder / name}",
                hint="write it, a package a line, or name the file that is meant",
            )
            raise misplaced(file, absent)
    notes = () if found is None else _notes(found, folder)
    source = ImageSource(folder, msgspec.structs.replace(recipe, python=python), within, notes=notes)
    # Who names requirements.txt means it, whatever lies beside it.
    default = python.requirements is REQUIREMENTS_DEFAULT or not python.requirements
    source = replace(source, beside=_beside(source, default=default))
    if (pylock := _pylock_beside(source)) is not None:
        python = msgspec.structs.replace(python, requirements=(pylock,))
        source = replace(source, recipe=msgspec.structs.replace(recipe, python=python))
    try:
        _check_python(source)
        _check_places(source)
    except BadKey as error:
        raise misplaced(file, error) from error
    return replace(source, recipe=_named(recipe, folder, python))


def _found(folder: Path) -> Unwritten:
    """The recipe of a folder without image.toml. Raises NotFound, RecipeError, UnclearCommand."""
    found = unwritten(folder)
    if found is None:
        searched = (str(folder / FILE), str(folder / REQUIREMENTS))
        raise NotFound("recipe", folder.name, searched=searched, hint=f"write {folder / FILE}")
    return found


def _notes(found: Unwritten, folder: Path) -> tuple[str, ...]:
    """What is to be said of a recipe that nobody wrote, and how it is written down."""
    notes = list(found.notes)
    if found.launch is not None:
        notes[0] += f"; to write it down: {init(folder)}"
    written = inputs.matching(folder / _IMAGES, f"*/{FILE}") if inputs.is_dir(folder / _IMAGES) else []
    if notes and written:
        name = written[0].parent.name
        notes.append(f"{_IMAGES}/{name}/{FILE} is there, and was not read: ocibuild {name} builds that")
    elif notes and inputs.is_file(folder / "Dockerfile"):
        notes.append("a Dockerfile is there, and was not read: ocibuild init writes the recipe that it is")
    return tuple(notes)


def _beside(source: ImageSource, *, default: bool) -> tuple[Path, ...]:
    """The locks of other tools that lie with what a recipe asks for.

    That is its project, or one pyproject.toml, or its own folder where it does not name requirements.
    """
    if source.borrowed_lock is not None or any(map(is_foreign, source._named)):
        return ()
    if source.project is not None and not source.requirements:
        return locks_beside(source.project) or _workspace_lock(source.project)
    if len(source.pyprojects) == 1 and not source.requirements:
        folder = source.pyprojects[0].parent
        return locks_beside(folder) or _workspace_lock(folder)
    return locks_beside(source.folder) if default else ()


def _pylock_beside(source: ImageSource) -> str | None:
    """The pylock.toml of another tool that lies with the project of a recipe which names nothing else, from there."""
    project = source.recipe.python.project
    if project is None or source._named or source.beside or inputs.is_file(source.folder / LOCK):
        return None
    path = f"{project}/{LOCK}"
    if not inputs.is_file(source.folder / path):
        return None
    # Loaded only where there is one.
    from oci_builder.wheels import lock

    # One that ocibuild wrote is that of an image in the project's own folder, on a base of its own.
    return None if lock.read(source.folder / path).fingerprint else path


def _workspace_lock(folder: Path) -> tuple[Path, ...]:
    """The uv.lock of the workspace that a project is a member of: above it, in the same checkout."""
    here = inputs.real(folder)
    for place in (here, *here.parents):
        if inputs.is_file(place / "uv.lock"):
            # As git has it: what others put above a folder, in /tmp, decides nothing in it, nor what is built.
            mine = inputs.owner_of(place / "uv.lock") == inputs.owner_of(here)
            return (place / "uv.lock",) if mine else ()
        if inputs.exists(place / ".git"):
            break
    return ()


def _root(folder: Path, project: Path | None) -> Path:
    """The folder that files of a recipe lie in, unless it says that they lie outside: its project's."""
    real = inputs.real(folder)
    above = (place.parent.parent for place in (folder.absolute(), real) if place.parent.name == _IMAGES)
    for place in (*([project] if project else []), *above):
        root = inputs.real(place)
        # An image in /build is no reason to take the whole machine for its project.
        if real.is_relative_to(root) and root != root.parent:
            return root
    return real


def _is_file(path: Path) -> bool:
    """Whether there is one; refuses a pipe or folder, or a link that leads nowhere, where one would be read."""
    if inputs.is_file(path):
        return True
    if os.path.lexists(path):
        with explained(path):
            raise FileProblem(str(path), f"{kind_of(path.stat())}, where a file is expected")
    return False


def is_lock(path: Path) -> bool:
    """Whether a file is called as PEP 751 wants locks called: ``pylock.toml`` or ``pylock.NAME.toml``."""
    return _LOCK_NAME.fullmatch(path.name) is not None


def _check_python(source: ImageSource) -> None:
    python = source.recipe.python
    if (source.borrowed_lock or any(map(is_foreign, source._named))) and len(python.requirements) > 1:
        why = "a lock says all there is to install: it stands alone"
        raise BadKey("python.requirements", why, hint="name the lock, or what it was made from, but not both")
    if source.project is not None and not any(inputs.is_file(source.project / name) for name in _PROJECT_FILES):
        raise BadKey("python.project", f"there is neither {' nor '.join(_PROJECT_FILES)} in {source.project}")
    for key in ("extras", "groups"):
        owned = source.pyprojects or source.project is not None or source.foreign_locks or source.borrowed_lock
        if getattr(python, key) and not owned:
            hint = 'name whose they are: project = "../..", or requirements = ["../../pyproject.toml"]'
            raise BadKey(f"python.{key}", "a requirements.txt has none", hint=hint)


def _check_places(source: ImageSource) -> None:
    """Refuse what leads out of the project where the recipe does not say that it may."""
    python = source.recipe.python
    if not python.outside:
        for number, name in enumerate(python.requirements):
            _check_place(source, f"python.requirements[{number}]", name, "outside = true in [python]", follow=True)
        if python.project is not None:
            _check_place(source, "python.project", python.project, "outside = true in [python]", follow=True)
    for number, copy in enumerate(source.recipe.copy):
        if copy.image is None and not copy.outside:
            _check_place(source, f"copy[{number}].src", copy.src, "outside = true beside it", follow=False)


def _check_place(source: ImageSource, key: str, name: str, words: str, *, follow: bool) -> None:
    try:
        source.within.find(name, follow=follow)
    except OutsideProject as error:
        raise BadKey(
            key, f"{error.path} leads out of the project, {error.root}", hint=f"write {words}, if that is meant"
        ) from error
    except OSError:
        return  # whoever needs it says what is wrong with it


def _named(recipe: ImageToml, folder: Path, python: PythonRecipe) -> ImageToml:
    name = recipe.name or inputs.real(folder).name
    document = msgspec.to_builtins(recipe) | {"name": name}
    try:
        convert(document, ImageToml, file=str(folder / FILE))
    except RecipeError as error:
        raise RecipeError(
            error.file, "name", f"the folder is called {name!r}: {error.why}", hint='write name = "…" in image.toml'
        ) from error
    return msgspec.structs.replace(recipe, name=name, python=python)


def read_recipe(document: Mapping[str, Any], *, what: str) -> ImageToml:
    """The recipe that ``document``, with the keys of an image.toml, is; ``what`` calls it. Raises RecipeError."""
    return convert(document, ImageToml, file=what)


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What somebody wants instead of what a recipe says; ``env`` and ``labels`` are added.

    ``user`` is NAME, NAME:UID or NAME:UID:GID, or UID or UID:GID of the recipe's user; ``0`` and ``root`` mean root.
    """

    base: str | None = None
    tags: Sequence[str] = ()
    requirements: Sequence[str] = ()
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def with_overrides(recipe: ImageToml, overrides: Overrides) -> ImageToml:
    """The recipe with ``overrides`` instead of what it says there. Raises InvalidValue, RecipeError."""
    document = msgspec.to_builtins(recipe)
    document |= _written({"base": overrides.base, "tags": list(overrides.tags)})
    if overrides.requirements:
        document["python"] = {**document.get("python", {}), "requirements": list(overrides.requirements)}
    if overrides.user is not None:
        document["user"] = _user(overrides.user, recipe.user)
    tables = {name: table for name, table in (("env", overrides.env), ("labels", overrides.labels)) if table}
    if tables:
        config = document.get("config", {})
        added = {name: {**config.get(name, {}), **table} for name, table in tables.items()}
        document["config"] = config | _written(added)
    return convert(document, ImageToml, file="command line")


def _written(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value}


def _user(text: str, before: UserRecipe) -> dict[str, Any]:
    name, *ids = text.split(":")
    if name.isascii() and name.isdigit() and name != "0" and len(ids) < 2:
        # As for docker run: numbers alone are an ID, and the name is whose it was.
        name, ids = "sandbox" if before.is_root else before.name, [name, *ids]
    if len(ids) > 2 or not all(number.isascii() and number.isdigit() for number in ids):
        raise InvalidValue("user", text, "expected NAME, NAME:UID or NAME:UID:GID, or UID or UID:GID")
    if name in ("root", "0"):
        return {"name": "root", "shell": before.shell}
    kept = [] if before.is_root else [before.uid, before.gid]
    numbers = [int(number) for number in ids]
    # Whoever gives a uid alone means the group of the same number.
    both = [*numbers, *numbers[-1:]] or kept
    return {"name": name, "shell": before.shell} | dict(zip(("uid", "gid"), both, strict=False))


def image_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``image.toml``, from the same types that read it."""
    from oci_builder.tomlschema import json_schema

    return json_schema(ImageToml, title=FILE)
