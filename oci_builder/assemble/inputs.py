"""What a recipe asks for: its requirements, wherever they are written, and the project it builds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext
from oci_builder.assemble.foreign_locks import foreign_decides
from oci_builder.errors import RecipeError
from oci_builder.projects.python_asked import project_asks
from oci_builder.recipes import FILE, ImageSource
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import BACKENDS, WheelSources
from oci_builder.wheels.project_requirements import PYPROJECT, ProjectRequirements, read_groups, read_pyproject
from oci_builder.wheels.pythons import fits, offer_of, specifiers
from oci_builder.wheels.target import Target


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Requirements for pip, the wheel of the project (in the store) if there is one, and what of it a lock watches."""

    requirements: tuple[Path | ProjectRequirements, ...]
    project: WheelPin | None = None
    watched: tuple[str, ...] = ()


def read_inputs(source: ImageSource, target: Target, *, sources: WheelSources, context: BuildContext) -> Inputs:
    """What ``source`` asks for on ``target``; its project is built for that.

    Raises RecipeError and NotFound for a pyproject.toml that does not serve, WheelError for a project that cannot be
    built.
    """
    python = source.recipe.python
    _check_python(source, target)
    found: list[Path | ProjectRequirements] = [*source.requirements]
    # A lock of another tool knows its own extras and groups.
    foreign = foreign_decides(source)
    if not foreign:
        found += [read_pyproject(path, extras=python.extras, groups=python.groups) for path in source.pyprojects]
    if source.project is None:
        return Inputs(requirements=tuple(found))
    # Loaded only where a project is built.
    from oci_builder.wheels.project import build_project

    sources = with_backends(source, sources)
    project = build_project(source.project, target, sources=sources, store=context.store, reporter=context.reporter)
    found.append(project.listed(python.extras))
    if python.groups and not source.pyprojects and not foreign:
        found.append(read_groups(source.project / PYPROJECT, python.groups))
    watched = (project.pin.name, f"python {project.requires_python}", *(f"extra {extra}" for extra in python.extras))
    return Inputs(requirements=tuple(found), project=project.pin, watched=watched)


def with_backends(source: ImageSource, sources: WheelSources) -> WheelSources:
    """The same with what builds projects where there is no network, if that lies beside the recipe."""
    backends = source.wheels / BACKENDS
    return replace(sources, find_links=(backends, *sources.find_links)) if inputs.is_dir(backends) else sources


def _check_python(source: ImageSource, target: Target) -> None:
    """Refuse a base whose Python a pyproject.toml does not take: of one that is built, pip says so."""
    version = target.promise.version
    for asked in project_asks(path.parent for path in source.pyprojects):
        wanted = specifiers([asked.specifier])
        if wanted is not None and not fits(wanted, version):
            why = f"{asked.said}, and the base has Python {version}"
            hint = f"change one of them{offer_of([asked.specifier], version)}"
            raise RecipeError(str(source.folder / FILE), "base", why, hint=hint)
