"""The Python of an image made elsewhere, started on this machine where the recipe says so: to compile, and no more.

It runs through its own loader, in a folder with nothing but what it needs for that, and behind ``bytecode_guard``.
"""

from __future__ import annotations

import contextlib
import posixpath
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oci_builder.bases.base import Base
from oci_builder.bytecode import GUARD, why_not_started
from oci_builder.debian.interpreter import Interpreter, modules_to_run, write_content
from oci_builder.debian.running import host_platform
from oci_builder.errors import DamagedElf, UnsafePath
from oci_builder.files import explained
from oci_builder.store import Store
from oci_builder.tree import elf
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.limits import Unfit
from oci_builder.tree.tree import Tree

_MOST_LIBRARIES = 64
_MOST_FILES = 2000
_MOST_BYTES = 256 << 20
"""Of all files together; a Python and what it needs have 20 million."""

_MEMORY = 4 << 30
"""Bytes that it may ask for: forty times what the largest module takes."""

_ENVIRON = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What has to be written: the ``program`` and ``modules`` by their paths, ``libraries`` by their names."""

    program: Entry
    loader: Entry | None
    libraries: dict[str, Entry]
    modules: dict[str, Entry]


def why_not_image_python(base: Base, store: Store) -> str:
    """Why the Python of ``base`` cannot be started here, in words; empty where it can. Its loader alone is started.

    Raises FileProblem.
    """
    host = host_platform()
    if host is None or base.platform != host:
        return f"it is for {base.platform}, whose programs this machine does not start"
    if not sys.executable:
        return "no Python here can watch over it"
    try:
        with store.scratch() as folder, MappedFiles() as sources:
            parts = _parts(base, sources)
            if parts.loader is None:
                return ""
            write_content(parts.loader, folder / "loader", sources)
            return why_not_started(folder / "loader")
    except Unfit as error:
        return str(error)


@contextlib.contextmanager
def image_python(base: Base, store: Store) -> Iterator[Interpreter]:
    """The Python of ``base``, ready to be started; gone afterwards. ``why_not_image_python`` found that it can be.

    Raises FileProblem, DigestMismatch.
    """
    with store.scratch() as folder, MappedFiles() as sources:
        parts = _parts(base, sources)
        root, libraries = folder / "root", folder / "libraries"
        with explained(folder):
            libraries.mkdir()
        for name, entry in parts.libraries.items():
            write_content(entry, libraries / name, sources)
        for path, entry in {parts.program.path: parts.program, **parts.modules}.items():
            write_content(entry, root / path, sources)
        command = [str(root / parts.program.path), "-I", "-S"]
        if parts.loader is not None:
            place = folder / posixpath.basename(parts.loader.path)
            write_content(parts.loader, place, sources)
            command = [str(place), *_loading(parts, libraries), *command]
        argv = (sys.executable, "-I", "-S", str(GUARD), str(_MEMORY), str(folder), *command)
        yield Interpreter(argv=argv, env=_ENVIRON, proves=tag_of(base))


def tag_of(base: Base) -> str:
    """What bytecode for the Python of ``base`` is called: ``cpython-312``."""
    major, minor = base.target.minor
    return f"cpython-{major}{minor}"


def _loading(parts: _Parts, libraries: Path) -> list[str]:
    """The loader's own options: libraries come from nowhere else, whatever paths stand in them."""
    known = ["--library-path", str(libraries)]
    if parts.loader is None or "musl" in parts.loader.path:
        return known
    # The program itself has no name to the loader.
    named = ":".join(["", *(str(libraries / name) for name in parts.libraries)])
    return ["--inhibit-cache", "--inhibit-rpath", named, *known]


