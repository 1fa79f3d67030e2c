"""Poetry's own way of writing dependencies (``[tool.poetry.dependencies]``), as requirements that pip knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_PART = re.compile(r"(?P<operator>[\^~]|~=|[=!<>]=?|===)?\s*(?P<version>[^\s,]+)")
_REFUSED = {"git": "a checkout of git", "path": "a path", "url": "a URL", "file": "a file"}


def specifier_of(text: str) -> str:
    """The specifier (PEP 440) that a constraint of Poetry's is: ``^1.2`` is ``>=1.2,<2``. Raises nothing.

    What cannot be said so (``||``) comes back as it is, and is no specifier.
    """
    if "|" in text:
        return text
    parts = re.sub(r"([\^~=!<>])\s+", r"\1", text.strip()).replace(",", " ").split()
    return ",".join(filter(None, map(_part, parts)))


def _part(text: str) -> str:
    found = _PART.fullmatch(text)
    if text == "*" or found is None:
        return "" if text == "*" else text
    operator, version = found["operator"], found["version"]
    if operator is None:
        return f"=={version}"
    if operator == "=":
        return f"=={version}"
    if operator not in ("^", "~"):
        return text
    try:
        release = list(Version(version).release)
    except InvalidVersion:
        return text
    return f">={version},<{_above(release, caret=operator == '^')}"


def _above(release: list[int], *, caret: bool) -> str:
    """The first version that ``^`` or ``~`` leave out."""
    if not caret:
        at = min(1, len(release) - 1)
    else:
        # The first part that is not zero may not change, nor, where all are, the last.
        at = next((number for number, part in enumerate(release) if part), len(release) - 1)
    return ".".join(map(str, [*release[:at], release[at] + 1]))


def poetry_lines(
    dependencies: Mapping[str, Any], extras: Mapping[str, Any], chosen: set[str]
) -> Iterator[tuple[str, str]]:
    """The requirements of a table of dependencies, each with its key; optional ones where ``chosen`` extras have them.

    Raises ValueError, with a clause, for what is no requirement for pip.
    """
    brought = {canonicalize_name(name) for key in chosen for name in _names(extras.get(key))}
    for name, value in dependencies.items():
        if canonicalize_name(name) == "python":
            continue
        for entry in value if isinstance(value, list) else [value]:
            table = {"version": entry} if isinstance(entry, str) else entry
            if not isinstance(table, dict):
                raise ValueError(f"{name}: expected a version or a table")
            if table.get("optional") is True and canonicalize_name(name) not in brought:
                continue
            yield name, _line(name, table)


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _line(name: str, table: Mapping[str, Any]) -> str:
    for key, what in _REFUSED.items():
        if key in table:
            raise ValueError(f"{name}: {what} is not a version; build a wheel of it, and require that")
    version = table.get("version", "*")
    if not isinstance(version, str):
        raise ValueError(f"{name}: its version is no text")
    extras = _names(table.get("extras"))
    brackets = f"[{','.join(extras)}]" if extras else ""
    markers = [f"({text})" for text in (table.get("markers"), _python(table.get("python"))) if text]
    return f"{name}{brackets}{specifier_of(version)}" + (f" ; {' and '.join(markers)}" if markers else "")


def _python(constraint: object) -> str:
    if not isinstance(constraint, str):
        return ""
    alternatives = [specifier_of(part) for part in constraint.split("||")]
    terms = [" and ".join(_term(each) for each in one.split(",") if each) for one in alternatives]
    return " or ".join(filter(None, terms))


def _term(specifier: str) -> str:
    found = re.fullmatch(r"([=!<>~]+)\s*(.+)", specifier)
    return f'python_full_version {found[1]} "{found[2]}"' if found else ""
