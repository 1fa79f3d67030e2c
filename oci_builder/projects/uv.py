"""uv.lock: a graph, walked from the project along the edges whose markers hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.projects.documents import check_python, parse_document
from oci_builder.projects.markers import MarkerReader
from oci_builder.projects.packages import Choice, LockedFile, LockedPackage, check_known, hex_of
from oci_builder.wheels.origins import (
    INDEX,
    Origin,
    of_checkout,
    of_folder,
    of_path,
    of_url,
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
    subdirectory: str = ""


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


class _Requirement(msgspec.Struct, frozen=True):
    name: str
    marker: str = ""
    extras: tuple[str, ...] = ()


class _Manifest(msgspec.Struct, frozen=True, rename="kebab"):
    members: tuple[str, ...] = ()
    dependency_groups: dict[str, tuple[_Requirement, ...]] = {}


class _UvLock(msgspec.Struct, frozen=True, rename="kebab"):
    version: int
    manifest: _Manifest = _Manifest()
    requires_python: str = ""
    package: tuple[_Package, ...] = ()
    conflicts: tuple[tuple[_Conflicting, ...], ...] = ()


def read_uv(data: bytes, path: Path, environment: Mapping[str, str], choice: Choice) -> tuple[LockedPackage, ...]:
    """The packages that uv would install for ``choice``, but for the project itself. Raises RecipeError, StaleLock."""
    lock = parse_document(data, path, _UvLock)
    if lock.version != VERSION:
        why = f"version {lock.version} of the format; version {VERSION} is known"
        raise RecipeError(str(path), "version", why, hint="use a newer ocibuild")
    if choice.every:
        return tuple(_locked(each, path) for each in lock.package if each.source.virtual is None)
    check_python(path, lock.requires_python, environment["python_full_version"])
    return _Walk(lock, path, environment, choice).packages()


class _Walk:
    """The way from the project's package to all that it needs.

    Where the root of a workspace is no project, its members are what is asked for, all of them, as uv has it.
    """

    def __init__(self, lock: _UvLock, path: Path, environment: Mapping[str, str], choice: Choice) -> None:
        self._path, self._choice, self._lock = path, choice, lock
        self._by_name: dict[str, list[_Package]] = {}
        for package in lock.package:
            self._by_name.setdefault(canonicalize_name(package.name), []).append(package)
        self._root = self._project()
        self._roots = [self._root] if self._root is not None else self._members()
        shared = {} if self._root is not None else lock.manifest.dependency_groups
        self._shared = {name: tuple(map(_as_edge, found)) for name, found in shared.items()}
        check_known(path, "extra", choice.extras, [key for each in self._roots for key in each.optional_dependencies])
        groups = [key for each in self._roots for key in each.dev_dependencies]
        check_known(path, "group", choice.groups, [*groups, *self._shared])
        self._environment = environment
        self._active = self._chosen()
        self._markers = MarkerReader(path, environment, self._active)
        if lock.conflicts:
            # What edges ask for counts as chosen, too, in the markers of all others.
            self._met(activating=True)
            self._check_conflicts()

    def packages(self) -> tuple[LockedPackage, ...]:
        """What is met on the way, each once."""
        # A virtual package is its dependencies, and nothing to install.
        kept = [each for each in self._met() if each is not self._root and each.source.virtual is None]
        return tuple(_locked(each, self._path) for each in kept)

    def _met(self, *, activating: bool = False) -> Collection[_Package]:
        """The packages on the way; ``activating`` notes which extras its edges ask for."""
        found: dict[int, _Package] = {id(each): each for each in self._roots if self._root is None}
        begun = {(id(each), extra) for each in self._roots for extra in ("", *self._choice.extras)}
        waiting = deque(edge for edges in self._first() for edge in edges)
        while waiting:
            edge = waiting.popleft()
            if not self._holds(edge, activating=activating):
                continue
            # While extras are being activated forks may not be told apart yet.
            for package in self._candidates(edge) if activating else [self._target(edge)]:
                found[id(package)] = package
                for extra in ("", *map(canonicalize_name, edge.extra)):
                    if (id(package), extra) not in begun:
                        begun.add((id(package), extra))
                        waiting += _named(package.optional_dependencies, extra) if extra else package.dependencies
        return found.values()

    def _holds(self, edge: _Edge, *, activating: bool) -> bool:
        """Whether the marker of an edge does: where extras are being activated, with those of the edge itself."""
        more = {_label("extra", edge.name, extra) for extra in edge.extra} - self._active if activating else set()
        if not more:
            return self._markers.holds(edge.marker)
        markers = MarkerReader(self._path, self._environment, self._active | more)
        if markers.holds(edge.marker):
            self._active, self._markers = self._active | more, markers
            return True
        return False

    def _first(self) -> Iterator[Sequence[_Edge]]:
        for root in self._roots:
            yield root.dependencies
            yield from (_named(root.optional_dependencies, extra) for extra in sorted(self._choice.extras))
            yield from (_named(root.dev_dependencies, group) for group in sorted(self._choice.groups))
        yield from (_named(self._shared, group) for group in sorted(self._choice.groups))

    def _project(self) -> _Package | None:
        member = self._choice.member
        for package in self._lock.package:
            if member in (package.source.editable, package.source.virtual, package.source.directory):
                return package
        if member == "." and self._lock.manifest.members:
            return None
        where = "its folder" if member == "." else member
        hint = "name the project that is meant: [python] project = the folder of its pyproject.toml"
        raise RecipeError(str(self._path), "", f"it has no project in {where}", hint=hint)

    def _members(self) -> list[_Package]:
        found = {
            canonicalize_name(name): self._by_name.get(canonicalize_name(name), [])
            for name in self._lock.manifest.members
        }
        for name, packages in found.items():
            if len(packages) != 1:
                why = f"{len(packages)} packages of the member {name}, where one is needed"
                raise RecipeError(str(self._path), "manifest.members", why, hint="make it anew: uv lock")
        return [packages[0] for packages in found.values()]

    def _chosen(self) -> frozenset[str]:
        """What uv calls the extras and groups of a project in the markers of conflicting forks."""
        return frozenset(
            label
            for root in self._roots
            for label in (
                _label("project", root.name),
                *(_label("extra", root.name, extra) for extra in self._choice.extras),
                *(_label("group", root.name, group) for group in self._choice.groups),
            )
        )

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
        if each.extra is not None:
            return _label("extra", each.package, each.extra) in self._active
        return each.group is not None and _label("group", each.package, each.group) in self._active

    def _target(self, edge: _Edge) -> _Package:
        """The package an edge leads to. Raises RecipeError where that is not one."""
        found = self._candidates(edge)
        if len(found) != 1:
            why = f"{len(found)} packages {edge.name} {edge.version or ''}".rstrip() + ", where one is needed"
            raise RecipeError(str(self._path), "package", why, hint="make it anew: uv lock")
        return found[0]

    def _candidates(self, edge: _Edge) -> list[_Package]:
        """Version and source choose among forks, and then the markers of those."""
        found = self._by_name.get(canonicalize_name(edge.name), [])
        found = [each for each in found if edge.version in (None, each.version) and edge.source in (None, each.source)]
        if len(found) > 1:
            found = [each for each in found if any(map(self._markers.holds, each.resolution_markers or ("",)))]
        return found


def _label(kind: str, package: str, *name: str) -> str:
    """``extra-3-app-web``: an extra, a group or a project in the markers of forks."""
    owner = canonicalize_name(package)
    return "-".join((kind, str(len(owner)), owner, *map(canonicalize_name, name)))


def _named(table: Mapping[str, Sequence[_Edge]], name: str) -> Sequence[_Edge]:
    return next((edges for key, edges in table.items() if canonicalize_name(key) == name), ())


def _as_edge(requirement: _Requirement) -> _Edge:
    return _Edge(name=requirement.name, marker=requirement.marker, extra=requirement.extras)


def _locked(package: _Package, path: Path) -> LockedPackage:
    source = package.source
    return LockedPackage(
        name=canonicalize_name(package.name),
        version=package.version,
        files=tuple(_file(each, source, path) for each in package.wheels),
        origin=_origin(source, path),
    )


def _origin(source: _Source, path: Path) -> Origin:
    if source.git is not None:
        return _checkout(source.git)
    if source.url is not None:
        return of_url(source.url, path, subdirectory=source.subdirectory)
    if source.path is not None:
        return of_path(source.path, path)
    local = source.editable if source.editable is not None else source.directory
    return INDEX if local is None else of_folder(local, path, subdirectory=source.subdirectory)


def _checkout(text: str) -> Origin:
    """A git source, as uv writes it: ``URL?subdirectory=lib&rev=v1#COMMIT``."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return of_checkout(text)
    folder = parse_qs(parts.query).get("subdirectory", [""])[0]
    url = parts._replace(query="", fragment="").geturl()
    return of_checkout(url, commit=parts.fragment, subdirectory=folder)


def _file(each: _File, source: _Source, path: Path) -> LockedFile:
    local = source.path
    if local is None and each.path is not None and each.url is None:
        # Of an index that is a folder, as --find-links has it.
        local = f"{source.registry or '.'}/{each.path}"
    filename = each.filename or url_filename(each.url or "") or (local or "").rpartition("/")[2]
    return LockedFile(
        filename=filename,
        sha256=hex_of(each.hash),
        size=each.size,
        url=without_credentials(each.url) if each.url else None,
        path=None if local is None or each.url is not None else of_path(local, path).file,
    )
