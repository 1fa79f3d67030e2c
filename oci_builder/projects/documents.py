"""The bytes of a lock as typed values, within limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from oci_builder.bounded import load_json, load_toml
from oci_builder.errors import NotFound, RecipeError, StaleLock
from oci_builder.files import open_regular
from oci_builder.projects.packages import PIPFILE_LOCK, TOOLS
from oci_builder.tomlfile import convert
from oci_builder.wheels.pythons import offer_of

LIMIT = 16 << 20
"""Bytes of a lock that are read; one of 1,000 packages has a third of that."""

T = TypeVar("T")


def read_bytes(path: Path) -> bytes:
    """What is in a lock. Raises NotFound, RecipeError."""
    try:
        with open_regular(path) as stream:
            data = stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise NotFound("lock", path.name, searched=[str(path.parent)], hint=f"make it: {TOOLS[path.name]}") from error
    if len(data) > LIMIT:
        raise RecipeError(str(path), "", f"longer than {LIMIT} bytes")
    return data


def parse_document(data: bytes, path: Path, kind: type[T]) -> T:
    """The lock in ``data`` as a ``kind`` (a msgspec Struct). Raises RecipeError."""
    return as_kind(load_document(data, path), path, kind)


def load_document(data: bytes, path: Path) -> Any:
    """The TOML or JSON in ``data``. Raises RecipeError."""
    json = path.name == PIPFILE_LOCK
    try:
        text = data.decode()
        return load_json(text) if json else load_toml(text)
    except (ValueError, RecursionError) as error:
        why = f"not {'JSON' if json else 'TOML'}: {error}"
        raise RecipeError(str(path), "", why, hint=f"make it anew: {TOOLS[path.name]}") from error


def as_kind(document: Any, path: Path, kind: type[T]) -> T:
    """A loaded document as a ``kind``. Raises RecipeError."""
    try:
        return convert(document, kind, file=str(path))
    except RecipeError as error:
        again = f"make it anew: {TOOLS[path.name]}"
        raise RecipeError(error.file, error.key, error.why, line=error.line, hint=again) from error


def check_python(path: Path, requires: str, version: str) -> None:
    """Raise StaleLock where a lock was made for other Pythons than ``version``; no specifier at all is taken."""
    try:
        fits = SpecifierSet(requires).contains(version, prereleases=True)
    except InvalidSpecifier:
        return
    if not fits:
        why = f"it was made for Python {requires}, and the base has {version}"
        again = f"let requires-python allow {version} and run {TOOLS[path.name]}"
        hint = f"{again}{offer_of([requires], version) or '; or take a base that has it'}"
        raise StaleLock(str(path), why, hint=hint)
