"""Which Debian package brings a shared library: an index of a suite's sonames, made of its signed list of contents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from oci_builder.files import open_regular
from oci_builder.outputs import atomic
from oci_builder.platforms import Platform

SCHEMA = 1
LIMIT = 4 << 20
_DIGITS = tuple("0123456789")
_LINE = re.compile(
    rb"^(?:usr/)?lib/(?:[a-z0-9_]+-linux-gnu/)?(lib[A-Za-z0-9_.+-]*\.so(?:\.[0-9]+){0,2})[ \t]+(\S+)$", re.MULTILINE
)
"""A library right in a folder the loader looks in, as a soname is spelled: ``libfoo.so.1.2.3`` is a file."""


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """``packages`` maps a package to its sonames, with blanks between: half as long as the other way round."""

    schema: int
    packages: dict[str, str]


def libraries_path(folder: Path, platform: Platform) -> Path:
    """Where a base in ``folder`` keeps its index for ``platform``."""
    return folder / f"libraries.{platform.architecture}.json"


def read_libraries(path: Path) -> Mapping[str, str]:
    """The index at ``path``, soname to package. Empty where there is none that reads: it only makes hints better."""
    try:
        with open_regular(path) as stream:
            found = msgspec.json.decode(stream.read(LIMIT), type=_Index)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    if found.schema != SCHEMA:
        return {}
    return {soname: package for package, names in found.packages.items() for soname in names.split()}


def write_libraries(libraries: Mapping[str, str], path: Path) -> None:
    """Put the index at ``path``, whole, sorted, a line for each package. Raises FileProblem."""
    packages: dict[str, list[str]] = {}
    for soname, package in sorted(libraries.items(), key=lambda pair: pair[::-1]):
        packages.setdefault(package, []).append(soname)
    index = _Index(schema=SCHEMA, packages={package: " ".join(names) for package, names in packages.items()})
    document = msgspec.json.encode(index)
    with atomic(path) as sink:
        sink.write(msgspec.json.format(document, indent=1) + b"\n")


def sonames(contents: bytes) -> dict[str, str]:
    """Sonames and their packages, from a suite's Contents (Debian repository format, "Contents").

    Of several packages with one library, the one named like it wins (libGL.so.1: libgl1), then the shortest name.
    """
    found: dict[str, list[str]] = {}
    for match in _LINE.finditer(contents):
        places = (place.rpartition("/")[2] for place in match[2].decode("utf-8", "replace").split(","))
        # What ends in .so is a link for the linker in a -dev package, and elsewhere a library without a version.
        packages = [name for name in places if name and not name.endswith("-dev")]
        if packages:
            found.setdefault(match[1].decode(), []).extend(packages)
    return {soname: min(packages, key=lambda name: _rank(soname, name)) for soname, packages in found.items()}


def _rank(soname: str, package: str) -> tuple[bool, bool, int, str]:
    stem, _, version = soname.partition(".so.")
    # Policy 8.1: the package is called after the library and its version, with a dash where one digit meets another.
    plain = stem.lower().replace("_", "-")
    usual = f"{plain}{'-' if plain[-1:] in _DIGITS else ''}{version}"
    return not package.startswith(usual), not package.startswith(plain), len(package), package
