"""pylock.toml (PEP 751): the wheels of an image, for every platform it is built for, as ``packaging.pylock`` has it.

Wheels are named by file name, size and digest, with ``wheels/<file>`` as their path and no URL: such a lock works
behind every mirror, and pip and uv install from it where the folder holds the files. What only ocibuild needs stands
in ``tool.ocibuild`` tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec
from packaging.markers import Environment
from packaging.pylock import (
    Package,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import InvalidSdistFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from oci_builder.bounded import load_json, load_toml
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, NotFound, RecipeError, StaleLock, UnsupportedRequirement
from oci_builder.files import open_regular
from oci_builder.wheels.pins import Sdist, WheelPin
from oci_builder.wheels.target import Target
from oci_builder.wheels.wheelurl import check_filename, parse_wheel_url

LIMIT = 16 << 20
"""Bytes of a lock file that are read; one of 1,000 projects with 20 wheels each has a third of that."""

_AGAIN = "make it anew with 'ocibuild lock'"


T = TypeVar("T")


class _Tool(msgspec.Struct, frozen=True):
    """``[tool.ocibuild]``; another tool's lock has none."""

    fingerprint: str = ""
    targets: tuple[str, ...] = ()
    base: str = ""


class _BuiltFrom(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _PackageTool(msgspec.Struct, frozen=True, rename="kebab"):
    """``[packages.tool.ocibuild]``."""

    requested: bool = False
    direct_url: str | None = None
    built_from: _BuiltFrom | None = None

    def __post_init__(self) -> None:
        if self.direct_url is not None:
            direct_url(self.direct_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelLock:
    """A lock as it was read; ``fingerprint`` is "" when another tool wrote it."""

    path: Path
    fingerprint: str
    targets: tuple[str, ...]
    base: str
    document: Pylock

    def select(self, target: Target) -> tuple[WheelPin, ...]:
        """The pins for ``target``, sorted by name.

        Raises StaleLock when the lock is not for this target, UnsupportedRequirement for what is no wheel.
        """
        environment = cast("Environment", dict(target.markers()))
        try:
            chosen = list(self.document.select(environment=environment, tags=target.tags()))
        except (PylockSelectError, ValueError, RecursionError) as error:
            # The latter: markers that compare what cannot be compared, or are too deep.
            made = f" (it was made for {'; '.join(self.targets)})" if self.targets else ""
            why = f"nothing for {target}: {_lowered(str(error))}{made}"
            raise StaleLock(str(self.path), why, hint=_AGAIN) from error
        pins = [self._pin(package, file) for package, file in chosen]
        return tuple(sorted(pins, key=lambda pin: pin.name))

    def _pin(self, package: Package, file: object) -> WheelPin:
        if not isinstance(file, PackageWheel):
            raise UnsupportedRequirement(
                package.name,
                str(self.path),
                "the lock has no wheel of it",
                hint=f"build a wheel of it, put it into {self.path.parent / 'wheels'}, and lock again",
            )
        tool = _checked(_PackageTool, package.tool, self.path, f"packages.{package.name}.tool.ocibuild")
        if file.size is not None and file.size < 0:
            raise RecipeError(str(self.path), f"packages.{package.name}", f"a size of {file.size} bytes", hint=_AGAIN)
        return WheelPin(
            name=package.name,
            version=_version(package, file),
            filename=file.filename,
            sha256=self._digest(package, file),
            size=file.size,
            requested=tool.requested,
            direct_url=tool.direct_url,
            built_from=_source(tool.built_from),
            url=parse_wheel_url(file.url).url if file.url and file.url.startswith("http") else None,
        )

    def _digest(self, package: Package, file: PackageWheel) -> Digest:
        try:
            return Digest.parse(f"sha256:{file.hashes.get('sha256', '')}")
        except InvalidValue as error:
            why = f"{file.filename} has no sha256 of 64 lower-case hex digits"
            raise RecipeError(str(self.path), f"packages.{package.name}", why, hint=_AGAIN) from error


def read(path: Path) -> WheelLock:
    """The lock at ``path``, by whichever tool it was written. Raises NotFound, and RecipeError for what is no lock."""
    try:
        with open_regular(path) as stream:
            data = stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise NotFound("wheel lock", path.name, searched=[str(path.parent)], hint=_AGAIN) from error
    if len(data) > LIMIT:
        raise RecipeError(str(path), "", f"longer than {LIMIT} bytes")
    return parse(data, path=path)


def parse(data: bytes, *, path: Path) -> WheelLock:
    """The lock in ``data``; ``path`` is what errors name and where its ``wheels/`` would lie. Raises RecipeError."""
    try:
        document = Pylock.from_dict(load_toml(data.decode()))
    except PylockUnsupportedVersionError as error:
        raise RecipeError(str(path), "lock-version", str(error), hint="use a newer ocibuild") from error
    except PylockValidationError as error:
        raise RecipeError(str(path), error.context or "", error.message, hint=_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(str(path), "", f"not TOML: {error}", hint=_AGAIN) from error
    for package in document.packages:
        _check_places(package, path)
    tool = _checked(_Tool, document.tool, path, "tool.ocibuild")
    return WheelLock(path=path, fingerprint=tool.fingerprint, targets=tool.targets, base=tool.base, document=document)


def changes(old: WheelLock | None, new: WheelLock) -> list[str]:
    """What differs, a line per project: ``numpy 2.4.5 → 2.4.6``, ``+ idna 3.20``, ``- six 1.17.0``."""
    before, after = _versions(old), _versions(new)
    lines = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            lines.append(f"+ {name} {now[0]}")
        elif now is None and was is not None:
            lines.append(f"- {name} {was[0]}")
        elif was is not None and now is not None and was != now:
            lines.append(f"{name} {was[0]} → {now[0]}" if was[0] != now[0] else f"{name} {now[0]}: other files")
    return lines


def _versions(lock: WheelLock | None) -> dict[str, tuple[str, tuple[str, ...]]]:
    found: dict[str, list[Package]] = {}
    for package in lock.document.packages if lock else ():
        found.setdefault(package.name, []).append(package)
    return {
        name: (
            " and ".join(sorted({str(package.version) for package in packages})),
            tuple(sorted(wheel.hashes.get("sha256", "") for package in packages for wheel in package.wheels or ())),
        )
        for name, packages in found.items()
    }


def _source(built: _BuiltFrom | None) -> Sdist | None:
    return Sdist(filename=built.name, sha256=Digest(built.sha256)) if built else None


def _checked(kind: type[T], tool: Mapping[str, Any] | None, path: Path, key: str) -> T:
    """Our own table of ``tool``, which ``packaging`` leaves as it is written. Raises RecipeError."""
    try:
        return msgspec.convert((tool or {}).get("ocibuild", {}), kind)
    except msgspec.ValidationError as error:
        why = _lowered(str(error).replace(" - at `$.", " in `").replace(" - at `$`", ""))
        raise RecipeError(str(path), key, why, hint=_AGAIN) from error


def _check_places(package: Package, path: Path) -> None:
    """Every name and place of the package's wheels is that of a wheel of it: only such are handed to pip."""
    key = f"packages.{package.name}"
    version = "" if package.version is None else str(package.version)
    tool = _checked(_PackageTool, package.tool, path, f"{key}.tool.ocibuild")
    try:
        for wheel in package.wheels or ():
            check_filename(wheel.filename, package.name, version)
            # A file is found by its name: its path may call it otherwise (PEP 751), but not be that of something else.
            if wheel.path is not None and "." in (last := wheel.path.replace("\\", "/").rpartition("/")[2]):
                check_filename(last, package.name, version)
            if wheel.url is not None:
                parse_wheel_url(wheel.url).check_fits(package.name, version)
        if tool.direct_url is not None:
            parse_wheel_url(direct_url(tool.direct_url)).check_fits(package.name, version)
        if tool.built_from is not None:
            _check_sdist(tool.built_from.name, package.name, version)
    except (ValueError, PylockValidationError) as error:
        raise RecipeError(str(path), key, str(error), hint=_AGAIN) from error


def _check_sdist(filename: str, name: str, version: str) -> None:
    try:
        found, its = parse_sdist_filename(filename)
    except InvalidSdistFilename as error:
        raise ValueError(f"{filename[:200]!r} is not the name of a source archive") from error
    if found != name or (version and its != Version(version)):
        raise ValueError(f"{filename[:200]} is not the name of a source archive of {name} {version}")


def _version(package: Package, file: PackageWheel) -> str:
    return str(package.version or parse_wheel_filename(file.filename)[1])


def direct_url(text: str) -> str:
    """The URL in the JSON of a ``direct_url.json`` of an archive. Raises ValueError, with a clause."""
    try:
        document = load_json(text)
    except ValueError as error:
        raise ValueError(f"direct-url is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("url"), str):
        raise ValueError("direct-url is not the JSON of a direct_url.json")
    if {"vcs_info", "dir_info"} & document.keys():
        raise ValueError("direct-url is of a checkout or a folder, not of a wheel")
    return str(document["url"])


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
