"""Locks of other tools beside a project: which of them decides, and what it has for a target."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.local_projects import LocalProjects
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError, RecipeError, StaleLock
from oci_builder.projects.documents import read_bytes
from oci_builder.projects.packages import TOOLS, Choice
from oci_builder.projects.reading import parse_lock, read_lock
from oci_builder.recipes import ImageSource
from oci_builder.wheels import lock as locks
from oci_builder.wheels.pins import LocalProject, LockedWheels, WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.project_requirements import PYPROJECT, ProjectRequirements, read_pyproject
from oci_builder.wheels.resolve import resolve
from oci_builder.wheels.target import Target
from oci_builder.wording import counted

_SHOWN = 5
"""Packages that a message names."""


@dataclass(frozen=True, kw_only=True)
class ForeignChoice:
    """What a lock chooses: wheels, sorted by name, projects to build, and the digest of the lock's bytes."""

    pins: tuple[WheelPin, ...]
    projects: tuple[LocalProject, ...]
    digest: Digest


@dataclass(frozen=True, kw_only=True)
class ForeignLocks:
    """The locks of other tools that a recipe names, or that lie beside what it asks for."""

    source: ImageSource
    context: BuildContext
    policy: BuildPolicy

    @property
    def decide(self) -> bool:
        """Whether one of them does; where ours goes before them, that is told."""
        found, own = self.source.foreign_locks, self.source.lock
        decides = foreign_decides(self.source)
        if found and not decides and self.source.borrowed_lock is None:
            names = " and ".join(path.name for path in found)
            self.context.reporter.note(f"{own.name} decides, as ocibuild lock wrote it; {names} is not read")
        return decides

    def check(self, target: Target, sources: WheelSources) -> None:
        """Hold the lock that decides to what it was made from, as far as that can be told. Raises StaleLock, and as
        ``choose``."""
        held = replace(self, policy=replace(self.policy, locked=True))
        held.choose(target, sources)

    def choose(self, target: Target, sources: WheelSources) -> ForeignChoice:
        """What is installed on ``target``; the wheels that lie in the project are in the store then.

        Where there are several locks the first decides, if all of them say the same. Raises StaleLock where they do
        not, and what reading a lock raises.
        """
        first, *others = self.source.foreign_locks
        # Read once: the digest is that of the very bytes that decided.
        data = read_bytes(first)
        found = parse_lock(data, first, target, self._choice(first))
        for other in others:
            _check_same(first, found, other, read_lock(other, target, self._choice(other)))
        self._check_pylock(first, found, target)
        self._check_current(first, found, target)
        self.context.reporter.note(f"{first.name} decides: {counted(found.count, 'package')}")
        projects = self.local.take(found)
        pins = (*found.pins, *self._named(first, found.lines, target, sources))
        return ForeignChoice(
            pins=tuple(sorted(pins, key=lambda pin: pin.name)), projects=projects, digest=Digest.of(data)
        )

    @property
    def local(self) -> LocalProjects:
        """What the first of them names on this machine."""
        lock = self.source.foreign_locks[0]
        return LocalProjects(source=self.source, lock=lock, context=self.context, policy=self.policy)

    def _choice(self, path: Path) -> Choice:
        python = self.source.recipe.python
        folders = [
            *([self.source.project] if self.source.project else []),
            *(each.parent for each in self.source.pyprojects),
        ]
        here = inputs.real(folders[0]) if folders else inputs.real(path.parent)
        member = os.path.relpath(here, inputs.real(path.parent)).replace(os.sep, "/")
        return Choice.of(python.extras, python.groups, member="." if member.startswith("..") else member)

    def _named(self, path: Path, lines: Iterable[str], target: Target, sources: WheelSources) -> tuple[WheelPin, ...]:
        """The wheels of packages that are locked by the hashes of files without names: an index tells which."""
        wanted = tuple((1, line) for line in lines)
        if not wanted:
            return ()
        asked = ProjectRequirements(file=path, lines=wanted, complete=True)
        found = resolve([asked], target, sources=sources, store=self.context.store, reporter=self.context.reporter)
        return tuple(_as_asked_by_lock(pin) for pin in found)

    def _check_pylock(self, first: Path, found: LockedWheels, target: Target) -> None:
        """Another tool's pylock.toml beside the recipe has to say the same."""
        path = self.source.lock
        if inputs.is_file(path) and self.source.foreign_locks == self.source.beside:
            _check_same(first, found, path, locks.read(path).choose(target))

    def _check_current(self, path: Path, found: LockedWheels, target: Target) -> None:
        """Tell where pyproject.toml asks for what the lock does not have. Raises StaleLock where locks must hold."""
        missing = _missing(path.with_name(PYPROJECT), found, target)
        if not missing:
            return
        why = f"{PYPROJECT} asks for {', '.join(missing[:_SHOWN])}, which it does not have"
        if self.policy.locked:
            raise StaleLock(str(path), why, hint=f"bring it up to date: {TOOLS[path.name]}")
        self.context.reporter.note(f"{path.name} is behind: {why}; {TOOLS[path.name]} brings it up to date")


