"""Distributions that a base has already and a wheel is about to replace, deleted as pip would uninstall them."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from oci_builder.distinfo import record_rows
from oci_builder.imported.libc import read_file
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.overlay import without
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree, parents

_DIST_INFO = re.compile(r"(?P<name>[^/]+?)-(?P<version>[^-/]+)\.dist-info\Z")
_ORIGIN = "ocibuild"
_TAG = ".cpython-"
MAX_RECORD = 16 << 20
"""Bytes of one RECORD; the largest wheels' have three million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A distribution in site-packages: ``folder`` is its .dist-info, ``name`` normalised."""

    name: str
    version: str
    folder: EntryPath

    @property
    def label(self) -> str:
        """``requests 2.31.0``."""
        return f"{self.name} {self.version}"


def find_installed(tree: Tree, purelib: str) -> Mapping[str, Installation]:
    """The distributions of the site-packages folder ``purelib`` by name."""
    site = tree.resolve(purelib.strip("/"))
    found = {}
    for path in tree.paths:
        folder, _, name = path.rpartition("/")
        match = _DIST_INFO.match(name) if folder == site else None
        if match and tree.paths[path].kind is Kind.DIRECTORY:
            known = Installation(name=canonicalize_name(match["name"]), version=match["version"], folder=path)
            found[known.name] = known
    return found


def removal(tree: Tree, gone: Mapping[str, Installation], *, prefix: str, store: Store) -> tuple[Layer, Tree] | None:
    """A layer that deletes the distributions ``gone``, and ``tree`` without them; None where there is nothing to do.

    What their RECORD names goes, but nothing outside ``prefix``; so do bytecode and folders that are empty then.
    """
    if not gone:
        return None
    with MappedFiles() as sources:
        held = _by_folder(tree)
        compiled = _Compiled(held)
        files = {path for one in gone.values() for path in _files(tree, one, prefix.strip("/"), compiled, sources)}
    if not files:
        return None
    deleted = _topmost(files, held)
    labels = tuple(one.label for _, one in sorted(gone.items()))
    marks = [_whiteout(path) for path in deleted]
    layer_tree = Tree([*marks, *_above(tree, deleted)])
    key = LayerKey.of(
        kind="removal", of=labels, entries=[[e.path, e.kind.value, e.mode, e.uid, e.gid, e.mtime] for e in layer_tree]
    )
    layer = find(key, store)
    if layer is None:
        layer = write_layer(layer_tree, store, created_by=f"ocibuild removes {', '.join(labels)}", holds=())
        keep(layer, key, store)
    return layer, without(tree, deleted)


def _whiteout(path: EntryPath) -> Entry:
    return Entry(path=path, kind=Kind.WHITEOUT, mode=0o644, origin=_ORIGIN)


def _above(tree: Tree, paths: list[EntryPath]) -> Iterator[Entry]:
    folders = dict.fromkeys(parent for path in paths for parent in parents(path))
    yield from (entry for folder in folders if (entry := tree.get(folder)) is not None)


def _by_folder(tree: Tree) -> dict[str, list[EntryPath]]:
    held: dict[str, list[EntryPath]] = {}
    for path in tree.paths:
        held.setdefault(path.rpartition("/")[0], []).append(path)
    return held


def _files(
    tree: Tree, one: Installation, prefix: str, compiled: _Compiled, sources: MappedFiles
) -> Iterator[EntryPath]:
    """What the RECORD of a distribution names and the tree has, with the bytecode of its modules."""
    data = read_file(tree, sources, f"{one.folder}/RECORD", limit=MAX_RECORD)
    if data is None:
        return  # installed by another tool (a system's package): pip would not touch it either
    site = posixpath.dirname(one.folder)
    for row in _rows(data):
        path = posixpath.normpath(posixpath.join("/", site, row)).strip("/")
        if not path.startswith(f"{prefix}/") or "\0" in path:
            continue
        yield from _with_bytecode(tree, tree.place(path), compiled)
    # pip deletes the folder with whatever others wrote into it.
    yield from (path for path in tree.paths if path.startswith(f"{one.folder}/"))


def _rows(record: bytes) -> Iterator[str]:
    """The paths in a RECORD, up to a row that is none: what cannot be read cannot be deleted."""
    with contextlib.suppress(ValueError):
        # Bytes that are no UTF-8 stay what they are, as in the tree.
        yield from (path for path, _, _ in record_rows(record.decode("utf-8", "surrogateescape")))


class _Compiled:
    """The bytecode of modules, found by its module; each ``__pycache__`` is looked through once."""

    def __init__(self, held: Mapping[str, list[EntryPath]]) -> None:
        self._held = held
        self._known: dict[str, dict[str, list[EntryPath]]] = {}

    def of(self, module: str) -> list[EntryPath]:
        """The bytecode of the module at a path."""
        folder, _, name = module.rpartition("/")
        cache = f"{folder}/__pycache__"
        if cache not in self._known:
            known = self._known[cache] = {}
            for path in self._held.get(cache, ()):
                known.setdefault(path.rpartition("/")[2].partition(_TAG)[0], []).append(path)
        return self._known[cache].get(name.removesuffix(".py"), [])


def _with_bytecode(tree: Tree, path: EntryPath, compiled: _Compiled) -> Iterator[EntryPath]:
    entry = tree.get(path)
    if entry is None or entry.kind is Kind.DIRECTORY:
        return
    yield path
    if path.endswith(".py"):
        yield from (other for other in compiled.of(path) if _TAG in other)


def _topmost(files: set[EntryPath], held: Mapping[str, list[EntryPath]]) -> list[EntryPath]:
    """``files``, and in place of those that were all a folder held, the folder."""
    left = {folder: len(paths) for folder, paths in held.items()}
    gone: set[EntryPath] = set()
    todo = list(files)
    while todo:
        path = todo.pop()
        gone.add(path)
        folder = path.rpartition("/")[0]
        left[folder] -= 1
        if folder and left[folder] == 0 and posixpath.basename(folder) not in ("site-packages", "bin"):
            todo.append(EntryPath(folder))
    return sorted(path for path in gone if not any(parent in gone for parent in parents(path)))
