"""What a lock names on this machine: wheels, taken as they are, and projects in folders, built as they are now."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.confined import Within
from oci_builder.errors import OutsideProject, RecipeError, StaleLock, UnsupportedRequirement
from oci_builder.files import explained
from oci_builder.recipes import ImageSource
from oci_builder.wheels.pins import LocalProject, LockedWheels, WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.project_requirements import PYPROJECT, is_built
from oci_builder.wheels.target import Target

_SETUP = ("setup.py", "setup.cfg")


@dataclass(frozen=True, kw_only=True)
class LocalProjects:
    """The wheels and projects of this machine that the lock at ``lock`` names for the image of ``source``.

    They lie in the folder that its files may be in, or, for the lock of a workspace above that, in the lock's.
    """

    source: ImageSource
    lock: Path
    context: BuildContext
    policy: BuildPolicy

    def take(self, found: LockedWheels) -> tuple[LocalProject, ...]:
        """Put the wheels into the store; gives the projects to build, but for the one that the recipe builds anyway.

        Raises UnsupportedRequirement for what lies outside or says nothing of how it is built, DigestMismatch,
        FileProblem.
        """
        names = {pin.sha256: str(pin) for pin in found.pins}
        for digest, path in sorted(found.local.items(), key=str):
            self._check(path, names[digest], "its wheel", folder=False)
            self.context.store.put_file(path, digest=digest, size=inputs.size_of(path), what=path.name)
        own = None if self.source.project is None else inputs.real(self.source.project)
        projects = tuple(each for each in found.projects if inputs.real(each.folder) != own)
        for each in projects:
            self._check(each.folder, str(each), "its folder", folder=True)
            self._check_backend(each)
        return projects

    def build(self, projects: Sequence[LocalProject], target: Target, sources: WheelSources) -> tuple[WheelPin, ...]:
        """The wheels of ``projects``, in the store. Raises as ``build_project``, and RecipeError, StaleLock where one
        is not what the lock says."""
        if not projects:
            return ()
        # Loaded only where a project is built.
        from oci_builder.wheels.project import build_projects

        context, wanted = self.context, sorted(projects, key=str)
        built = build_projects(
            [each.folder for each in wanted],
            target,
            sources=sources,
            store=context.store,
            jobs=context.jobs,
            reporter=context.reporter,
        )
        for each, project in zip(wanted, built, strict=True):
            self._check_same(each, project.pin)
        return tuple(replace(project.pin, requested=False) for project in built)

    def _check(self, place: Path, what: str, kind: str, *, folder: bool) -> None:
        """Hold what a lock names to where files may be. Raises UnsupportedRequirement, FileProblem."""
        name = place.relative_to(self.lock.parent) if place.is_relative_to(self.lock.parent) else place
        try:
            if self.source.recipe.python.outside:
                mode = inputs.mode_of(place)
            else:
                mode = self._within.find(str(name), follow=True).info.st_mode
        except OutsideProject as error:
            why = f"{kind}, {place}, lies outside of the project, {error.root}"
            raise UnsupportedRequirement(what, str(self.lock), why, hint=self._hint(place)) from error
        except (OSError, ValueError):
            mode = 0
        wanted = stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)
        if not wanted:
            why = f"{kind}, {place}, is not there" if not mode else f"{place} is no {'folder' if folder else 'file'}"
            hint = "bring it there: a checkout has to be whole, and an image of it is built where it is whole"
            raise UnsupportedRequirement(what, str(self.lock), why, hint=hint)

    @property
    def _within(self) -> Within:
        here, root = inputs.real(self.lock.parent), self.source.within.root
        with explained(self.lock.parent):
            return Within(self.lock.parent, root if here.is_relative_to(root) else here)

    def _hint(self, place: Path) -> str:
        file = self.source.folder / "image.toml"
        if inputs.is_file(file):
            return f"if that is meant, write outside = true in [python] of {file}"
        both = os.path.commonpath([inputs.real(place), inputs.real(self.source.folder)])
        return f"name the folder that holds both, if it may be read: ocibuild {self.source.called} --project-dir {both}"

    def _check_backend(self, project: LocalProject) -> None:
        file = project.folder / PYPROJECT
        if any(inputs.is_file(project.folder / name) for name in _SETUP) or is_built(file):
            return
        why = f"nothing says what builds the project in {project.folder}"
        hint = f"name its build backend: [build-system] with requires and build-backend in {file}"
        raise UnsupportedRequirement(str(project), str(self.lock), why, hint=hint)

    def _check_same(self, project: LocalProject, built: WheelPin) -> None:
        if built.name != project.name:
            why = f"{project.folder} builds {built}, and not {project.name}"
            raise RecipeError(str(self.lock), project.name, why, hint="lock again, with the tool that made the lock")
        if project.version in ("", built.version):
            return
        why = f"it has {project}, and {project.folder} builds {built}"
        if self.policy.locked:
            raise StaleLock(str(self.lock), why, hint="lock again, with the tool that made the lock")
        self.context.reporter.note(f"{self.lock.name} is behind: {why}")
