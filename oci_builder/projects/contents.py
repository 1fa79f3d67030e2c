"""All that a lock has, whoever made it: what an image that is said to be made of it is held to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.pylock import Package
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from oci_builder.projects.packages import is_foreign
from oci_builder.projects.reading import read_every
from oci_builder.wheels.lock import WheelLock, read
from oci_builder.wheels.lock_sources import origin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """A package of a lock. ``wheels`` are the digests of its files by name, ``hashes`` those of files without names.

    ``needed`` says that the image has to have it. One that is ``built`` is a project in a folder, of which no lock has
    a digest; its ``version`` is "" where the lock leaves that to it.
    """

    name: str
    version: str
    wheels: Mapping[str, str] = field(default_factory=dict)
    hashes: tuple[str, ...] = ()
    needed: bool = False
    built: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LockContents:
    """The packages of the lock at ``path``, for one environment. Not ``chooses`` where extras and groups decide what of
    it is installed, and it does not say which were chosen."""

    path: Path
    entries: tuple[LockEntry, ...]
    chooses: bool = True

    def of(self, name: str) -> tuple[LockEntry, ...]:
        """What it has of a package, in as many versions as there are."""
        return tuple(each for each in self.entries if each.name == name)


def lock_contents(path: Path, environment: Mapping[str, str], *, projects: Collection[str] = ()) -> LockContents:
    """What the lock at ``path`` has for ``environment`` (PEP 508), and ``projects``, which are built beside it.

    Raises NotFound, RecipeError.
    """
    own = tuple(LockEntry(name=canonicalize_name(name), version="", built=True) for name in sorted(projects))
    if is_foreign(path):
        return LockContents(path=path, entries=(*_foreign(path), *own), chooses=False)
    lock = read(path)
    entries = tuple(_entry(lock, each, environment) for each in lock.document.packages if _may(each, lock, environment))
    chooses = not (lock.document.extras or lock.document.dependency_groups)
    return LockContents(path=path, entries=(*entries, *own), chooses=chooses)


def _foreign(path: Path) -> Iterator[LockEntry]:
    for package in read_every(path):
        yield LockEntry(
            name=package.name,
            version=_version(package.version),
            wheels={each.filename: each.sha256 for each in package.files if each.filename.endswith(".whl")},
            hashes=package.hashes,
            built=package.origin.folder is not None,
        )


def _entry(lock: WheelLock, package: Package, environment: Mapping[str, str]) -> LockEntry:
    wheels = {wheel.filename: wheel.hashes.get("sha256", "") for wheel in package.wheels or ()}
    if package.archive is not None and (origin := origin_of(package.archive, lock.path)).direct:
        wheels[origin.filename] = package.archive.hashes.get("sha256", "")
    return LockEntry(
        name=canonicalize_name(package.name),
        version="" if package.version is None else str(package.version),
        wheels=wheels,
        needed=_holds(package.marker, environment, (), lock.document.default_groups or ()),
        built=package.directory is not None,
    )


def _may(package: Package, lock: WheelLock, environment: Mapping[str, str]) -> bool:
    """Whether some choice of extras and groups installs a package: the usual one, or that of all."""
    document = lock.document
    if _holds(package.marker, environment, (), document.default_groups or ()):
        return True
    groups = (*(document.default_groups or ()), *(document.dependency_groups or ()))
    return _holds(package.marker, environment, document.extras or (), groups)


def _holds(marker: Marker | None, environment: Mapping[str, str], extras: Any, groups: Any) -> bool:
    if marker is None:
        return True
    chosen: dict[str, str | frozenset[str]] = {
        **environment,
        "extras": frozenset(extras),
        "dependency_groups": frozenset(groups),
    }
    try:
        return marker.evaluate(chosen, context="lock_file")
    except (UndefinedEnvironmentName, ValueError):
        return marker.evaluate({**environment, "extra": ""})


def _version(text: str) -> str:
    try:
        return str(Version(text)) if text else ""
    except InvalidVersion:
        return text
