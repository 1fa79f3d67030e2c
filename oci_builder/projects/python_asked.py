"""Which Python a project asks for: in pyproject.toml, ``.python-version`` and the locks of all tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_builder import inputs
from oci_builder.bounded import load_json, load_toml
from oci_builder.files import open_regular
from oci_builder.wheels.poetry_requirements import specifier_of
from oci_builder.wheels.pythons import specifiers

_LIMIT = 16 << 20
_SHORT = 64 << 10
"""Bytes that are read of a lock, and of a .python-version."""

_LONGEST = 200
"""Letters of a specifier: of a longer one nobody could say what it means."""

_VERSION_FILE = ".python-version"
_PIPFILE = "Pipfile.lock"
_NUMBERED = re.compile(r"(?:cpython-|python-?)?(3\.[0-9]{1,3})(?:\.[0-9]{1,4}(?:(?:a|b|rc)[0-9]{1,3})?)?(?:-dev)?\Z")
_ENDS = {"uv.lock": "\n[[package]]", "pdm.lock": "\n[[package]]", "pylock": "\n[[packages]]"}
"""Where packages begin in locks that say before them which Python they are for."""


@dataclass(frozen=True)
class Asked:
    """A specifier (PEP 440), and who says so in which words."""

    specifier: str
    said: str


def python_asked(folders: Iterable[Path], locks: Iterable[Path]) -> tuple[Asked, ...]:
    """What is asked for in ``folders`` and by ``locks``; what cannot be read is nobody's word here."""
    found: list[Asked] = []
    for folder in dict.fromkeys(folders):
        found += _project(folder / "pyproject.toml")
        found += _version_file(folder / _VERSION_FILE)
    for lock in dict.fromkeys(locks):
        found += _lock(lock)
    return _heard(found)


def project_asks(folders: Iterable[Path]) -> tuple[Asked, ...]:
    """What the pyproject.toml files in ``folders`` alone ask for."""
    return _heard([asked for folder in folders for asked in _project(folder / "pyproject.toml")])


def _heard(found: Iterable[Asked]) -> tuple[Asked, ...]:
    short = (Asked(each.specifier, " ".join(each.said.split())) for each in found if len(each.specifier) <= _LONGEST)
    return tuple(dict.fromkeys(each for each in short if specifiers([each.specifier]) is not None))


def _project(path: Path) -> Iterator[Asked]:
    document = _toml(_text(path, _LIMIT))
    said = _table(document, "project").get("requires-python")
    if isinstance(said, str):
        yield Asked(said, f"requires-python {said} in {path.name}")
        return
    poetry = _table(document, "tool", "poetry", "dependencies").get("python")
    # Alternatives are no specifier: then its lock says what there is to say.
    if isinstance(poetry, str) and "|" not in poetry:
        yield Asked(specifier_of(poetry), f"python {poetry} in {path.name}")


def _version_file(path: Path) -> Iterator[Asked]:
    """The first line that names a Python: pyenv and uv take it; one of another implementation is no base's."""
    lines = (line.partition("#")[0].strip() for line in _text(path, _SHORT).splitlines())
    first = next(filter(None, lines), "")
    if match := _NUMBERED.match(first):
        yield Asked(f"=={match[1]}.*", f"{first} in {path.name}")


def _lock(path: Path) -> Iterator[Asked]:
    text = _text(path, _LIMIT)
    if path.name == _PIPFILE:
        required = _table(_json(text), "_meta", "requires")
        said = required.get("python_full_version") or required.get("python_version")
        if isinstance(said, str) and (match := _NUMBERED.match(said)):
            yield Asked(f"=={match[1]}.*", f"python {said} in {path.name}")
        return
    if path.name == "poetry.lock":
        _, mark, rest = text.rpartition("\n[metadata]")
        said = _table(_toml(mark + rest), "metadata").get("python-versions")
        said = specifier_of(said) if isinstance(said, str) and "|" not in said else None
    elif path.name == "pdm.lock":
        targets = _table(_toml(_head(text, path)), "metadata").get("targets")
        only = targets[0] if isinstance(targets, list) and len(targets) == 1 else None
        said = only.get("requires_python") if isinstance(only, dict) else None
    else:
        said = _toml(_head(text, path)).get("requires-python")
    if isinstance(said, str):
        yield Asked(said, f"requires-python {said} in {path.name}")


def _head(text: str, path: Path) -> str:
    """What stands before the packages: the rest is long, and read by whoever needs it."""
    return text.partition(_ENDS.get(path.name, _ENDS["pylock"]))[0]


def _text(path: Path, limit: int) -> str:
    if not inputs.is_file(path):
        return ""
    try:
        with open_regular(path) as stream:
            data = stream.read(limit + 1)
        return data.decode() if len(data) <= limit else ""
    except (OSError, ValueError):
        return ""


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return load_toml(text)
    except (ValueError, RecursionError):
        return {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = load_json(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
