"""Whether a project can be installed, and by which commands: what its build backend would find, told without it."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oci_builder import inputs
from oci_builder.files import open_regular

SETUP_CFG = "setup.cfg"
_LARGEST = 1 << 20

_BY_NAME = ("poetry", "hatchling", "flit_core", "uv_build")
"""Backends that look for what is called like the project, unless they are told otherwise."""

_SAID = (
    *(("setuptools", "packages"), ("setuptools", "py-modules"), ("setuptools", "package-dir"), ("poetry", "packages")),
    *(("hatch", "build"), ("flit", "module"), ("uv", "build-backend"), ("pdm", "build")),
)
"""Keys below ``tool`` that say what is in a package."""

_NOT_PACKAGES = frozenset(
    (
        *("ci", "bin", "debian", "doc", "docs", "documentation", "manpages", "news", "newsfragments", "changelog"),
        *("test", "tests", "unit_test", "unit_tests", "example", "examples", "scripts", "tools", "util", "utils"),
        *("python", "build", "benchmark", "benchmarks", "exercise", "exercises", "htmlcov", "tasks", "fabfile"),
        *("site_scons", "dist", "node_modules", "venv", "env"),
    )
)
"""Folders that setuptools takes for no package (setuptools.discovery.FlatLayoutPackageFinder)."""


def table_of(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any] | None:
    """The table below ``keys``; None where something else is there, or nothing."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def scripts_of(document: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The names of the commands that the project of ``folder`` brings, sorted."""
    found: set[str] = set()
    for keys in (("project", "scripts"), ("tool", "poetry", "scripts")):
        found |= set(table_of(document, *keys) or {})
    found |= set(_setup_cfg_scripts(folder))
    return tuple(sorted(found))


def declared_name(folder: Path) -> str:
    """The name of the project whose setup.cfg says what a setup.py would only tell when it is run; "" for none."""
    config = _setup_cfg(folder)
    return config.get("metadata", "name", fallback="").strip() if config.has_section("options") else ""


def has_package(document: Mapping[str, Any], folder: Path, name: str) -> bool:
    """Whether the project's backend would find something in ``folder`` to install; also where no Python is at all."""
    if any(_says(document, *keys) for keys in _SAID):
        return True
    backend = str((table_of(document, "build-system") or {}).get("build-backend", "setuptools"))
    if any(_is_called(folder / place, name) for place in ("src", "")):
        return True
    if backend.startswith("setuptools") and (inputs.is_file(folder / "setup.py") or _is_discovered(folder)):
        return True
    return not backend.startswith((*_BY_NAME, "setuptools")) or not _has_python(folder)


def _says(document: Mapping[str, Any], tool: str, key: str) -> bool:
    return bool((table_of(document, "tool", tool) or {}).get(key))


def _is_called(folder: Path, name: str) -> bool:
    """Whether there is a module or package of the project's name."""
    wanted = re.sub(r"[-_.]+", "_", name).lower()
    if not wanted or not inputs.is_dir(folder):
        return False
    # A name with dots may be that of a package in another.
    return any(
        each.name.lower() in (wanted, f"{wanted}.py") or each.name == name.partition(".")[0]
        for each in inputs.listing(folder)
        if each.suffix == ".py" or inputs.is_dir(each)
    )


def _is_discovered(folder: Path) -> bool:
    """What setuptools does where nothing says what to install: all in src, or the one package or module there is."""
    if inputs.is_dir(folder / "src"):
        return any(inputs.is_dir(each) or each.suffix == ".py" for each in inputs.listing(folder / "src"))
    found = [each for each in inputs.listing(folder) if not each.name.startswith((".", "_"))]
    packages = [
        each for each in found if inputs.is_file(each / "__init__.py") and each.name.lower() not in _NOT_PACKAGES
    ]
    return len(packages) == 1


def _has_python(folder: Path) -> bool:
    """Whether there are Python files in a folder, or in one in it."""
    found = inputs.listing(folder)
    return any(each.suffix == ".py" or (inputs.is_dir(each) and inputs.matching(each, "*.py")) for each in found)


def _setup_cfg_scripts(folder: Path) -> list[str]:
    config = _setup_cfg(folder)
    text = config.get("options.entry_points", "console_scripts", fallback="")
    return [name for line in text.splitlines() if (name := line.partition("=")[0].strip())]


def _setup_cfg(folder: Path) -> configparser.RawConfigParser:
    """A setup.cfg as setuptools reads it; one that cannot be read says nothing."""
    config = configparser.RawConfigParser(strict=False)
    if inputs.is_file(folder / SETUP_CFG):
        try:
            with open_regular(folder / SETUP_CFG) as stream:
                config.read_string(stream.read(_LARGEST).decode())
        except (OSError, ValueError, configparser.Error):
            return configparser.RawConfigParser()
    return config
