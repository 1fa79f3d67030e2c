"""pylock.toml (PEP 751): the wheels of an image, for every platform it is built for, as ``packaging.pylock`` has it.

Wheels are named by file name, size and digest, with ``wheels/<file>`` as their path and no URL: such a lock works
behind every mirror, and pip and uv install from it where the folder holds the files. What only ocibuild needs stands
in ``tool.ocibuild`` tables.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec
from packaging.markers import Environment
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import InvalidSdistFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from oci_builder import inputs
from oci_builder.bounded import load_json, load_toml
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, NotFound, RecipeError, StaleLock, UnsupportedRequirement
from oci_builder.files import open_regular
from oci_builder.tomlslips import clause
from oci_builder.wheels.lock_sources import file_of, origin_of
from oci_builder.wheels.origins import Origin, direct_json, wheel_hint
from oci_builder.wheels.pins import LocalProject, LockedWheels, Sdist, WheelPin
from oci_builder.wheels.target import Target
from oci_builder.wheels.wheelurl import check_filename, parse_wheel_url
from oci_builder.wording import called

LIMIT = 16 << 20
"""Bytes of a lock file that are read; one of 1,000 projects with 20 wheels each has a third of that."""

LOCK = "pylock.toml"
"""The lock that builds write; others are other tools'."""

T = TypeVar("T")


class _Tool(msgspec.Struct, frozen=True):
    """``[tool.ocibuild]``; another tool's lock has none."""

    fingerprint: str = ""
    targets: tuple[str, ...] = ()
    base: str = ""
    images: tuple[str, ...] = ()


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
    images: tuple[str, ...] = ()

    def select(self, target: Target, *, extras: Sequence[str] = (), groups: Sequence[str] = ()) -> tuple[WheelPin, ...]:
        """The pins of ``choose``. Raises as it does."""
        return self.choose(target, extras=extras, groups=groups).pins

    def choose(self, target: Target, *, extras: Sequence[str] = (), groups: Sequence[str] = ()) -> LockedWheels:
        """What the lock has for ``target``, sorted by name; ``extras`` and ``groups`` are of the project it was made
        for.

        Raises StaleLock when the lock is not for this target, UnsupportedRequirement for what is no wheel, RecipeError
        for extras and groups that it does not have.
        """
        for what, wanted, known in (
            ("extra", extras, self.document.extras or ()),
            ("group", groups, self.document.dependency_groups or ()),
        ):
            if missing := sorted(set(wanted) - set(known)):
                there = f"it has {', '.join(known)}" if known else "it has none"
                why = f"there is no {what} {missing[0]!r} in this lock; {there}"
                raise RecipeError(str(self.path), "", why, hint="name one that it has, or lock again with it")
        chosen_groups = [*(self.document.default_groups or ()), *groups]
        environment = cast("Environment", dict(target.markers()))
        try:
            chosen = list(
                self.document.select(
                    environment=environment, tags=target.tags(), extras=extras, dependency_groups=chosen_groups
                )
            )
        except (PylockSelectError, ValueError, RecursionError) as error:
            # The latter: markers that compare what cannot be compared, or are too deep.
            made = f" (it was made for {'; '.join(self.targets)})" if self.targets else ""
            why = f"nothing for {target}: {_lowered(str(error))}{made}"
            raise StaleLock(str(self.path), why, hint=again(self.path)) from error
        chosen.sort(key=lambda pair: pair[0].name)
        pins, local, projects = [], {}, []
        for package, file in chosen:
            origin = origin_of(file, self.path)
            if origin.folder is not None:
                said = "" if package.version is None else str(package.version)
                projects.append(LocalProject(name=package.name, version=said, folder=origin.folder))
                continue
            pin = self._pin(package, file, origin)
            pins.append(pin)
            # What ocibuild locks is found by its name, wherever wheels/ is; and so is what lies there of other locks.
            place = None if self.fingerprint else origin.file or file_of(file, self.path)
            if place is None or place.parent == self.path.parent / "wheels":
                continue
            if origin.file is not None or inputs.is_file(place):
                local[pin.sha256] = place
        return LockedWheels(pins=tuple(pins), local=local, projects=tuple(projects))

    def _pin(self, package: Package, file: object, origin: Origin) -> WheelPin:
        if isinstance(file, PackageArchive) and not origin.refused:
            return self._direct(package, file, origin)
        if not isinstance(file, PackageWheel):
            version = "" if package.version is None else str(package.version)
            what, hint = f"{package.name} {version}".rstrip(), wheel_hint(package.name, version, origin, self.path)
            raise UnsupportedRequirement(what, str(self.path), origin.refused, hint=hint)
        tool = _checked(_PackageTool, package.tool, self.path, f"packages.{package.name}.tool.ocibuild")
        _check_size(package, file.size, self.path)
        return WheelPin(
            name=package.name,
            version=_version(package, file),
            filename=file.filename,
            sha256=self._digest(package, file.hashes, file.filename),
            size=file.size,
            requested=tool.requested,
            direct_url=tool.direct_url,
            built_from=_source(tool.built_from),
            url=parse_wheel_url(file.url).url if file.url and file.url.startswith("http") else None,
        )

    def _direct(self, package: Package, file: PackageArchive, origin: Origin) -> WheelPin:
        """The pin of a wheel that is asked for by where it is."""
        filename = origin.filename
        digest = self._digest(package, file.hashes, filename)
        _check_size(package, file.size, self.path)
        return WheelPin(
            name=package.name,
            version=str(package.version or parse_wheel_filename(filename)[1]),
            filename=filename,
            sha256=digest,
            size=file.size,
            requested=False,
            direct_url=direct_json(origin.url or f"file:///{filename}", digest),
        )

    def _digest(self, package: Package, hashes: Mapping[str, str], filename: str) -> Digest:
        try:
            return Digest.parse(f"sha256:{hashes.get('sha256', '')}")
        except InvalidValue as error:
            why = f"{filename} has no sha256 of 64 lower-case hex digits"
            raise RecipeError(str(self.path), f"packages.{package.name}", why, hint=again(self.path)) from error


