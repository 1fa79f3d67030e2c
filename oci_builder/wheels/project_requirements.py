"""Requirements that stand in no requirements file: those of a pyproject.toml, and those of a project built here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from oci_builder import inputs
from oci_builder.bounded import load_toml
from oci_builder.errors import NotFound, RecipeError
from oci_builder.files import open_regular
from oci_builder.tomlslips import clause
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.poetry_requirements import poetry_lines

PYPROJECT = "pyproject.toml"
LIMIT = 4 << 20
"""Bytes of a pyproject.toml that are read."""

MOST, DEPTH = 20_000, 40
"""Requirements and includes that are followed, each counted as often as it is met, and how deep they may lie."""

_QUOTED = re.compile(r""" "([^"]*)" | '([^']*)' """, re.VERBOSE)
_DYNAMIC = 'let ocibuild build it and read its metadata: [python] project = "…" in image.toml'


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRequirements:
    """Requirements, each with the number of the line of ``file`` it stands in (1 where that cannot be told).

    ``project`` is set for those of a project whose wheel is in the store: pip then reads them in that wheel, with
    ``extras``, and ``lines`` are what a lock depends on. Those that are ``complete`` are all that is to be installed:
    what they need themselves is among them.
    """

    file: Path
    lines: tuple[tuple[int, str], ...]
    project: WheelPin | None = None
    extras: tuple[str, ...] = ()
    complete: bool = False


def read_pyproject(file: Path, *, extras: Collection[str] = (), groups: Collection[str] = ()) -> ProjectRequirements:
    """The dependencies of ``[project]``, with those of ``extras``, and of dependency ``groups`` (PEP 621, PEP 735).

    Raises NotFound, and RecipeError: no TOML, no such extra or group, dependencies that only a build would tell.
    """
    text = _read(file)
    document = _Document(file, text, _parsed(text, file))
    found = [*document.dependencies(extras, required=not groups), *document.groups(groups)]
    return ProjectRequirements(file=file, lines=tuple(dict.fromkeys((document.line(one), one) for one in found)))


def read_groups(file: Path, groups: Collection[str]) -> ProjectRequirements:
    """The requirements of dependency ``groups`` alone. Raises as ``read_pyproject``."""
    text = _read(file)
    document = _Document(file, text, _parsed(text, file))
    found = document.groups(groups)
    return ProjectRequirements(file=file, lines=tuple(dict.fromkeys((document.line(one), one) for one in found)))


def build_requires(file: Path) -> tuple[str, ...]:
    """What building the project of a pyproject.toml takes (PEP 518); without the file or its table, setuptools.

    Raises RecipeError.
    """
    document = _parsed(_read(file), file) if inputs.is_file(file) else {}
    table = document.get("build-system", {})
    found = table.get("requires", ["setuptools"]) if isinstance(table, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, str) and one[:1].isalnum() for one in found):
        raise RecipeError(str(file), "build-system.requires", "expected a list of requirements")
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """What builds a project: the packages it takes, the backend as ``module:object``, and folders of the project's."""

    requires: tuple[str, ...]
    backend: str
    path: tuple[str, ...] = ()


def build_system(file: Path) -> BuildSystem | None:
    """What the project of a pyproject.toml is built by, as pip takes it; None where pip has something to say to it.

    Raises RecipeError.
    """
    document = _parsed(_read(file), file) if inputs.is_file(file) else {}
    table = document.get("build-system", {"requires": ["setuptools>=40.8.0"]})
    if not isinstance(table, dict):
        return None
    requires, path = table.get("requires"), table.get("backend-path", [])
    backend = table.get("build-backend", "setuptools.build_meta:__legacy__")
    if not isinstance(backend, str) or not isinstance(requires, list) or not isinstance(path, list):
        return None
    if not all(isinstance(each, str) for each in (*requires, *path)):
        return None
    inner = all(not PurePosixPath(each).is_absolute() and ".." not in PurePosixPath(each).parts for each in path)
    named = all(each[:1].isalnum() for each in requires)
    if not inner or not named or not ("build-backend" in table or any(map(_is_setuptools, requires))):
        return None
    return BuildSystem(requires=tuple(requires), backend=backend, path=tuple(path))


def _is_setuptools(requirement: str) -> bool:
    return re.match(r"setuptools\b(?!-)", requirement, re.IGNORECASE) is not None


def is_built(file: Path) -> bool:
    """Whether a pyproject.toml is that of something to build: it names a backend, or a project, whose backend is then
    setuptools, as for pip and uv. False without the file. Raises RecipeError."""
    document = _parsed(_read(file), file) if inputs.is_file(file) else {}
    return any(isinstance(document.get(name), dict) for name in ("build-system", "project"))


def project_name(file: Path) -> str:
    """The name that a pyproject.toml gives its project, "" where it gives none or is not there. Raises RecipeError."""
    document = _parsed(_read(file), file) if inputs.is_file(file) else {}
    tool = document.get("tool")
    for table in (document.get("project"), tool.get("poetry") if isinstance(tool, dict) else None):
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            return str(table["name"])
    return ""


