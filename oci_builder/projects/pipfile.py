"""Pipfile.lock: sections of pins with hashes of all their files; which of those are wheels only an index tells.

It is made on one machine, and says nothing of others: what has neither version nor hash there is of another platform,
which the marker in ``Pipfile`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from oci_builder import inputs
from oci_builder.bounded import load_toml
from oci_builder.errors import RecipeError
from oci_builder.files import open_regular
from oci_builder.projects.documents import LIMIT, as_kind, load_document
from oci_builder.projects.markers import MarkerReader
from oci_builder.projects.packages import Choice, LockedFile, LockedPackage, check_known, hex_of
from oci_builder.tomlslips import clause
from oci_builder.wheels.origins import INDEX, Origin, of_checkout, of_path, of_url

SPEC = 6
DEFAULT, DEVELOP = "default", "develop"
_META = "_meta"
# What a Pipfile may say instead of one marker.
_VARIABLES = (
    *("os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release"),
    *("platform_system", "platform_version", "python_version", "python_full_version", "implementation_name"),
    "implementation_version",
)


class _Meta(msgspec.Struct, frozen=True, rename="kebab"):
    pipfile_spec: int


class _PipfileLock(msgspec.Struct, frozen=True):
    meta: _Meta = msgspec.field(name=_META)


class _Entry(msgspec.Struct, frozen=True):
    version: str = ""
    markers: str = ""
    hashes: tuple[str, ...] = ()
    git: str | None = None
    hg: str | None = None
    svn: str | None = None
    bzr: str | None = None
    ref: str | None = None
    subdirectory: str | None = None
    path: str | None = None
    file: str | None = None


def read_pipfile(data: bytes, path: Path, environment: Mapping[str, str], choice: Choice) -> tuple[LockedPackage, ...]:
    """The packages that pipenv would install for ``choice``, whose extras and groups are its categories.

    Raises RecipeError.
    """
    document = load_document(data, path)
    lock = as_kind(document, path, _PipfileLock)
    if lock.meta.pipfile_spec != SPEC:
        why = f"version {lock.meta.pipfile_spec} of the format; version {SPEC} is known"
        raise RecipeError(str(path), "_meta.pipfile-spec", why, hint="make it anew: pipenv lock")
    sections = as_kind(document, path, dict[str, Any])
    named: dict[str, str] = {canonicalize_name(name): name for name in sections if name not in (_META, DEFAULT)}
    # What is called dev-packages in a Pipfile is called develop in its lock.
    named |= {name: DEVELOP for name in ("dev", "dev-packages") if DEVELOP in sections}
    wanted = set(named) if choice.every else choice.extras | choice.groups
    check_known(path, "category", wanted, named)
    markers = MarkerReader(path, environment)
    found: dict[str, LockedPackage] = {}
    for section in (DEFAULT, *sorted({named[name] for name in wanted})):
        entries = sections.get(section, {})
        for name, entry in _entries(entries, section, path).items():
            if choice.every or (markers.holds(entry.markers) and not _is_elsewhere(name, entry, path, markers)):
                found.setdefault(canonicalize_name(name), _locked(name, entry, path))
    return tuple(found.values())


def _entries(table: object, section: str, path: Path) -> dict[str, _Entry]:
    try:
        return msgspec.convert(table, dict[str, _Entry])
    except msgspec.ValidationError as error:
        raise RecipeError(str(path), section, str(error), hint="make it anew: pipenv lock") from error


def _is_elsewhere(name: str, entry: _Entry, path: Path, markers: MarkerReader) -> bool:
    """Whether an entry was not locked, for the Pipfile says that it is for another platform."""
    if entry.hashes or _origin(entry, path) != INDEX or entry.version.startswith("=="):
        return False
    return any(not markers.holds(marker) for marker in _said(name, path))


def _said(name: str, path: Path) -> Sequence[str]:
    """The markers that the Pipfile beside a lock gives a package."""
    file = path.with_name("Pipfile")
    if not inputs.is_file(file):
        return ()
    try:
        with open_regular(file) as stream:
            document = load_toml(stream.read(LIMIT).decode())
    except (OSError, ValueError) as error:
        raise RecipeError(str(file), "", f"not TOML: {clause(str(error))}") from error
    entries = [
        entry
        for table in document.values()
        if isinstance(table, dict)
        for key, entry in table.items()
        if canonicalize_name(key) == canonicalize_name(name) and isinstance(entry, dict)
    ]
    return [marker for entry in entries for marker in _markers_of(entry)]


def _markers_of(entry: Mapping[str, Any]) -> Sequence[str]:
    found = [f"{name} {entry[name]}" for name in _VARIABLES if isinstance(entry.get(name), str)]
    return [*found, *([entry["markers"]] if isinstance(entry.get("markers"), str) else [])]


def _locked(name: str, entry: _Entry, path: Path) -> LockedPackage:
    version = entry.version.removeprefix("==") if entry.version.startswith("==") else ""
    origin = _origin(entry, path)
    hashes = tuple(filter(None, map(hex_of, entry.hashes)))
    files: tuple[LockedFile, ...] = ()
    if origin.direct and len(hashes) == 1:
        files = (LockedFile(filename=origin.filename, sha256=hashes[0], url=origin.url, path=origin.file),)
    elif origin.direct:
        origin = Origin(refused="a file that is no wheel with one hash")
    elif origin == INDEX and not (version and hashes):
        why = "it has neither version nor hashes there: it was locked on a machine that does not install it"
        origin = Origin(refused=why)
    return LockedPackage(
        name=canonicalize_name(name),
        version=version,
        files=files,
        hashes=hashes if origin == INDEX else (),
        origin=origin,
    )


def _origin(entry: _Entry, path: Path) -> Origin:
    below = entry.subdirectory or ""
    for kind in ("git", "hg", "svn", "bzr"):
        url = getattr(entry, kind)
        if url is not None:
            return of_checkout(url, kind=kind, commit=entry.ref or "", subdirectory=below)
    place = entry.path if entry.path is not None else entry.file
    if place is None:
        return INDEX
    return of_url(place, path, subdirectory=below) if "://" in place else of_path(place, path, subdirectory=below)
