"""Where the loader looks beside its own folders, by the tree's configuration of ldconfig (ldconfig(8))."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree

_MAIN = "etc/ld.so.conf"
_MAX_TEXT = 64 << 10
_MAX_FILES = 1000


def configured_folders(tree: Tree, sources: MappedFiles) -> list[str]:
    """The folders that ``/etc/ld.so.conf`` names, in order, each once; none where there is no such file."""
    return list(dict.fromkeys(_read(_MAIN, tree, sources, [_MAX_FILES])))


def _read(path: str, tree: Tree, sources: MappedFiles, left: list[int]) -> Iterator[str]:
    entry = tree.get(tree.resolve(path))
    left[0] -= 1
    if left[0] < 0 or entry is None or entry.content is None or entry.size > _MAX_TEXT:
        return
    for line in sources.read(entry.content, what=f"/{path}").decode("utf-8", "replace").split("\n"):
        words = line.partition("#")[0].split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                place = pattern if pattern.startswith("/") else f"{path.rpartition('/')[0]}/{pattern}"
                for each in _matching(place.strip("/"), tree):
                    yield from _read(each, tree, sources, left)
        elif len(words) == 1 and words[0].startswith("/"):
            yield words[0].strip("/")


def _matching(pattern: str, tree: Tree) -> list[str]:
    folder, _, name = pattern.rpartition("/")
    real = tree.resolve(folder)
    names = (path.rpartition("/") for path in tree.paths if path.startswith(f"{real}/"))
    return sorted(f"{real}/{each}" for above, _, each in names if above == real and fnmatch.fnmatchcase(each, name))
