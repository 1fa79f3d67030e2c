"""A translated recipe as the text of an image.toml, with its reasons in comments."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from oci_builder.dockerfiles.translating import Translation


def recipe_text(translation: Translation, *, up: str = "") -> str:
    """The text of the recipe, for a folder from which ``up`` (``../..``) leads to that of the Dockerfile."""
    document = moved(translation.recipe, up, translation.files) if up else translation.recipe
    return "\n".join(_lines(document, translation)) + "\n"


def moved(document: Mapping[str, Any], up: str, beside: Collection[str]) -> dict[str, Any]:
    """The document with its paths as they lead from a folder below; files ``beside`` the recipe are there."""

    def path(name: str) -> str:
        return name if name in beside else posixpath.normpath(posixpath.join(up, name))

    found = dict(document)
    if "python" in found:
        python = {**found["python"]}
        if "requirements" in python:
            python["requirements"] = [path(name) for name in python["requirements"]]
        if "project" in python:
            python["project"] = path(python["project"])
        found["python"] = python
    if "copy" in found:
        found["copy"] = [{**copy, "src": path(copy["src"])} for copy in found["copy"]]
    return found


def _lines(document: Mapping[str, Any], translation: Translation) -> Iterator[str]:
    comments = translation.comments
    for key, value in document.items():
        if not isinstance(value, dict) and not (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield from _comment(comments.get(key))
            yield f"{key} = {_value(value)}"
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _table(key, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, each in enumerate(value):
                yield ""
                yield from _comment(comments.get(f"{key}[{number}]"))
                yield f"[[{key}]]"
                yield from (f"{name} = {_value(inner)}" for name, inner in each.items())


def _table(key: str, table: Mapping[str, Any]) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if name == "healthcheck"}
    yield ""
    yield f"[{key}]"
    yield from (f"{name} = {_value(value)}" for name, value in table.items() if name not in inner)
    for name, value in inner.items():
        yield from _table(f"{key}.{name}", value)


def _comment(text: str | None) -> Iterator[str]:
    if text:
        yield from (f"# {line}" for line in text.split("\n"))


def _value(value: object) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_value(inner)}' for name, inner in value.items())} }}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _value(name)
