"""The files that are a base's Python: what wheels bring may lie beside them, never in their place nor before them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from oci_builder.bases.base import Base
from oci_builder.errors import PathConflict
from oci_builder.layer import Layer
from oci_builder.tree.entry import Kind
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import PythonEnvironment

_PROGRAM = re.compile(r"python\d*(\.\d+)?t?(-config)?")
_LIBRARY = re.compile(r"libpython\d.*\.(so|a)(\.[\d.]+)?")
_SITES = ("site-packages", "dist-packages")
_SETTINGS = "pyvenv.cfg"
"""Beside the program, or one folder above, it tells the interpreter where its standard library is."""

_HINT = "a wheel that changes the interpreter changes every program of the image: leave it out, or change the base"


def keep_interpreter(base: Base, layers: Iterable[Layer]) -> None:
    """See that no layer upon ``base`` takes or hides a file of its interpreter, nor has a folder where it has a file.

    Raises PathConflict, naming both.
    """
    if base.promise is None:
        return
    interpreter = _Interpreter(base.tree, base.promise, base.name)
    for layer in layers:
        for entry in layer.entries:
            if entry.kind == "directory":
                present = base.tree.get(entry.path)
                if present is not None and present.kind is not Kind.DIRECTORY:
                    raise PathConflict(entry.path, present.origin, entry.origin)
            elif whose := interpreter.owner(entry.path):
                raise PathConflict(f"/{entry.path}", whose, entry.origin, hint=_HINT)


class _Interpreter:
    """Where it is: its program, its library, its standard library."""

    def __init__(self, tree: Tree, promise: PythonEnvironment, name: str) -> None:
        self._tree, self._name = tree, name
        program = tree.resolve(promise.interpreter.strip("/"))
        minor = ".".join(promise.version.split(".")[:2])
        self._programs = {
            tree.resolve(folder.strip("/"))
            for folder in (posixpath.dirname(promise.interpreter), promise.scripts, posixpath.dirname(f"/{program}"))
        }
        homes = {posixpath.dirname(folder) for folder in self._programs} | {tree.resolve(promise.prefix.strip("/"))}
        self._settings = {f"{folder}/{_SETTINGS}".lstrip("/") for folder in (*self._programs, *homes)}
        ending = f"/python{minor}/os.py"
        found = {posixpath.dirname(path) for path in tree.paths if path.endswith(ending)}
        self._library = tuple(f"{folder}/" for folder in sorted(found))
        self._sites = tuple(f"{folder}{site}/" for folder in self._library for site in _SITES)
        # It is looked into before the folder is.
        packed = f"python{minor.replace('.', '')}.zip"
        self._zips = {f"{posixpath.dirname(folder.rstrip('/'))}/{packed}" for folder in self._library}

    def owner(self, path: str) -> str:
        """Whose the part of the interpreter is that ``path`` would replace or hide; empty where it would not."""
        if path.startswith(self._sites):
            return ""
        folder, _, name = path.rpartition("/")
        is_part = (
            path.startswith(self._library)
            or (folder in self._programs and _PROGRAM.fullmatch(name))
            or (path in self._tree and (_LIBRARY.fullmatch(name) or _PROGRAM.fullmatch(name)))
            or path in self._settings
            or path in self._zips
        )
        if not is_part:
            return ""
        present = self._tree.get(path)
        return present.origin if present is not None else f"the interpreter of {self._name}"