def relock(path: Path) -> str:
    """The command that makes the lock at ``path`` anew."""
    return f"ocibuild lock {called(path.parent)}"


def again(path: Path) -> str:
    """The way out for a lock that is no good: it goes first, for what does not read is not written over."""
    if path.name != LOCK:
        return "make it anew with the tool that made it"
    return f"make it anew: rm {shlex.quote(str(path))} && {relock(path)}"


def read(path: Path) -> WheelLock:
    """The lock at ``path``, by whichever tool it was written. Raises NotFound, and RecipeError for what is no lock."""
    try:
        with open_regular(path) as stream:
            data = stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        raise NotFound("wheel lock", path.name, searched=[str(path.parent)], hint=again(path)) from error
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
        raise RecipeError(str(path), error.context or "", error.message, hint=again(path)) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(str(path), "", f"not TOML: {clause(str(error))}", hint=again(path)) from error
    for package in document.packages:
        _check_places(package, path)
    tool = _checked(_Tool, document.tool, path, "tool.ocibuild")
    return WheelLock(
        path=path,
        fingerprint=tool.fingerprint,
        targets=tool.targets,
        base=tool.base,
        document=document,
        images=tool.images,
    )


def encode(
    pins_by_target: Mapping[Target, Sequence[WheelPin]], *, fingerprint: str, base: str = "", images: Sequence[str] = ()
) -> bytes:
    """The lock that ``parse`` turns back into these pins: the same pins, in whichever order, give the same bytes.

    ``base`` is whatever tells one state of the base from another, ``images`` are others that the image is made from.
    """
    targets = sorted(pins_by_target, key=str)
    head = {
        "lock-version": "1.0",
        "environments": sorted({marker_of(target, targets) for target in targets}),
        "requires-python": _requires_python(targets),
        "created-by": "ocibuild",
    }
    tool = (
        {"fingerprint": fingerprint, "targets": [str(target) for target in targets]}
        | ({"base": base} if base else {})
        | ({"images": list(images)} if images else {})
    )
    tables = [_pairs(head), *_packages(pins_by_target, targets), f"[tool.ocibuild]\n{_pairs(tool)}"]
    return "\n".join(tables).encode()


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


def _packages(pins_by_target: Mapping[Target, Sequence[WheelPin]], targets: Sequence[Target]) -> Iterable[str]:
    """A table for each project and version, with all its wheels; a marker where not every target has it."""
    groups: dict[tuple[Any, ...], dict[Target, WheelPin]] = {}
    for target in targets:
        for pin in pins_by_target[target]:
            source = pin.built_from
            alike = (pin.name, pin.version, pin.requested, pin.direct_url or "", source.filename if source else "")
            groups.setdefault(alike, {})[target] = pin
    for alike in sorted(groups):
        yield _package(groups[alike], targets)


