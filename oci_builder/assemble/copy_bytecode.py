"""Bytecode of modules that a recipe copies, made by the interpreter that will run them, as of those in wheels.

It says of which source it is (PEP 552, checked): who puts another file into a container that runs is served by that.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from oci_builder.bases import Compiling
from oci_builder.bytecode import CHECKED, pyc_path
from oci_builder.layer import pack
from oci_builder.oci.documents import RunConfig
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind, Packed, entry_path
from oci_builder.wheels.compiling import Mode, wanted
from oci_builder.wheels.layers import start_compiler
from oci_builder.wheels.target import Target

_TESTS = frozenset({"test", "tests"})
_CODE = ("-m", "-c")
"""Words with which an interpreter looks for modules where it is started."""


@dataclass(frozen=True, kw_only=True)
class CopyBytecode:
    """Who compiles, for ``target``, and the folders of copies, without a slash at either end, in which Python looks for
    modules."""

    mode: Mode
    target: Target
    compiling: Compiling
    folders: frozenset[str]

    @property
    def key(self) -> list[str]:
        """What a layer's key has of it."""
        return [self.mode, self.compiling.ref.name]

    def modules(self, entries: Iterable[Entry], taken: Collection[str]) -> list[Entry]:
        """Those of ``entries`` that get bytecode: modules of site-packages, of a folder on the path, or of a package;
        but for those whose bytecode is ``taken`` already."""
        files = [entry for entry in entries if entry.kind is Kind.FILE and entry.path.endswith(".py")]
        packages = {posixpath.dirname(entry.path) for entry in files if posixpath.basename(entry.path) == "__init__.py"}
        return [
            entry
            for entry in files
            if self._is_wanted(entry.path, packages) and pyc_path(entry.path, self._tag) not in taken
        ]

    def _is_wanted(self, path: str, packages: Collection[str]) -> bool:
        if wanted(path, self.target.promise.purelib, self.mode):
            return True
        folder = posixpath.dirname(path)
        if folder not in packages and folder not in self.folders:
            return False
        return self.mode == "all" or (self.mode != "none" and _TESTS.isdisjoint(folder.split("/")))

    def compile(self, modules: Sequence[Entry]) -> list[Entry]:
        """The bytecode of ``modules``, whoever's they are; none of what does not compile.

        Raises FileProblem for what cannot be read, ToolFailed when the interpreter dies.
        """
        if not modules:
            return []
        with MappedFiles() as files, self.compiling.start() as process, start_compiler(process) as compiler:
            read = ((f"/{each.path}", files.read(each.content, what=each.path)) for each in modules if each.content)
            compiled = list(compiler.compile(read))
        made = zip((each for each in modules if each.content), compiled, strict=True)
        return [self._pyc(module, data) for module, data in made if data is not None]

    def _pyc(self, module: Entry, data: bytes) -> Entry:
        data = data[:4] + CHECKED + data[8:]
        digest = hashlib.sha256(data).hexdigest()
        return Entry(
            path=entry_path(pyc_path(module.path, self._tag)),
            kind=Kind.FILE,
            mode=module.mode & 0o666,
            uid=module.uid,
            gid=module.gid,
            size=len(data),
            content=Packed(pack(data), len(data), digest, data),
            origin=module.origin,
            sha256=digest,
        )

    @property
    def _tag(self) -> str:
        major, minor = self.target.minor
        return f"cpython-{major}{minor}"


def module_folders(run: RunConfig) -> frozenset[str]:
    """Where the Python of an image that runs so looks for modules besides its own folders."""
    words = (*run.entrypoint, *run.cmd)
    found = [path for path in run.env.get("PYTHONPATH", "").split(":") if path.startswith("/")]
    found += [posixpath.dirname(word) for word in words if word.startswith("/") and word.endswith(".py")]
    relative = [posixpath.dirname(word) for word in words if word.endswith(".py") and not word.startswith("/")]
    found += [posixpath.join(run.workdir or "/", folder) for folder in relative]
    if any(word in _CODE for word in words):
        found.append(run.workdir or "/")
    return frozenset(posixpath.normpath(path).strip("/") for path in found)
