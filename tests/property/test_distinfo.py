"""The texts of .dist-info are read as pip and importlib.metadata read them, whatever stands in them."""

from __future__ import annotations

import contextlib
import csv
import email.parser
import importlib.metadata
import posixpath
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pip._internal.exceptions import UnsupportedWheel
from pip._internal.metadata.importlib._dists import Distribution, WheelDistribution
from pip._internal.operations.install import wheel as pip_wheel
from pip._internal.utils.wheel import check_compatibility, wheel_version
from pip._vendor.distlib import DistlibException
from pip._vendor.distlib.util import get_export_entry

from oci_builder import distinfo

ENTRY_WORDS = [
    *("[console_scripts]", "[gui_scripts]", "[x]", "[console_scripts]\n", "[gui_scripts]\n", "[", "]"),
    *("a", "b.c", "pip", "pip3", "pip3.9", "easy_install", "=", ":", " = ", "#", ";", "é", "/", "..", "\ufeff"),
    *("a = m:f", "b=m.n:o.p [x, y]", "easy_install-3.6 = m:f", "pip = m:f", "\nc = m:f\n"),
    *("\n", "\r\n", "\n\n", " ", "\t"),
]
ROW_WORDS = [
    *("a", "./a", "/a", "a\\b", ",", ",,", "sha256=", "x", "\n", "\r\n"),
    *('"', '""', "\ufeff", " ", "1", "\u2028"),
]
FIELD_WORDS = [
    *("Wheel-Version", "wheel-version", "Wheel-Version: ", "Root-Is-Purelib", "Tag: x", "Name: demo\n", ":", ": "),
    *("1.0", "1", "2.0", "1.9", "0.1", "true", "True", "false", "x", "\n", "\r\n", "\n\n", " ", "\t", "\ufeff"),
]


def texts(words: list[str], most: int = 14) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), max_size=most).map("".join)


class Only(importlib.metadata.Distribution):
    """A distribution with one text."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == self._name else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


def pips(name: str, text: str) -> Distribution:
    files = {PurePosixPath(name): text.encode()}
    return Distribution(WheelDistribution(files, PurePosixPath("x")), None, None)


@given(texts(ROW_WORDS))
@settings(max_examples=300, deadline=None)
@example('a,sha256=x,1\n"b\nc",,\n')
def test_rows_of_record_are_those_of_pip(text: str) -> None:
    try:
        ours = list(distinfo.record_rows(text))
    except ValueError:
        with pytest.raises(csv.Error):
            list(csv.reader(text.splitlines()))
        return
    theirs = [row for row in csv.reader(text.removeprefix("\ufeff").splitlines()) if row and row[0]]
    assert ours == [(*row, "", "")[:3] for row in theirs]


@given(st.lists(st.tuples(st.sampled_from(["a", "b/c.py", "d,e", 'f"g', "é"]), st.sampled_from(["", "sha256=x"]))))
@settings(max_examples=50, deadline=None)
def test_rows_of_record_are_those_of_importlib(rows: list[tuple[str, str]]) -> None:
    text = "".join(f'"{path.replace(chr(34), chr(34) * 2)}",{digest},\n' for path, digest in rows)
    theirs = importlib.metadata.Distribution.files.fget  # type: ignore[attr-defined]  # a property
    found = theirs(Only("RECORD", text)) or []
    # From 3.12 on files that are not there are left out.
    if sys.version_info < (3, 12):
        assert [str(each) for each in found] == [path for path, _, _ in distinfo.record_rows(text)]


def called(specification: str) -> tuple[str, str, str] | None:
    """What distlib makes of an entry point: a script's path, module and attribute."""
    read: Callable[[str], Any] = get_export_entry
    with contextlib.suppress(DistlibException):
        entry = read(specification)
        if entry is not None and entry.suffix is not None:
            return posixpath.normpath(entry.name), entry.prefix, entry.suffix
    return None


@given(texts(ENTRY_WORDS))
@settings(max_examples=500, deadline=None)
@example("[console_scripts]\npip = m:f\npip3 = m:f\npip3.9 = m:f\npipx = m:f\neasy_install = m:f\n")
@example("[console_scripts]\na b = m:f\n[gui_scripts]\na b = m:g [x]\n")
def test_entry_points_and_their_scripts_are_those_of_pip(text: str) -> None:
    try:
        console, gui = pip_wheel.get_entrypoints(pips("entry_points.txt", text))
    except TypeError:
        with pytest.raises(ValueError, match="has no '='"):
            distinfo.entry_points(text)
        return
    points = distinfo.entry_points(text)
    assert points == {"console_scripts": console, "gui_scripts": gui}
    specifications = pip_wheel.get_console_script_specs(console) + [f"{name} = {value}" for name, value in gui.items()]
    theirs = [called(each) for each in specifications]
    if None in theirs:
        with pytest.raises(ValueError, match="is not 'name = module:attribute'"):
            list(distinfo.scripts(points, sys.version_info[:2]))
        return
    ours = [(each.name, each.module, each.attribute) for each in distinfo.scripts(points, sys.version_info[:2])]
    assert ours == theirs


@given(texts(FIELD_WORDS))
@settings(max_examples=300, deadline=None)
@example("Wheel-Version: 1.0\r\nRoot-Is-Purelib: TRUE\r\n")
def test_what_wheel_says_is_what_pip_hears(text: str) -> None:
    fields, theirs = distinfo.headers(text), email.parser.Parser().parsestr(text)
    assert fields.items() == theirs.items()
    assert distinfo.root_is_purelib(fields) == pip_wheel.wheel_root_is_purelib(theirs)
    try:
        check_compatibility(wheel_version(theirs), "x")
    except UnsupportedWheel:
        with pytest.raises(ValueError, match="Wheel-Version"):
            distinfo.check_wheel_version(fields)
        return
    distinfo.check_wheel_version(fields)


@given(texts([*FIELD_WORDS, "Requires-Dist: a\n", "Requires-Dist: b; extra == 'x'\n", "Version: 1\n", "é"]))
@settings(max_examples=200, deadline=None)
def test_what_metadata_says_is_what_importlib_hears(text: str) -> None:
    theirs = Only("METADATA", text).metadata
    ours = distinfo.headers(text)
    for name in ("Name", "Version", "Requires-Dist", "Tag"):
        # importlib indents folded values anew; who reads them strips them.
        assert list(map(str.split, ours.get_all(name, []))) == list(map(str.split, theirs.get_all(name) or []))


def test_ten_thousand_gaps_in_an_entry_point_are_read_in_no_time() -> None:
    points = {"console_scripts": {" " * 200_000 + "a" * 200_000: "=" * 200_000}, "gui_scripts": {}}
    with pytest.raises(ValueError, match="is not 'name"):
        list(distinfo.scripts(points, (3, 11)))
