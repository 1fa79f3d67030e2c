"""pdm.lock: a list, of which groups and markers cut what is wanted; extras of the project are groups like others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.projects.documents import parse_document
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
    direct = package.url if package.url is not None and url_filename(package.url).endswith(".whl") else None
    local = path.parent / package.path if package.path is not None and package.path.endswith(".whl") else None
    return LockedPackage(
        name=canonicalize_name(package.name),
        version=package.version,
        files=tuple(_file(each, direct, local) for each in package.files),
        direct=direct is not None or local is not None,
        refused=_refused(package),
    )


def _refused(package: _Package) -> str:
    checkout = package.git or package.hg or package.svn or package.bzr
    if checkout is not None:
        return f"a checkout, {without_credentials(checkout)}, is not a wheel"
    if package.path is not None and not package.path.endswith(".whl"):
        return f"a project or archive at {package.path!r} is not a wheel"
    if package.url is not None and not url_filename(package.url).endswith(".whl"):
        return f"a source archive, {without_credentials(package.url)}, is not a wheel"
    return ""


def _file(each: _File, direct: str | None, local: Path | None) -> LockedFile:
    url = each.url or direct
    return LockedFile(
        filename=each.file or url_filename(each.url),
        sha256=hex_of(each.hash),
        url=without_credentials(url) if url else None,
        path=local,
    )
