"""uv.lock: a graph, walked from the project along the edges whose markers hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

VERSION = 1


class _Source(msgspec.Struct, frozen=True):
    registry: str | None = None
    url: str | None = None
    path: str | None = None
    git: str | None = None
    directory: str | None = None
    editable: str | None = None
    virtual: str | None = None


class _File(msgspec.Struct, frozen=True):
    url: str | None = None
    path: str | None = None
    filename: str | None = None
    hash: str | None = None
    size: int | None = None


class _Edge(msgspec.Struct, frozen=True):
    name: str
    version: str | None = None
    source: _Source | None = None
    marker: str = ""
    extra: tuple[str, ...] = ()


class _Package(msgspec.Struct, frozen=True, rename="kebab"):
    name: str
    source: _Source
    version: str = ""
    dependencies: tuple[_Edge, ...] = ()
    optional_dependencies: dict[str, tuple[_Edge, ...]] = {}
    dev_dependencies: dict[str, tuple[_Edge, ...]] = {}
    wheels: tuple[_File, ...] = ()
    resolution_markers: tuple[str, ...] = ()


class _Conflicting(msgspec.Struct, frozen=True):
    package: str
    extra: str | None = None
    group: str | None = None


class _UvLock(msgspec.Struct, frozen=True, rename="kebab"):
    version: int
    requires_python: str = ""
    package: tuple[_Package, ...] = ()
    conflicts: tuple[tuple[_Conflicting, ...], ...] = ()


def read_uv(data: bytes, path: Path, environment: Mapping[str, str], choice: Choice) -> tuple[LockedPackage, ...]:
    """The packages that uv would install for ``choice``, but for the project itself. Raises RecipeError, StaleLock."""
    lock = parse_document(data, path, _UvLock)
    if lock.version != VERSION:
        why = f"version {lock.version} of the format; version {VERSION} is known"
        raise RecipeError(str(path), "version", why, hint="use a newer ocibuild")
    check_python(path, lock.requires_python, environment["python_full_version"])
    return _Walk(lock, path, environment, choice).packages()


class _Walk:
    """The way from the project's package to all that it needs."""

    def __init__(self, lock: _UvLock, path: Path, environment: Mapping[str, str], choice: Choice) -> None:
        self._path, self._choice, self._lock = path, choice, lock
        self._by_name: dict[str, list[_Package]] = {}
        for package in lock.package:
            self._by_name.setdefault(canonicalize_name(package.name), []).append(package)
        self._root = self._project()
        check_known(path, "extra", choice.extras, self._root.optional_dependencies)
        check_known(path, "group", choice.groups, self._root.dev_dependencies)
        self._check_conflicts()
        self._markers = MarkerReader(path, environment, self._active())

    def packages(self) -> tuple[LockedPackage, ...]:
        """What is met on the way, each once."""
        found: dict[int, _Package] = {}
        begun = {(id(self._root), extra) for extra in self._choice.extras}
        waiting = [edge for edges in self._first() for edge in edges]
        while waiting:
            edge = waiting.pop()
            if not self._markers.holds(edge.marker):
                continue
            package = self._target(edge)
            found[id(package)] = package
            for extra in ("", *map(canonicalize_name, edge.extra)):
                if (id(package), extra) not in begun:
                    begun.add((id(package), extra))
                    waiting += package.dependencies if not extra else _named(package.optional_dependencies, extra)
        # A virtual package is its dependencies, and nothing to install.
        kept = [each for each in found.values() if each is not self._root and each.source.virtual is None]
        return tuple(_locked(each, self._path) for each in kept)

    def _first(self) -> Iterator[Sequence[_Edge]]:
        yield self._root.dependencies
        yield from (_named(self._root.optional_dependencies, extra) for extra in sorted(self._choice.extras))
        yield from (_named(self._root.dev_dependencies, group) for group in sorted(self._choice.groups))

    def _project(self) -> _Package:
        member = self._choice.member
        for package in self._lock.package:
            if member in (package.source.editable, package.source.virtual, package.source.directory):
                return package
        where = "its folder" if member == "." else member
        hint = "name the project that is meant: [python] project = the folder of its pyproject.toml"
        raise RecipeError(str(self._path), "", f"it has no project in {where}", hint=hint)

    def _active(self) -> set[str]:
        """What uv calls the extras and groups of a project in the markers of conflicting forks."""
        name = canonicalize_name(self._root.name)
        tail = f"-{len(name)}-{name}"
        return {
            f"project{tail}",
            *(f"extra{tail}-{extra}" for extra in self._choice.extras),
            *(f"group{tail}-{group}" for group in self._choice.groups),
        }

    def _check_conflicts(self) -> None:
        for conflict in self._lock.conflicts:
            chosen = [each for each in conflict if self._is_chosen(each)]
            if len(chosen) > 1:
                names = " and ".join(
                    f"{'extra' if each.extra else 'group'} {each.extra or each.group}" for each in chosen
                )
                raise RecipeError(
                    str(self._path), "conflicts", f"{names} exclude each other", hint="choose one of them"
                )

    def _is_chosen(self, each: _Conflicting) -> bool:
        if canonicalize_name(each.package) != canonicalize_name(self._root.name):
            return False
        if each.extra is not None:
            return canonicalize_name(each.extra) in self._choice.extras
        return each.group is not None and canonicalize_name(each.group) in self._choice.groups

    def _target(self, edge: _Edge) -> _Package:
        """The package an edge leads to: version and source choose among forks, and then the markers of those."""
        found = self._by_name.get(canonicalize_name(edge.name), [])
        found = [each for each in found if edge.version in (None, each.version) and edge.source in (None, each.source)]
        if len(found) > 1:
            found = [each for each in found if any(map(self._markers.holds, each.resolution_markers or ("",)))]
        if len(found) != 1:
            why = f"{len(found)} packages {edge.name} {edge.version or ''}".rstrip() + ", where one is needed"
            raise RecipeError(str(self._path), "package", why, hint="make it anew: uv lock")
        return found[0]


def _named(table: Mapping[str, Sequence[_Edge]], name: str) -> Sequence[_Edge]:
    return next((edges for key, edges in table.items() if canonicalize_name(key) == name), ())


def _locked(package: _Package, path: Path) -> LockedPackage:
    source = package.source
    return LockedPackage(
        name=canonicalize_name(package.name),
        version=package.version,
        files=tuple(_file(each, source, path) for each in package.wheels),
        direct=source.url is not None or source.path is not None,
        refused=_refused(source),
    )


def _refused(source: _Source) -> str:
    if source.git is not None:
        return f"a checkout of git, {without_credentials(source.git)}, is not a wheel"
    local = source.editable if source.editable is not None else source.directory
    if local is not None:
        return f"a project in the folder {local!r} is not a wheel"
    return ""


def _file(each: _File, source: _Source, path: Path) -> LockedFile:
    local = source.path if source.path is not None else each.path
    filename = each.filename or url_filename(each.url or "") or (local or "").rpartition("/")[2]
    return LockedFile(
        filename=filename,
        sha256=hex_of(each.hash),
        size=each.size,
        url=without_credentials(each.url) if each.url else None,
        path=path.parent / local if local is not None and each.url is None else None,
    )
