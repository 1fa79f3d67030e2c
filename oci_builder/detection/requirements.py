"""Names of what will be installed, as far as they can be told without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from oci_builder import inputs
from oci_builder.bounded import load_json
from oci_builder.files import open_regular

_LARGEST, _DEEPEST, _MOST_FILES = 16 << 20, 8, 50

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
_PIPFILE_LOCK = "Pipfile.lock"
_NAMES = re.compile(rb'^\[\[package\]\][ \t]*\r?\n(?:(?!\[).*\n)*?name[ \t]*=[ \t]*"([^"\n]{1,200})"', re.MULTILINE)
_LINE = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_INCLUDE = re.compile(r"\s*(?:-r|--requirement)[\s=]*(\S+)")

_BRINGS = {
    "fastapi[standard]": ("uvicorn",),
    "fastapi[all]": ("uvicorn",),
    "fastapi-cli": ("uvicorn",),
    "litestar[standard]": ("uvicorn",),
    "starlette[full]": (),
    "connexion[uvicorn]": ("uvicorn",),
    "channels[daphne]": ("daphne",),
    "python-fasthtml": ("uvicorn", "starlette"),
    "uvicorn-worker": ("uvicorn", "gunicorn"),
    "quart": ("hypercorn",),
    "gradio": ("uvicorn", "fastapi"),
    "nicegui": ("uvicorn", "fastapi"),
    "chainlit": ("uvicorn", "fastapi"),
    "dash": ("flask",),
}
"""What comes along with packages whose users count on it."""


def installed_names(folder: Path, document: Mapping[str, Any], requirements: tuple[str, ...]) -> frozenset[str]:
    """The normalised names of what a lock in ``folder``, its requirements files, or its pyproject.toml ask for.

    ``document`` is the latter. A file that cannot be read names nothing: whoever builds says what is wrong with it.
    """
    found: set[str] = {canonicalize_name(name) for name in _locked(folder)}
    lines = [line for name in requirements if name.endswith(".txt") for line in _lines(folder / name, 0, [])]
    if not lines:
        lines = list(_of_pyproject(document))
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        name = canonicalize_name(match[1])
        extras = [canonicalize_name(extra) for extra in (match[2] or "").split(",") if extra.strip()]
        found |= {name, *(f"{name}[{extra}]" for extra in extras)}
    found |= {each for name in list(found) for each in _BRINGS.get(name, ())}
    return frozenset(found)


def _locked(folder: Path) -> Iterator[str]:
    for name in _LOCKS:
        yield from (each.decode(errors="replace") for each in _NAMES.findall(_bytes(folder / name)))
    data = _bytes(folder / _PIPFILE_LOCK)
    try:
        document = load_json(data) if data else {}
    except ValueError:
        return
    default = document.get("default") if isinstance(document, dict) else None
    yield from default if isinstance(default, dict) else ()


def _lines(path: Path, depth: int, seen: list[Path]) -> Iterator[str]:
    if path in seen or depth > _DEEPEST or len(seen) > _MOST_FILES:
        return
    seen.append(path)
    data = _bytes(path)
    for line in data.decode("utf-8-sig", errors="replace").splitlines():
        included = _INCLUDE.match(line)
        if included is not None:
            yield from _lines(path.parent / included[1], depth + 1, seen)
        elif not line.lstrip().startswith(("#", "-")):
            yield line


def _of_pyproject(document: Mapping[str, Any]) -> Iterator[str]:
    project, tool = document.get("project"), document.get("tool")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    yield from (line for line in listed if isinstance(line, str)) if isinstance(listed, list) else ()
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    table = poetry.get("dependencies") if isinstance(poetry, dict) else None
    for name, said in table.items() if isinstance(table, dict) else ():
        extras = said.get("extras") if isinstance(said, dict) else None
        yield f"{name}[{','.join(map(str, extras))}]" if isinstance(extras, list) else name


def _bytes(path: Path) -> bytes:
    try:
        if not inputs.is_file(path):
            return b""
        with open_regular(path) as stream:
            return stream.read(_LARGEST)
    except (OSError, ValueError):
        return b""
