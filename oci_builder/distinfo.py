"""The texts of a .dist-info folder, read as pip and ``importlib.metadata`` read them: one reader of each.

What they skip is skipped, and what they stumble over is a ValueError, whose text is a clause. Where bytes come from and
how long they may be is the caller's affair.
"""

from __future__ import annotations

import csv
import importlib.metadata
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from os import PathLike
from pathlib import Path

_VERSIONED = {"pip": r"pip(\d+(\.\d+)?)?", "easy_install": r"easy_install(-\d+\.\d+)?"}
"""Scripts whose wheels name them after the Python that built the wheel."""

# What distlib, which writes scripts for pip, takes for "name = module:attribute [extras]".
_SPECIFICATION = r"([^\[]\S*)\s*=\s*(\w+(?:[:.]\w+)*)\s*(\[\s*[\w-]+(?:=\w+)?(?:,\s*\w+(?:=\w+)?)*\s*\])?"
_FIRST = re.compile(_SPECIFICATION)
# A match begins there or at the edge of a gap; trying every place would take quadratic time.
_LATER = re.compile(rf"(?:(?<!\s)(?=\s)|(?=\s\S)){_SPECIFICATION}")


@dataclass(frozen=True, slots=True)
class Script:
    """A script to write: its path from the folder of scripts on, and what it calls."""

    name: str
    module: str
    attribute: str


def record_rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Path, digest and size of every line of a RECORD that has a path; what a short line leaves out is "".

    Raises ValueError at a line that is none, after those before it.
    """
    try:
        for row in csv.reader(text.removeprefix("\ufeff").splitlines()):
            if row and row[0]:
                yield row[0], row[1] if len(row) > 1 else "", row[2] if len(row) > 2 else ""
    except csv.Error as error:
        raise ValueError(str(error)) from error


def headers(text: str) -> Message:
    """The fields of METADATA or WHEEL."""
    return HeaderParser().parsestr(text)


def check_wheel_version(fields: Message) -> None:
    """Whether this wheel is of a format that pip installs. Raises ValueError."""
    version = str(fields.get("Wheel-Version", "")).strip()
    if not version:
        raise ValueError("WHEEL has no Wheel-Version")
    parts = version.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ValueError(f"{version[:40]!r} is no Wheel-Version")
    if int(parts[0]) > 1:
        raise ValueError(f"Incompatible Wheel-Version {version[:40]}, and 1.x is what there are installers for")


def root_is_purelib(fields: Message) -> bool:
    """Whether what lies outside of .data is pure Python, as WHEEL says."""
    return str(fields.get("Root-Is-Purelib", "")).lower() == "true"


class _Text(importlib.metadata.Distribution):
    """A distribution that is an entry_points.txt and nothing else."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "entry_points.txt" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        return Path(path)


def entry_points(text: str) -> Mapping[str, Mapping[str, str]]:
    """The console_scripts and gui_scripts of an entry_points.txt, by group and name; of a name the last one counts.

    Raises ValueError.
    """
    found: dict[str, dict[str, str]] = {"console_scripts": {}, "gui_scripts": {}}
    try:
        points = _Text(text).entry_points
    except TypeError as error:
        raise ValueError("a line of entry_points.txt has no '='") from error
    for point in points:
        if point.group in found:
            found[point.group][point.name] = point.value
    return found


def scripts(points: Mapping[str, Mapping[str, str]], minor: tuple[int, int]) -> Iterator[Script]:
    """What pip makes of ``entry_points`` for Python ``minor``, in its order: of two with one path the later counts.

    pip's and easy_install's own are named after the Python they are for. A name may lead out of the folder: whoever
    writes the script refuses that. Raises ValueError for an entry point that is no "module:attribute".
    """
    console = dict(points["console_scripts"])
    for name, pattern in _VERSIONED.items():
        called = console.pop(name, "")
        if not called:
            continue
        version = f"{minor[0]}.{minor[1]}"
        names = (name, f"{name}{minor[0]}", f"{name}{version}") if name == "pip" else (name, f"{name}-{version}")
        for each in names:
            yield _script(f"{each} = {called}")
        console = {each: value for each, value in console.items() if not re.match(rf"{pattern}$", each)}
    for group in (console, points["gui_scripts"]):
        for name, value in group.items():
            yield _script(f"{name} = {value}")


def _script(specification: str) -> Script:
    shown = specification if len(specification) < 100 else f"{specification[:100]}…"
    start = len(specification) - len(specification.lstrip("["))
    found = _FIRST.match(specification, start) or _LATER.search(specification, start)
    module, colon, attribute = found[2].partition(":") if found else ("", "", "")
    if not found or not colon or ":" in attribute or (not found[3] and re.search(r"[\[\]]", specification)):
        raise ValueError(f"the entry point {shown!r} is not 'name = module:attribute'")
    return Script(posixpath.normpath(found[1]), module, attribute)
