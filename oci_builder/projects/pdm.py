"""pdm.lock: a list, of which groups and markers cut what is wanted; extras of the project are groups like others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.projects.documents import parse_document
from oci_builder.projects.markers import MarkerReader
from oci_builder.projects.packages import Choice, LockedFile, LockedPackage, check_known, hex_of
from oci_builder.wheels.origins import INDEX, Origin, of_checkout, of_path, of_url, url_filename, without_credentials

DEFAULT = "default"


class _File(msgspec.Struct, frozen=True):
    file: str = ""
    url: str = ""
    hash: str | None = None


class _Package(msgspec.Struct, frozen=True):
    name: str
    version: str = ""
    groups: tuple[str, ...] = ()
    marker: str = ""
    extras: tuple[str, ...] = ()
    files: tuple[_File, ...] = ()
    git: str | None = None
    hg: str | None = None
    svn: str | None = None
    bzr: str | None = None
    url: str | None = None
    path: str | None = None
    revision: str = ""
    subdirectory: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    lock_version: str
    groups: tuple[str, ...] = ()
    strategy: tuple[str, ...] = ()


class _PdmLock(msgspec.Struct, frozen=True):
    metadata: _Metadata
    package: tuple[_Package, ...] = ()


def read_pdm(data: bytes, path: Path, environment: Mapping[str, str], choice: Choice) -> tuple[LockedPackage, ...]:
    """The packages that PDM would install for ``choice``. Raises RecipeError."""
    lock = parse_document(data, path, _PdmLock)
    known = lock.metadata
    if not known.lock_version.startswith("4."):
        why = f"{known.lock_version[:40]!r}; version 4 is known"
        raise RecipeError(str(path), "metadata.lock_version", why, hint="make it anew with PDM 2.16 or later: pdm lock")
    if "inherit_metadata" not in known.strategy:
        why = "without inherit_metadata it does not say which package is in which group"
        raise RecipeError(
            str(path), "metadata.strategy", why, hint="make it anew: pdm lock --strategy inherit_metadata"
        )
    if choice.every:
        return tuple(_locked(package, path) for package in lock.package if not package.extras)
    wanted = choice.extras | choice.groups
    check_known(path, "extra or group", wanted, known.groups)
    markers = MarkerReader(path, environment, choice.extras)
    groups = {DEFAULT, *wanted}
    # "requests[socks]" stands there beside "requests", with the same files.
    return tuple(
        _locked(package, path)
        for package in lock.package
        if not package.extras and groups & set(map(canonicalize_name, package.groups)) and markers.holds(package.marker)
    )


def _locked(package: _Package, path: Path) -> LockedPackage:
    origin = _origin(package, path)
    return LockedPackage(
        name=canonicalize_name(package.name),
        version=package.version,
        files=tuple(_file(each, origin) for each in package.files),
        origin=origin,
    )


def _origin(package: _Package, path: Path) -> Origin:
    for kind in ("git", "hg", "svn", "bzr"):
        url = getattr(package, kind)
        if url is not None:
            return of_checkout(url, kind=kind, commit=package.revision, subdirectory=package.subdirectory)
    if package.path is not None:
        return of_path(package.path, path, subdirectory=package.subdirectory)
    if package.url is not None:
        return of_url(package.url, path, subdirectory=package.subdirectory)
    return INDEX


def _file(each: _File, origin: Origin) -> LockedFile:
    url = without_credentials(each.url) if each.url else origin.url
    name = each.file or url_filename(each.url)
    return LockedFile(filename=name, sha256=hex_of(each.hash), url=url, path=origin.file)
