"""poetry.lock: a list, of which groups and markers cut what is wanted; every marker is inherited already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.projects.documents import check_python, parse_document
from oci_builder.projects.markers import MarkerReader
from oci_builder.projects.packages import Choice, LockedFile, LockedPackage, check_known, hex_of
from oci_builder.wheels.origins import INDEX, Origin, of_checkout, of_folder, of_path, of_url
from oci_builder.wheels.poetry_requirements import specifier_of

MAIN = "main"


class _File(msgspec.Struct, frozen=True):
    file: str
    hash: str | None = None


class _Source(msgspec.Struct, frozen=True):
    type: str = ""
    url: str = ""
    resolved_reference: str = ""
    subdirectory: str = ""


class _Package(msgspec.Struct, frozen=True):
    name: str
    version: str
    groups: tuple[str, ...] = ()
    markers: str | dict[str, str] = ""
    files: tuple[_File, ...] = ()
    source: _Source = _Source()


class _Metadata(msgspec.Struct, frozen=True, rename="kebab"):
    lock_version: str
    python_versions: str = ""


class _PoetryLock(msgspec.Struct, frozen=True):
    metadata: _Metadata
    package: tuple[_Package, ...] = ()
    extras: dict[str, tuple[str, ...]] = {}


def read_poetry(data: bytes, path: Path, environment: Mapping[str, str], choice: Choice) -> tuple[LockedPackage, ...]:
    """The packages that Poetry would install for ``choice``. Raises RecipeError, StaleLock."""
    lock = parse_document(data, path, _PoetryLock)
    _check_version(lock.metadata.lock_version, path)
    if choice.every:
        return tuple(_locked(package, path) for package in lock.package)
    check_python(path, specifier_of(lock.metadata.python_versions), environment["python_full_version"])
    check_known(path, "extra", choice.extras, lock.extras)
    check_known(path, "group", choice.groups, {group for package in lock.package for group in package.groups})
    markers = MarkerReader(path, environment, choice.extras)
    wanted = {MAIN, *choice.groups}
    return tuple(_locked(package, path) for package in lock.package if _is_wanted(package, wanted, markers))


def _check_version(version: str, path: Path) -> None:
    major, _, minor = version.partition(".")
    if major == "2" and minor.isascii() and minor.isdigit() and int(minor[:9]) >= 1:
        return
    older = major in ("0", "1") or (major == "2" and minor == "0")
    hint = "make it anew with Poetry 2: poetry lock" if older else "use a newer ocibuild"
    raise RecipeError(str(path), "metadata.lock-version", f"{version[:40]!r}; 2.1 and what follows is known", hint=hint)


def _is_wanted(package: _Package, wanted: set[str], markers: MarkerReader) -> bool:
    for group in package.groups:
        if canonicalize_name(group) in wanted:
            marker = package.markers if isinstance(package.markers, str) else package.markers.get(group, "")
            if markers.holds(marker):
                return True
    return False


def _locked(package: _Package, path: Path) -> LockedPackage:
    origin = _origin(package.source, path)
    return LockedPackage(
        name=canonicalize_name(package.name),
        version=package.version,
        files=tuple(
            LockedFile(filename=each.file, sha256=hex_of(each.hash), url=origin.url, path=origin.file)
            for each in package.files
        ),
        origin=origin,
    )


def _origin(source: _Source, path: Path) -> Origin:
    match source.type:
        case "git":
            return of_checkout(source.url, commit=source.resolved_reference, subdirectory=source.subdirectory)
        case "directory":
            return of_folder(source.url, path, subdirectory=source.subdirectory)
        case "file":
            return of_path(source.url, path)
        case "url":
            return of_url(source.url, path, subdirectory=source.subdirectory)
    return INDEX