def _package(pins: Mapping[Target, WheelPin], targets: Sequence[Target]) -> str:
    pin = next(iter(pins.values()))
    head: dict[str, Any] = {"name": pin.name, "version": pin.version}
    if len(pins) < len(targets):
        head["marker"] = " or ".join(sorted({marker_of(target, targets) for target in pins}))
    wheels = {wheel.filename: wheel for wheel in pins.values()}
    files = [f"[[packages.wheels]]\n{_pairs(_wheel(wheels[filename]))}" for filename in sorted(wheels)]
    tool = _tool(pin)
    more = [f"[packages.tool.ocibuild]\n{_pairs(tool)}"] if tool else []
    return "\n".join([f"[[packages]]\n{_pairs(head)}", *files, *more])


def _wheel(pin: WheelPin) -> dict[str, Any]:
    size = {} if pin.size is None else {"size": pin.size}
    return {"name": pin.filename, "path": f"wheels/{pin.filename}", **size, "hashes": {"sha256": pin.sha256.hex}}


def _tool(pin: WheelPin) -> dict[str, Any]:
    tool: dict[str, Any] = {"requested": True} if pin.requested else {}
    if pin.direct_url:
        tool["direct-url"] = pin.direct_url
    if pin.built_from:
        tool["built-from"] = {"name": pin.built_from.filename, "sha256": pin.built_from.sha256.hex}
    return tool


def _source(built: _BuiltFrom | None) -> Sdist | None:
    return Sdist(filename=built.name, sha256=Digest(built.sha256)) if built else None


def _checked(kind: type[T], tool: Mapping[str, Any] | None, path: Path, key: str) -> T:
    """Our own table of ``tool``, which ``packaging`` leaves as it is written. Raises RecipeError."""
    try:
        return msgspec.convert((tool or {}).get("ocibuild", {}), kind)
    except msgspec.ValidationError as error:
        why = _lowered(str(error).replace(" - at `$.", " in `").replace(" - at `$`", ""))
        raise RecipeError(str(path), key, why, hint=again(path)) from error


def marker_of(target: Target, among: Sequence[Target]) -> str:
    """A marker that tells ``target`` from the other targets of the lock."""
    marker = f"sys_platform == 'linux' and platform_machine == '{target.platform.machine}'"
    if len({other.minor for other in among}) > 1:
        marker += f" and python_version == '{target.minor[0]}.{target.minor[1]}'"
    return marker


def _requires_python(targets: Sequence[Target]) -> str:
    # Not the exact version: pip and uv on a later patch release may use the lock too.
    oldest = min(tuple(map(int, target.promise.version.split(".")[:3])) for target in targets)
    major, minor = max(target.minor for target in targets)
    return f">={'.'.join(map(str, oldest))},<{major}.{minor + 1}"


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
        if package.archive is not None and (origin := origin_of(package.archive, path)).direct:
            check_filename(origin.filename, package.name, version)
            if origin.url is not None:
                parse_wheel_url(origin.url)
        if tool.direct_url is not None:
            parse_wheel_url(direct_url(tool.direct_url)).check_fits(package.name, version)
        if tool.built_from is not None:
            _check_sdist(tool.built_from.name, package.name, version)
    except (ValueError, PylockValidationError) as error:
        raise RecipeError(str(path), key, str(error), hint=again(path)) from error


def _check_size(package: Package, size: int | None, path: Path) -> None:
    if size is not None and size < 0:
        raise RecipeError(str(path), f"packages.{package.name}", f"a size of {size} bytes", hint=again(path))


def _check_sdist(filename: str, name: str, version: str) -> None:
    try:
        found, its = parse_sdist_filename(filename)
    except InvalidSdistFilename as error:
        raise ValueError(f"{filename[:200]!r} is not the name of a source archive") from error
    if found != name or (version and its != Version(version)):
        raise ValueError(f"{filename[:200]} is not the name of a source archive of {name} {version}")


def _version(package: Package, file: PackageWheel) -> str:
    return str(package.version or parse_wheel_filename(file.filename)[1])


def _pairs(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            # TOML's basic strings are JSON's, but for surrogate pairs and DEL.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case dict():
            return "{" + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(map(_value, value)) + "]"


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