def _parts(base: Base, sources: MappedFiles) -> _Parts:
    """What has to be written. Raises Unfit."""
    tree, promise = base.tree, base.target.promise
    try:
        program = _file(tree, promise.interpreter.strip("/"))
        parsed = _elf(program, sources)
        if parsed.machine != base.platform.machine:
            raise Unfit(f"/{program.path} is for {parsed.machine}")
        loader = _file(tree, parsed.interpreter.strip("/")) if parsed.interpreter else None
        libraries = _libraries(tree, program, parsed, sources) if loader is not None else {}
        modules = _modules(tree, program, ".".join(map(str, base.target.minor)))
    except (UnsafePath, DamagedElf) as error:
        raise Unfit(str(error)) from error
    found = _Parts(program=program, loader=loader, libraries=libraries, modules=modules)
    files = [program, *([loader] if loader else []), *libraries.values(), *modules.values()]
    if len(files) > _MOST_FILES or sum(entry.size for entry in files) > _MOST_BYTES:
        raise Unfit("what it needs to start is larger than a Python's is")
    return found


def _file(tree: Tree, path: str) -> Entry:
    entry = tree.get(tree.resolve(path))
    if entry is None or entry.kind is not Kind.FILE or entry.content is None:
        raise Unfit(f"there is no file /{path}")
    return entry


def _elf(entry: Entry, sources: MappedFiles) -> elf.Elf:
    if entry.size > _MOST_BYTES:
        raise Unfit(f"/{entry.path} is larger than a Python's is")
    assert entry.content is not None, "files have content"
    parsed = elf.parse(sources.read(entry.content, what=f"/{entry.path}"), what=f"/{entry.path}")
    if parsed is None:
        raise Unfit(f"/{entry.path} is no program")
    return parsed


def _libraries(tree: Tree, program: Entry, parsed: elf.Elf, sources: MappedFiles) -> dict[str, Entry]:
    """What the program needs, and what that needs, by the names that the loader asks for."""
    found: dict[str, Entry] = {}
    todo = [(program, parsed)]
    loaders = {posixpath.basename(parsed.interpreter)}
    while todo:
        who, said = todo.pop()
        folders = [*_run_path(who, said), *_folders(tree, said.machine)]
        for name in said.needed:
            if name in found or name in loaders:
                continue
            if "/" in name or len(found) > _MOST_LIBRARIES:
                raise Unfit(f"/{who.path} needs {name!r}")
            entry = _library(tree, name, folders)
            if entry is None:
                raise Unfit(f"there is no {name}, which /{who.path} needs")
            found[name] = entry
            todo.append((entry, _elf(entry, sources)))
    return found


def _library(tree: Tree, name: str, folders: list[str]) -> Entry | None:
    for folder in folders:
        entry = tree.get(tree.resolve(f"{folder}/{name}"))
        if entry is not None and entry.kind is Kind.FILE:
            return entry
    return None


def _run_path(who: Entry, said: elf.Elf) -> Iterator[str]:
    here = posixpath.dirname(who.path)
    for part in said.runpath:
        for word in ("$ORIGIN", "${ORIGIN}"):
            part = part.replace(word, f"/{here}")
        yield posixpath.normpath(part).strip("/")


def _folders(tree: Tree, cpu: str) -> list[str]:
    """Where loaders look: what images have in ld.so.conf, or musl has built in, is among these."""
    above = ("usr/local/lib", "usr/local/lib64", "lib", "usr/lib", "lib64", "usr/lib64")
    inner = [f"{folder}/{cpu}-linux-gnu" for folder in above]
    return [folder for folder in (*inner, *above) if tree.resolve(folder) in tree]


def _modules(tree: Tree, program: Entry, minor: str) -> dict[str, Entry]:
    """The part of the standard library that is needed, by path, beside the program as Python looks for it."""
    prefix = posixpath.dirname(posixpath.dirname(program.path))
    for lib in ("lib", "lib64"):
        folder = f"{prefix}/{lib}/python{minor}".strip("/")
        if f"{folder}/os.py" in tree:
            found = {path: tree.get(tree.resolve(path)) for path in modules_to_run(tree, folder)}
            return {path: entry for path, entry in found.items() if entry is not None and entry.kind is Kind.FILE}
    raise Unfit(f"there is no standard library beside /{program.path}")
