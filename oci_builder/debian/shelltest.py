"""``test`` of a shell over a tree, and its patterns."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Sequence

from oci_builder.debian.hosttools import is_tool
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.tree.entry import Kind

_SPECIAL = re.compile(r"([*?\[])")
_EXECUTE, _SETUID, _SETGID = 0o111, 0o4000, 0o2000


class BadTest(Exception):
    """An expression of ``test`` that is none."""


def literal(text: str) -> str:
    """A pattern that fits ``text`` alone."""
    return _SPECIAL.sub(r"[\1]", text)


def fits(text: str, pattern: str) -> bool:
    """Whether ``text`` fits a pattern of ``case``."""
    return _compiled(pattern).match(text) is not None


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def holds(words: Sequence[str], tree: ScriptTree) -> bool:
    """Whether the expression of ``test`` is true. Raises BadTest."""
    if len(words) > 200:
        raise BadTest("it has more than 200 words")
    return _either(list(words), tree)


def _either(words: list[str], tree: ScriptTree) -> bool:
    """An expression, of which ``-o`` binds least, then ``-a``; by number of words first (POSIX, test)."""
    if len(words) <= 4:
        return _short(words, tree)
    for operator, combine in (("-o", any), ("-a", all)):
        for at in range(1, len(words) - 1):
            if words[at] == operator and not (words[at - 1] in _COMPARED and at == 1):
                return combine((_either(words[:at], tree), _either(words[at + 1 :], tree)))
    if words[0] == "!":
        return not _either(words[1:], tree)
    raise BadTest("its expression is not known here")


def _short(words: list[str], tree: ScriptTree) -> bool:
    if not words:
        return False
    if len(words) == 1:
        return words[0] != ""
    if len(words) == 3 and words[1] in _COMPARED:
        return _COMPARED[words[1]](words[0], words[2])
    if len(words) == 3 and words[1] in ("-a", "-o"):
        both = (words[0] != "", words[2] != "")
        return all(both) if words[1] == "-a" else any(both)
    if words[0] == "!":
        return not _short(words[1:], tree)
    if len(words) == 2 and words[0] in _ASKED:
        return _ASKED[words[0]](words[1], tree)
    if len(words) == 4 and words[2] in ("-a", "-o"):
        both = (_short(words[:2], tree), words[3] != "")
        return all(both) if words[2] == "-a" else any(both)
    if len(words) == 4 and words[1] in ("-a", "-o"):
        both = (words[0] != "", _short(words[2:], tree))
        return all(both) if words[1] == "-a" else any(both)
    raise BadTest("its expression is not known here")


def _numbers(compare: Callable[[int, int], bool]) -> Callable[[str, str], bool]:
    def compared(one: str, other: str) -> bool:
        if not all(re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", each) for each in (one, other)):
            raise BadTest(f"{one!r:.40} and {other!r:.40} are no numbers")
        return compare(int(one), int(other))

    return compared


_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "-eq": _numbers(lambda one, other: one == other),
    "-ne": _numbers(lambda one, other: one != other),
    "-lt": _numbers(lambda one, other: one < other),
    "-le": _numbers(lambda one, other: one <= other),
    "-gt": _numbers(lambda one, other: one > other),
    "-ge": _numbers(lambda one, other: one >= other),
}


def _is(path: str, tree: ScriptTree, kind: Kind) -> bool:
    if kind is Kind.FILE and is_tool(path):
        return True
    if kind is Kind.DIRECTORY:
        return tree.is_folder(path)
    entry = tree.get(path)
    return entry is not None and entry.kind is kind


def _has(path: str, tree: ScriptTree, bits: int) -> bool:
    entry = tree.get(path)
    return entry is not None and bool(entry.mode & bits)


def _is_executable(path: str, tree: ScriptTree) -> bool:
    return is_tool(path) or tree.is_folder(path) or _has(path, tree, _EXECUTE)


def _size(path: str, tree: ScriptTree) -> bool:
    entry = tree.get(path)
    return entry is not None and (entry.kind is Kind.DIRECTORY or entry.size > 0)


_ASKED: dict[str, Callable[[str, ScriptTree], bool]] = {
    "-n": lambda text, tree: text != "",
    "-z": lambda text, tree: text == "",
    "-e": lambda path, tree: path != "" and (is_tool(path) or tree.has(path)),
    "-f": lambda path, tree: path != "" and _is(path, tree, Kind.FILE),
    "-d": lambda path, tree: path != "" and _is(path, tree, Kind.DIRECTORY),
    "-L": lambda path, tree: path != "" and tree.is_link(path),
    "-h": lambda path, tree: path != "" and tree.is_link(path),
    "-s": lambda path, tree: path != "" and _size(path, tree),
    "-x": lambda path, tree: path != "" and _is_executable(path, tree),
    # Scripts run as root, who reads and writes all.
    "-r": lambda path, tree: path != "" and (is_tool(path) or tree.has(path)),
    "-w": lambda path, tree: path != "" and (is_tool(path) or tree.has(path)),
    "-u": lambda path, tree: path != "" and _has(path, tree, _SETUID),
    "-g": lambda path, tree: path != "" and _has(path, tree, _SETGID),
    # No device, pipe or socket is in an image; nothing is a terminal.
    **dict.fromkeys(("-b", "-c", "-p", "-S", "-t"), lambda path, tree: False),
}