def foreign_decides(source: ImageSource) -> bool:
    """Whether a lock of another tool decides: it is there, and no lock that ``ocibuild lock`` wrote for this image."""
    found, own = source.foreign_locks, source.lock
    if not found or source.borrowed_lock is not None:
        return False
    return found != source.beside or not inputs.is_file(own) or not locks.read(own).fingerprint


def has_own_lock(source: ImageSource) -> bool:
    """Whether the lock of the image is what ``ocibuild lock`` writes for it, wheels and images."""
    return source.has_python and source.borrowed_lock is None and not foreign_decides(source)


def check_lockable(source: ImageSource) -> None:
    """Raise RecipeError where what decides is a lock that ocibuild takes as it is."""
    if source.borrowed_lock is not None:
        raise RecipeError(
            str(source.borrowed_lock),
            "",
            "the recipe names this lock in place of requirements, and ocibuild takes it as it is",
            hint="make it anew with the tool that made it, or name requirements to lock",
        )
    if foreign_decides(source):
        first = source.foreign_locks[0]
        why = "this lock decides, and ocibuild takes it as it is"
        hint = f"make it anew with the tool that made it: {TOOLS[first.name]}"
        raise RecipeError(str(first), "", why, hint=hint)


def _as_asked_by_lock(pin: WheelPin) -> WheelPin:
    return WheelPin(
        name=pin.name, version=pin.version, filename=pin.filename, sha256=pin.sha256, size=pin.size, requested=False
    )


def _missing(pyproject: Path, found: LockedWheels, target: Target) -> list[str]:
    """The projects that a pyproject.toml asks for on ``target`` and the lock does not have."""
    if not inputs.is_file(pyproject):
        return []
    try:
        lines = read_pyproject(pyproject).lines
    except OcibuildError:
        return []  # it may have no such table, or leave it to a build: then the lock is all there is
    have = found.versions
    return sorted(name for _, text in lines if (name := _name(text, target)) and name not in have)


def _name(text: str, target: Target) -> str:
    try:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(dict(target.markers())):
            return ""
    except (InvalidRequirement, ValueError):
        return ""
    return canonicalize_name(requirement.name)


def _check_same(first: Path, found: LockedWheels, second: Path, other: LockedWheels) -> None:
    ours, theirs = _versions(found, first), _versions(other, second)
    differing = sorted(name for name in ours.keys() | theirs.keys() if _differ(ours.get(name), theirs.get(name)))
    if differing:
        shown = ", ".join(
            f"{name} {ours.get(name, 'not at all')} or {theirs.get(name, 'not at all')}" for name in differing[:_SHOWN]
        )
        why = f"{second.name} lies with it and says something else: {shown}{_more(differing)}"
        hint = f'remove the one that is not used, or name the other in image.toml: requirements = ["{first.name}"]'
        raise StaleLock(str(first), why, hint=hint)


def _differ(one: str | None, other: str | None) -> bool:
    # "" is what a lock leaves to what is built, and the other builds that, too.
    return one != other and (one is None or other is None or "" not in (one, other))


def _versions(found: LockedWheels, path: Path) -> dict[str, str]:
    """What a lock has but for the project that it lies with, which some locks have and some have not."""
    own = inputs.real(path.parent)
    return replace(found, projects=tuple(each for each in found.projects if inputs.real(each.folder) != own)).versions


def _more(names: Collection[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
