"""The modules of an image, by their names: where ``import`` would find them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from oci_builder.inspect.sources import Import, imports, mentions, texts
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import Target

_SPLIT_OFF = frozenset({"tkinter", "_tkinter", "turtle", "turtledemo", "idlelib", "ensurepip", "distutils", "lib2to3"})
"""Parts of the standard library that distributions leave out, or newer ones have no more."""

_DEBIANS = "usr/lib/python3/dist-packages"


class Modules:
    """Everything that a Python of ``target`` can import of ``tree``."""

    def __init__(self, tree: Tree, target: Target) -> None:
        self._tree = tree
        self.site = target.promise.purelib.strip("/")
        # Debian's own Python sees the distributions of Debian's packages too.
        self.sites = (self.site, *((_DEBIANS,) if self.site.endswith("/dist-packages") else ()))
        major, minor = target.minor
        self._suffixes = (
            f".cpython-{major}{minor}-{target.platform.machine}-linux-gnu.so",
            f".abi{major}.so",
            ".so",
        )
        prefix = target.promise.prefix.strip("/")
        library = {f"{folder}/python{major}.{minor}" for folder in (f"{prefix}/lib", "usr/lib")}
        self._roots = (
            *self.sites,
            *(f"{folder}{below}" for folder in sorted(library) for below in ("", "/lib-dynload")),
        )

    def extension(self, path: str) -> str:
        """The dotted name of the extension module at ``path``, or empty text where it is none."""
        for root in self._roots:
            below = path.removeprefix(f"{root}/")
            suffix = next((suffix for suffix in self._suffixes if below.endswith(suffix)), "")
            name = below.removesuffix(suffix).replace("/", ".")
            if suffix and below != path and all(part.isidentifier() for part in name.split(".")):
                # A plain library next to modules, as in torch/lib, is none.
                return "" if suffix == ".so" and name.rpartition(".")[2].startswith("lib") else name
        return ""

    def exists(self, name: str) -> bool:
        """Whether ``import name`` finds something; a folder without ``__init__`` will do (PEP 420)."""
        if self.find(name) is not None or any(self._folder(f"{root}/{_path(name)}") for root in self._roots):
            return True
        head = name.partition(".")[0]
        # Which modules are built into the interpreter cannot be read off its files.
        if head in sys.stdlib_module_names and head not in _SPLIT_OFF:
            return True
        # What a module that is no package has below it, it made itself: torch._C.
        found = [self.find(step) for step in _steps(name)[:-1]]
        return any(entry is not None and "/__init__." not in entry.path for entry in found)

    def dotted(self, path: str) -> str:
        """The name of the module at ``path``, a ``.py`` below site-packages."""
        return module_name(path.removeprefix(f"{self.site}/"))

    def entry(self, path: str) -> Entry | None:
        """What the image has at ``path``."""
        return self._tree.get(path)

    def shown(self, path: str) -> str:
        """``path`` as messages have it: below site-packages where it is there, else absolute."""
        return path.removeprefix(f"{self.site}/") if path.startswith(f"{self.site}/") else f"/{path}"

    def find(self, name: str) -> Entry | None:
        """The file that ``import name`` would run or load, or None: also for a folder without ``__init__``."""
        found = (self.at(f"{root}/{_path(name)}") for root in self._roots)
        return next((entry for entry in found if entry is not None), None)

    def at(self, place: str) -> Entry | None:
        """The file of the module whose path is ``place`` without its suffix."""
        ends = ("/__init__.py", *(f"/__init__{suffix}" for suffix in self._suffixes), *self._suffixes)
        for path in (f"{place}{end}" for end in (*ends, ".py", ".pyc", "/__init__.pyc")):
            if entry := self._file(path):
                return entry
        return None

    def top_level(self, origin: str) -> list[str]:
        """The modules and packages right below site-packages that ``origin`` brings."""
        return sorted({name for name in self._names(origin) if "." not in name})

    def reached(self, origin: str) -> frozenset[str]:
        """The modules of ``origin`` that importing its top-level ones imports, whatever happens."""
        return self._closure(origin, partial(imports, calls=True))

    def mentioned(self, origin: str) -> frozenset[str]:
        """The modules of ``origin`` that its top-level ones import, or could, at one time or another."""
        return self._closure(origin, mentions)

    def named(self, origin: str, starts: Iterable[str]) -> frozenset[str]:
        """The texts in those modules of ``origin`` that ``starts`` are and import, at one time or another."""
        found: set[str] = set()

        def read(source: bytes, module: str, *, package: bool) -> list[Import]:
            found.update(texts(source))
            return mentions(source, module, package=package)

        self._closure(origin, read, starts)
        return frozenset(found)

    def _closure(
        self, origin: str, read: Callable[..., list[Import]], starts: Iterable[str] | None = None
    ) -> frozenset[str]:
        todo, seen = list(self.top_level(origin) if starts is None else starts), set[str]()
        with MappedFiles() as sources:
            while todo:
                name = todo.pop()
                entry = self.find(name) if name not in seen else None
                seen.add(name)
                if entry is None or entry.origin != origin or entry.content is None or not entry.path.endswith(".py"):
                    continue
                source = sources.read(entry.content, what=entry.path)
                for found in read(source, name, package=entry.path.endswith("/__init__.py")):
                    todo += _steps(found.module) + ([f"{found.module}.{found.name}"] if found.name else [])
        return frozenset(seen)

    def _names(self, origin: str) -> Iterator[str]:
        start = f"{self.site}/"
        for path in self._tree.paths:
            if path.startswith(start) and (entry := self._tree.get(path)) and entry.origin == origin:
                first, slash, rest = path[len(start) :].partition("/")
                if slash and rest.startswith("__init__."):
                    yield first
                elif not slash:
                    yield first.removesuffix(".py") if first.endswith(".py") else self.extension(path) or "."

    def _file(self, path: str) -> Entry | None:
        entry = self._tree.get(path)
        if entry is not None and entry.kind is Kind.SYMLINK:
            entry = self._tree.get(self._tree.resolve(path))
        return entry if entry is not None and entry.kind is Kind.FILE else None

    def _folder(self, path: str) -> bool:
        entry = self._tree.get(path)
        return entry is not None and entry.kind is Kind.DIRECTORY


def module_name(path: str) -> str:
    """The name that ``demo/cli/__init__.py`` is imported by: ``demo.cli``."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _path(name: str) -> str:
    return name.replace(".", "/")


def _steps(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
