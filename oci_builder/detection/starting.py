"""How a file of a project is started as a program."""

from __future__ import annotations

import posixpath

from oci_builder.detection.choices import Launch
from oci_builder.detection.modules import Module
from oci_builder.detection.places import SRC, file_of
from oci_builder.detection.project import KnownProject


def start_file(module: Module, project: KnownProject) -> Launch:
    """A file by its path, or as a module where what it imports is found only from above."""
    folder = posixpath.dirname(module.path)
    place, why = project.place(module), f"{module.path} is a program, and nothing else imports it"
    if place is None or place.root == folder or not _needs(module, project, folder):
        return Launch(words=("python", module.path), why=why)
    paths, root = project.paths_of(place)
    name = place.module.removesuffix(".__main__")
    return Launch(
        words=("python", "-m", name), why=why, root=root, paths=paths, in_files=not is_installed(module, project)
    )


def _needs(module: Module, project: KnownProject, folder: str) -> bool:
    """Whether it imports what is not found from its own folder, which is where Python looks when it starts a file."""
    place = project.place(module)
    if place is None:
        return False
    for each in module.imports:
        if each.level:
            return True
        first = each.module.partition(".")[0]
        here = posixpath.join(folder, first)
        beside = f"{here}.py" in project.tree or project.tree.has_folder(here)
        above = posixpath.join(place.root, first)
        if not beside and (file_of(each.module, place, project.tree) or project.tree.has_folder(above)):
            return True
    return False


def is_installed(module: Module, project: KnownProject) -> bool:
    """Whether a module is in the wheel of the project."""
    return project.is_built and module.path.startswith((f"{SRC}/", f"{project.name}/"))
