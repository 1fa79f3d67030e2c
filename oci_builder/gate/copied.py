"""What copied Python imports, against what the image has: nobody's metadata says it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from oci_builder.gate.facts import head_of
from oci_builder.gate.finding import Finding
from oci_builder.gate.imports import is_aside
from oci_builder.gate.modules import Modules
from oci_builder.gate.sanity import COPIED
from oci_builder.imported.names import readable
from oci_builder.inspect.sources import imports
from oci_builder.oci.documents import RunConfig
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.tree import Tree, parents


def copied_import_findings(entries: Iterable[Entry], tree: Tree, modules: Modules, run: RunConfig) -> Iterator[Finding]:
    """A warning for each module that copied Python imports, whatever happens, and that is not in the image.

    Where Python will look for copied modules nobody says: any folder that copied Python lies in, or below, will do, the
    working directory, and PYTHONPATH.
    """
    copied = [entry for entry in entries if entry.origin == COPIED and entry.kind is Kind.FILE and entry.content]
    folders = {run.workdir.strip("/"), *(part.strip("/") for part in run.env.get("PYTHONPATH", "").split(":"))}
    folders |= {folder for entry in copied if entry.path.endswith(".py") for folder in ("", *parents(entry.path))}
    missing: dict[str, list[str]] = {}
    with MappedFiles() as sources:
        for entry in copied:
            if not _is_python(entry, sources) or is_aside(entry.path.removesuffix(".py").split("/")):
                continue
            package = _package(entry.path, tree)
            name = ".".join([*package, entry.path.rpartition("/")[2].removesuffix(".py")]).removesuffix(".__init__")
            source = sources.read(entry.content, what=entry.path) if entry.content is not None else b""
            found = imports(source, name, package=entry.path.endswith("/__init__.py"))
            for module in sorted({each.module for each in found if each.module}):
                if not modules.exists(module) and not _is_in(module, folders, tree, modules):
                    head = module.partition(".")[0]
                    absent = module if modules.exists(head) or _is_in(head, folders, tree, modules) else head
                    missing.setdefault(absent, []).append(entry.path)
    yield from _findings(missing)


def _findings(missing: dict[str, list[str]]) -> Iterator[Finding]:
    for name, paths in sorted(missing.items()):
        unique = sorted(set(paths))
        yield Finding(
            severity="warning",
            kind="import",
            origin=COPIED,
            subject=name,
            message=f"[[copy]]: {_some(unique)} {'imports' if len(unique) == 1 else 'import'} {name}, "
            "which is not in the image",
            hint="list what brings it in the requirements, and lock again",
        )


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"/{readable(paths[0])}{more}"


def _is_python(entry: Entry, sources: MappedFiles) -> bool:
    if entry.path.endswith(".py"):
        return True
    name = entry.path.rpartition("/")[2]
    if "." in name or not entry.mode & 0o111:
        return False
    line = head_of(entry, sources, 256).partition(b"\n")[0]
    return line.startswith(b"#!") and b"python" in line


def _package(path: str, tree: Tree) -> list[str]:
    """The names of the packages that a module lies in."""
    names: list[str] = []
    folder = path.rpartition("/")[0]
    while folder and f"{folder}/__init__.py" in tree:
        names.insert(0, folder.rpartition("/")[2])
        folder = folder.rpartition("/")[0]
    return names


def _is_in(module: str, folders: Iterable[str], tree: Tree, modules: Modules) -> bool:
    name = module.replace(".", "/")
    places = (f"{folder}/{name}".lstrip("/") for folder in folders)
    return any(modules.at(place) is not None or place in tree for place in places)
