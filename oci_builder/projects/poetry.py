"""poetry.lock: a list, of which groups and markers cut what is wanted; every marker is inherited already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.projects.documents import check_python, parse_document
from oci_builder.projects.markers import MarkerReader
from oci_builder.projects.packages import (
    Choice,
    LockedFile,
    LockedPackage,
    check_known,
    hex_of,
    url_filename,
    without_credentials,
)
from oci_builder.wheels.poetry_requirements import specifier_of

MAIN = "main"


class _File(msgspec.Struct, frozen=True):
    file: str
    hash: str | None = None


class _Source(msgspec.Struct, frozen=True):
    type: str = ""
    url: str = ""


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
    kind, url = package.source.type, package.source.url
    refused = {
        "git": f"a checkout of git, {without_credentials(url)}, is not a wheel",
        "directory": f"a project in the folder {url!r} is not a wheel",
        "file": "" if url.endswith(".whl") else f"a source archive, {url!r}, is not a wheel",
    }
    direct = kind == "url" and url_filename(url).endswith(".whl")
    if kind == "url" and not direct:
        refused["url"] = f"a source archive, {without_credentials(url)}, is not a wheel"
    local = path.parent / url if kind == "file" and url.endswith(".whl") else None
    return LockedPackage(
        name=canonicalize_name(package.name),
        version=package.version,
        files=tuple(_file(each, url if direct else None, local) for each in package.files),
        direct=direct or local is not None,
        refused=refused.get(kind, ""),
    )


def _file(each: _File, url: str | None, local: Path | None) -> LockedFile:
    return LockedFile(
        filename=each.file,
        sha256=hex_of(each.hash),
        url=without_credentials(url) if url else None,
        path=local,
    )
