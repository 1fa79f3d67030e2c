"""A project as its rules see it: its files, what was read of them, and what will be installed."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from functools import cached_property

from oci_builder.detection.frameworks import MARKS
from oci_builder.detection.modules import Module, read_module
from oci_builder.detection.places import SRC, ModulePlace, imports_of, place_of
from oci_builder.detection.sources import SourceTree

_ADD = {
    "uv.lock": "uv add {}",
    "poetry.lock": "poetry add {}",
    "pdm.lock": "pdm add {}",
    "Pipfile.lock": "pipenv install {}",
}

_READ = frozenset({"main.py", "app.py", "application.py", "asgi.py", "wsgi.py", "server.py", "api.py"})
"""Files that are read whatever stands in them: what they import may be an application."""

_MARKED = re.compile("|".join(MARKS).encode())


class KnownProject:
    """The project of a folder, by the files in its ``tree``.

    ``packages`` are normalised names of what will be installed, and ``scripts`` the commands that come with the
    project itself, where it ``is_built``.
    """

    def __init__(
        self, tree: SourceTree, *, name: str, packages: frozenset[str], scripts: tuple[str, ...], is_built: bool
    ) -> None:
        self.tree, self.folder = tree, tree.folder
        self.name = re.sub(r"[-_.]+", "_", name).lower()
        self.packages, self.scripts, self.is_built = packages, scripts, is_built
        self._read: dict[str, Module | None] = {}
        self._places: dict[str, ModulePlace | None] = {}
        self._imports: dict[str, frozenset[str]] = {}

    def has(self, *packages: str) -> str:
        """The first of these packages that will be installed; "" for none."""
        return next((each for each in packages if each in self.packages), "")

    def module(self, path: str) -> Module | None:
        """What was read of the file at ``path``; None where nothing could be."""
        if path not in self._read:
            data = self.tree.read(path)
            self._read[path] = None if data is None else read_module(path, data)
        return self._read[path]

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """All Python files that may say something of what is started; none of Python 2."""
        found = []
        for path in self.tree.modules:
            data = self.tree.read(path)
            if data is not None and (_MARKED.search(data) or posixpath.basename(path) in _READ):
                module = self._read.setdefault(path, read_module(path, data))
                found += [module] if module is not None and not module.is_old else []
        return tuple(found)

    def place(self, module: Module) -> ModulePlace | None:
        """From where a module is imported, and as what."""
        if module.path not in self._places:
            self._places[module.path] = place_of(module, self.tree, self.packages)
        return self._places[module.path]

    def imports(self, module: Module) -> frozenset[str]:
        """The files of the project that a module imports."""
        if module.path not in self._imports:
            self._imports[module.path] = imports_of(module, self.place(module), self.tree)
        return self._imports[module.path]

    def imported(self, modules: Iterable[Module]) -> frozenset[str]:
        """The files that some of these modules import."""
        found: set[str] = set()
        for module in modules:
            found |= self.imports(module)
        return frozenset(found)

    def paths_of(self, place: ModulePlace) -> tuple[tuple[str, ...], str]:
        """Where a container has to look for modules of a place, and where it starts for that, below the project."""
        if place.root == SRC:
            return ((), "") if self.is_built else ((SRC,), "")
        return (), place.root

    def add(self, package: str) -> str:
        """What to do so that a package will be installed."""
        for lock, command in _ADD.items():
            if lock in self.tree:
                return command.format(package)
        where = "requirements.txt" if "requirements.txt" in self.tree else "the dependencies of pyproject.toml"
        return f"add {package} to {where}"
