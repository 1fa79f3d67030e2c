"""The rules by which a project's command is found, in their order: the first that fits decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oci_builder.detection.choices import Launch, Startable, named, only
from oci_builder.detection.django import sites
from oci_builder.detection.interactive import interactive
from oci_builder.detection.procfile import every_process, processes
from oci_builder.detection.programs import MAIN_FILES, every_script, files, packages, scripts, workers
from oci_builder.detection.project import KnownProject
from oci_builder.detection.web import applications, every_application

Rule = Callable[[KnownProject], list[Startable]]


def _served(project: KnownProject) -> list[Startable]:
    return [*applications(project), *interactive(project)]


def _own_script(project: KnownProject) -> list[Startable]:
    found = scripts(project)
    return found if len(found) == 1 else []


def _working(project: KnownProject) -> list[Startable]:
    """Workers; beside a main.py that is a program by itself, both are as right."""
    found = workers(project)
    return [*found, *(each for each in files(project) if each.name in MAIN_FILES)] if found else []


_RULES: Sequence[Rule] = (processes, _own_script, sites, _served, _working, packages, files, scripts)
"""Several scripts of other names than the project's say less than all else."""

_EVERY: Sequence[Rule] = (every_process, every_script, every_application)
"""What is found by its name alone."""


def detect(project: KnownProject, *, wanted: str = "") -> Launch | None:
    """What the project starts; ``wanted`` is the name of one of its candidates. None where there is nothing.

    Raises UnclearCommand where two are equally right, where there is none of that name, or where it cannot be served.
    """
    if wanted:
        every: dict[str, Startable] = {}
        for each in (each for rule in (*_RULES, *_EVERY) for each in rule(project)):
            every.setdefault(each.name, each)
        return named(wanted, list(every.values()), project.folder).start()
    for rule in _RULES:
        found = rule(project)
        if found:
            return only(found, project.folder).start()
    return None