def _read(file: Path) -> str:
    try:
        with open_regular(file) as stream:
            data = stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise NotFound("requirements file", file.name, searched=[str(file.parent)]) from error
    if len(data) > LIMIT:
        raise RecipeError(str(file), "", f"longer than {LIMIT} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RecipeError(str(file), "", "not UTF-8, which TOML has to be") from error


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        return load_toml(text)
    except ValueError as error:
        raise RecipeError(str(file), "", f"not TOML: {clause(str(error))}") from error


class _Document:
    """A pyproject.toml and its text, which tells lines."""

    def __init__(self, file: Path, text: str, document: Mapping[str, Any]) -> None:
        self._file, self._document = file, document
        self._met = 0
        self._lines: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            for found in _QUOTED.finditer(line):
                self._lines.setdefault(found[1] or found[2] or "", number)

    def line(self, requirement: str) -> int:
        """Where ``requirement`` stands; 1 if it is written in another way there."""
        return self._lines.get(requirement, 1)

    def dependencies(self, extras: Collection[str], *, required: bool) -> Iterator[str]:
        """Those of ``[project]``; a file without the table has none, if that is not ``required``."""
        project = self._document.get("project")
        if not isinstance(project, dict) and (poetry := self._poetry()) is not None:
            yield from self._poetry_lines(poetry, extras)
            return
        if not isinstance(project, dict):
            if required or extras:
                raise self._wrong("project", "there is no such table")
            return
        dynamic = project.get("dynamic", [])
        for key in ("dependencies", *(["optional-dependencies"] if extras else [])):
            if key in dynamic:
                raise self._wrong(f"project.{key}", "it is dynamic: only building the project tells it", hint=_DYNAMIC)
        yield from self._texts(project.get("dependencies", []), "project.dependencies")
        known = self._named(project.get("optional-dependencies", {}), "project.optional-dependencies")
        name = canonicalize_name(str(project.get("name", "")))
        for extra in sorted({canonicalize_name(extra) for extra in extras}):
            yield from self._extra(extra, known, name, ())

    def _poetry(self) -> dict[str, Any] | None:
        """What Poetry's own table says of dependencies, which it had before there was ``[project]``."""
        tool = self._document.get("tool")
        poetry = tool.get("poetry") if isinstance(tool, dict) else None
        return poetry if isinstance(poetry, dict) and isinstance(poetry.get("dependencies"), dict) else None

    def _poetry_lines(self, poetry: Mapping[str, Any], extras: Collection[str]) -> Iterator[str]:
        key = "tool.poetry.dependencies"
        known = self._named(poetry.get("extras", {}), "tool.poetry.extras")
        chosen: set[str] = {canonicalize_name(extra) for extra in extras}
        for extra in sorted(chosen):
            self._of(extra, known, f"tool.poetry.extras.{extra}", ())
        try:
            lines = list(poetry_lines(poetry["dependencies"], known, chosen))
        except ValueError as error:
            raise self._wrong(key, str(error)) from error
        for name, line in lines:
            try:
                Requirement(line)
            except (InvalidRequirement, RecursionError) as error:
                why = f"{_short(line)} is not a requirement for pip"
                raise self._wrong(
                    f"{key}.{name}", why, hint="write it as a version with >= and <, or lock it"
                ) from error
            self._count(key)
            yield line

    def groups(self, groups: Collection[str]) -> Iterator[str]:
        """Those of ``[dependency-groups]``, includes followed."""
        known = self._named(self._document.get("dependency-groups", {}), "dependency-groups")
        for group in sorted({canonicalize_name(group) for group in groups}):
            yield from self._group(group, known, ())

    def _extra(
        self, extra: str, known: Mapping[str, Sequence[Any]], name: str, above: tuple[str, ...]
    ) -> Iterator[str]:
        key = f"project.optional-dependencies.{extra}"
        for text in self._texts(self._of(extra, known, key, above), key):
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) != name:
                yield text
                continue
            # "all = ['app[web,cli]']": a project may put its extras together so.
            for inner in sorted(map(canonicalize_name, requirement.extras)):
                yield from self._extra(inner, known, name, (*above, extra))

    def _group(self, group: str, known: Mapping[str, Sequence[Any]], above: tuple[str, ...]) -> Iterator[str]:
        key = f"dependency-groups.{group}"
        for item in self._of(group, known, key, above):
            if isinstance(item, dict) and set(item) == {"include-group"}:
                yield from self._group(canonicalize_name(str(item["include-group"])), known, (*above, group))
            else:
                yield from self._texts([item], key)

    def _of(self, name: str, known: Mapping[str, Sequence[Any]], key: str, above: tuple[str, ...]) -> Sequence[Any]:
        if name in above:
            raise self._wrong(key, f"includes itself: {' → '.join((*above, name))}")
        if len(above) >= DEPTH:
            raise self._wrong(key, f"includes each other more than {DEPTH} deep")
        self._count(key)
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "there is none"
            raise self._wrong(key, f"no such name; {there}")
        return known[name]

    def _named(self, table: object, key: str) -> dict[str, Sequence[Any]]:
        if not isinstance(table, dict) or not all(isinstance(value, list) for value in table.values()):
            raise self._wrong(key, "expected a table of lists")
        return {canonicalize_name(name): value for name, value in table.items()}

    def _texts(self, items: object, key: str) -> Iterator[str]:
        if not isinstance(items, list):
            raise self._wrong(key, "expected a list")
        for number, item in enumerate(items):
            self._count(key)
            try:
                Requirement(item if isinstance(item, str) else "")
            except (InvalidRequirement, RecursionError) as error:
                raise self._wrong(f"{key}[{number}]", f"{_short(item)} is not a requirement") from error
            yield str(item)

    def _count(self, key: str) -> None:
        self._met += 1
        if self._met > MOST:
            raise self._wrong(key, f"with what it includes there are more than {MOST} requirements")

    def _wrong(self, key: str, why: str, *, hint: str | None = None) -> RecipeError:
        return RecipeError(str(self._file), key, why, hint=hint)


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 200 else f"{text[:200]}…"
