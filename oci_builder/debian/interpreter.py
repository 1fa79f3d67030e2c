"""A base's own Python, run on this machine: through its own loader, unprivileged, without chroot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oci_builder.bytecode import Compiler, pyc_path
from oci_builder.errors import PackageError
from oci_builder.files import explained, spooled
from oci_builder.machine import give_mode
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.elf import parse
from oci_builder.tree.entry import Entry, EntryPath, FileSlice, Kind, entry_path
from oci_builder.tree.tree import Tree

_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
ORIGIN = "ocibuild"

_STARTS_WITH = (
    *("abc", "codecs", "genericpath", "io", "os", "posixpath", "stat", "warnings", "_collections_abc", "_py_warnings"),
)
"""What an isolated Python without site imports, and the program it runs; most of it is frozen from 3.11 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """How to start a spooled Python: ``argv`` may be followed by the path of a program, ``env`` is all it needs.

    Isolated and without site: neither this machine's settings nor its packages reach it.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    proves: str = ""
    """What its bytecode is called ("cpython-312"), where it has to prove that it is such: of one nobody vouches for."""


def spool(tree: Tree, folder: Path, *, minor: str, machine: str, sources: MappedFiles) -> Interpreter:
    """Write Python and what it needs to compile below ``folder``, and say how to start it.

    The loader is named by its real path: the image's ``/lib64`` is an absolute link, which here leads to the host's.
    Raises PackageError when the tree has no such Python, FileProblem when the folder cannot be written.
    """
    library = f"usr/lib/{machine}-linux-gnu"
    python, loader = f"usr/bin/python{minor}", f"{library}/{_LOADERS[machine]}"
    for path in (python, loader):
        if path not in tree:
            raise PackageError(f"python{minor}", f"no /{path} in the base, so nothing can be run")
    with explained(folder):
        for path in [
            *_libraries(tree, python, library, sources),
            *modules_to_run(tree, f"usr/lib/python{minor}"),
            python,
            loader,
        ]:
            _write(tree, path, folder, sources)
    argv = (
        *(str(folder / loader), "--inhibit-cache", "--library-path", str(folder / library)),
        *(str(folder / python), "-I", "-S"),
    )
    return Interpreter(argv=argv, env={"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})


def write_loader(tree: Tree, folder: Path, *, machine: str, sources: MappedFiles) -> Path:
    """Write the loader that starts the programs of ``tree``, and nothing else; its path, there or not."""
    path = f"usr/lib/{machine}-linux-gnu/{_LOADERS[machine]}"
    _write(tree, path, folder, sources)
    return folder / path


def _libraries(tree: Tree, program: str, library: str, sources: MappedFiles) -> list[str]:
    """The names by which the loader asks for what ``program`` needs, and for what that needs."""
    found: list[str] = []
    todo = [program]
    while todo:
        entry = tree.get(tree.resolve(todo.pop()))
        if entry is None or entry.content is None:
            continue
        parsed = parse(sources.read(entry.content, what=entry.path), what=f"/{entry.path}")
        names = [f"{library}/{name}" for name in parsed.needed] if parsed is not None else []
        new = [name for name in names if name not in found]
        found += new
        todo += new
    return [path for path in found if path in tree]


def modules_to_run(tree: Tree, folder: str) -> list[EntryPath]:
    """The part of the standard library in ``folder`` that a Python which only compiles may ask for.

    ``os`` is how it finds its library; sources may be written in any encoding.
    """
    cached = f"{folder}/__pycache__"
    wanted = (
        *(f"{folder}/{name}" for name in ("encodings/", "lib-dynload/_codecs_", "lib-dynload/_multibytecodec")),
        *(f"{place}/{name}." for place in (folder, cached) for name in _STARTS_WITH),
    )
    return [path for path, entry in tree.paths.items() if path.startswith(wanted) and entry.kind is not Kind.DIRECTORY]


def _write(tree: Tree, name: str, folder: Path, sources: MappedFiles) -> None:
    """Write the file that ``name`` leads to, under ``name``."""
    entry = tree.get(tree.resolve(name))
    if entry is not None and entry.content is not None:
        write_content(entry, folder / name, sources)


def write_content(entry: Entry, path: Path, sources: MappedFiles) -> None:
    """Write the content of ``entry`` to the new file ``path``, in a folder that is made. Raises FileProblem."""
    assert entry.content is not None, "files have content"
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with spooled(path) as sink:
        for chunk in sources.chunks(entry.content, what=entry.path):
            sink.write(chunk)
    with explained(path):
        give_mode(path, 0o755 if entry.mode & 0o111 else 0o644)


def bytecode(
    tree: Tree, compiler: Compiler, spool: Path, *, minor: str, sources: MappedFiles, jobs: int
) -> list[Entry]:
    """The ``.pyc`` files of the standard library, their contents in the new file ``spool``, by ``jobs`` at once.

    A module reached through a link has bytecode of its own: Python looks beside the name it was asked for.
    Raises ToolFailed.
    """
    modules = [path for path in tree.paths if path.startswith(f"usr/lib/python{minor}/") and path.endswith(".py")]
    compiled = compiler.compile(_modules(modules, tree, sources), children=jobs)
    entries: list[Entry] = []
    offset = 0
    with spooled(spool) as sink:
        for path, data in zip(modules, compiled, strict=True):
            if data is not None:
                sink.write(data)
                entries.append(_pyc(path, FileSlice(spool, offset, len(data)), minor))
                offset += len(data)
    return entries


def _modules(paths: list[EntryPath], tree: Tree, sources: MappedFiles) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        entry = tree.get(tree.resolve(path))
        content = entry.content if entry is not None else None
        yield f"/{path}", sources.read(content, what=path) if content is not None else b""


def _pyc(path: str, content: FileSlice, minor: str) -> Entry:
    tag = f"cpython-{minor.replace('.', '')}"
    where = entry_path(pyc_path(path, tag))
    return Entry(path=where, kind=Kind.FILE, mode=0o644, size=content.size, content=content, origin=ORIGIN)
