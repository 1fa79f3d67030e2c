"""Where the loader looks beside its own folders, by the tree's configuration of ldconfig (ldconfig(8))."""

from __future__ import annotations

import fnmatch
from collections import deque
from collections.abc import Iterator

from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree

_FOLDER, _MAIN = "etc", "etc/ld.so.conf"
_MAX_TEXT = 64 << 10
_MAX_FILES = 1000
_MAX_INCLUDES = 100
"""Patterns that are looked for: each is held to every path there is. Debian has one."""


def configured_folders(tree: Tree, sources: MappedFiles) -> list[str]:
    """The folders that ``/etc/ld.so.conf`` names, in order, each once; none where there is no such file."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    includes = 0
    todo = deque([iter([f"include /{_MAIN}"])])
    while todo:
        line = next(todo[-1], None)
        if line is None:
            todo.pop()
            continue
        words = line.partition("#")[0].split()
        if words[:1] == ["include"]:
            # What a file includes comes where it says so; each is read once, in a circle too.
            patterns = words[1:] if includes < _MAX_INCLUDES else []
            includes += len(patterns)
            parts = [
                part for pattern in patterns[:_MAX_INCLUDES] for part in _matching(pattern, tree) if part not in seen
            ]
            seen.update(parts[: _MAX_FILES - len(seen)])
            todo += [_lines(part, tree, sources) for part in reversed(parts) if part in seen]
        elif len(words) == 1 and words[0].startswith("/"):
            found[words[0].strip("/")] = None
    return list(found)


def _lines(path: str, tree: Tree, sources: MappedFiles) -> Iterator[str]:
    entry = tree.get(tree.resolve(path))
    if entry is None or entry.content is None or entry.size > _MAX_TEXT:
        return
    yield from sources.read(entry.content, what=f"/{path}").decode("utf-8", "replace").split("\n")


def _matching(pattern: str, tree: Tree) -> list[str]:
    place = pattern.strip("/") if pattern.startswith("/") else f"{_FOLDER}/{pattern}"
    folder, _, name = place.rpartition("/")
    real = tree.resolve(folder)
    names = (path.rpartition("/") for path in tree.paths if path.startswith(f"{real}/"))
    return sorted(f"{real}/{each}" for above, _, each in names if above == real and fnmatch.fnmatchcase(each, name))
