"""From which folder a module is imported, and by which name."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass

from oci_builder.detection.modules import Module
from oci_builder.detection.sources import SourceTree

SRC = "src"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulePlace:
    """The folder ``root`` below the project's, "" for that itself; the dotted ``module`` that a file is from there."""

    root: str
    module: str


def place_of(module: Module, tree: SourceTree, installed: Collection[str] = ()) -> ModulePlace | None:
    """The place of a file; None where no name can be imported that leads to it.

    It is told by what the file imports itself: what it calls ``shop.models`` lies in a folder ``shop`` of the root.
    What is ``installed`` tells nothing, whatever files are called the same.
    """
    *folders, name = module.path.removesuffix(".py").split("/")
    parts = folders if name == "__init__" else [*folders, name]
    # Above all folders that it reaches by dots, and above all whose names cannot be imported.
    highest = max((each.level for each in module.imports), default=0)
    lowest = len(folders) - highest
    first = max((number + 1 for number, part in enumerate(parts) if not part.isidentifier()), default=0)
    possible = range(first, max(lowest, 0) + 1)
    if not parts or not possible or first >= len(parts):
        return None
    wanted = {each.module.partition(".")[0] for each in module.imports if not each.level} - {*installed}
    wanted.discard(name)  # a file does not import itself: another of that name is meant
    depth = max(
        possible, key=lambda depth: (_met("/".join(folders[:depth]), wanted, tree), _usual(folders, depth, tree))
    )
    return ModulePlace(root="/".join(folders[:depth]), module=".".join(parts[depth:])) if parts[depth:] else None


def file_of(imported: str, place: ModulePlace, tree: SourceTree) -> str:
    """The file that the dotted name ``imported`` leads to from the root of ``place``; "" where it is none of ours."""
    path = posixpath.join(place.root, imported.replace(".", "/"))
    return next((each for each in (f"{path}.py", f"{path}/__init__.py") if each in tree), "")


def imports_of(module: Module, place: ModulePlace | None, tree: SourceTree) -> frozenset[str]:
    """The files of the project that a module imports."""
    found: set[str] = set()
    here = module.path.split("/")[:-1]
    for each in module.imports:
        if each.level:
            above = here[: len(here) - each.level + 1]
            base = "/".join([*above, *(each.module.split(".") if each.module else [])])
            names: tuple[str, ...] = (base, posixpath.join(base, each.name))
        else:
            roots = {"", "/".join(here), place.root if place else ""}
            path = each.module.replace(".", "/")
            names = tuple(posixpath.join(root, *more) for root in roots for more in ((path,), (path, each.name)))
        found |= {file for name in names for file in (f"{name}.py", f"{name}/__init__.py") if file in tree}
    return frozenset(found - {module.path})


def _met(folder: str, wanted: set[str], tree: SourceTree) -> int:
    """How many of the names that a file imports lie in a folder."""
    return sum(
        1
        for name in wanted
        if posixpath.join(folder, f"{name}.py") in tree or tree.has_folder(posixpath.join(folder, name))
    )


def _usual(folders: list[str], depth: int, tree: SourceTree) -> int:
    """How usual it is that the folder at ``depth`` is a root: that above a package, or src, or the project's own."""
    root = "/".join(folders[:depth])
    if f"{posixpath.join(root, '__init__.py')}" in tree:
        return -10 - depth
    if folders[depth:] and posixpath.join(root, folders[depth], "__init__.py") in tree:
        return 20 - depth
    return 10 if root == SRC else -depth
