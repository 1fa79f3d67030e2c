"""Patterns that choose files, in the syntax of ``.dockerignore``.

A pattern is held against the path below the folder that is copied. ``*`` and ``?`` stop at slashes, ``**`` does not,
``[a-z]`` is one letter of a class, a backslash takes the next letter as it is. What matches a folder matches all in it.
After ``!`` a pattern takes back what an earlier one matched: the last that matches decides (docs.docker.com, "Build
context", .dockerignore files).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

_SPECIAL = frozenset("*?[]\\")
_CLASS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]")


class Patterns:
    """Patterns, of which the last that matches a path decides. Raises ValueError for one that cannot be read.

    ``expression`` matches all paths that they match, as a regular expression; it is None where one takes back, for then
    none does. ``takes_back`` tells whether something in a folder that matches may not match.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        # Empty ones and comments may come out of a .dockerignore.
        written = [glob.strip() for glob in globs if glob.strip() and not glob.startswith("#")]
        read = [(glob.startswith("!"), translated(glob.removeprefix("!").strip())) for glob in written]
        self._known = [(negative, re.compile(text, re.DOTALL)) for negative, text in read if text]
        self._folders: dict[str, tuple[bool, ...]] = {"": (False,) * len(self._known)}
        self.takes_back = any(negative for negative, _ in self._known)
        together = "|".join(pattern.pattern for _, pattern in self._known)
        self.expression = None if self.takes_back or not together else f"(?:{together})(?:/.*)?"

    def match(self, path: str) -> bool:
        """Whether ``path``, relative and without a slash at its end, is matched, or a folder that it lies in."""
        return bool(self._known) and self._matching(path)[1]

    def _matching(self, path: str) -> tuple[tuple[bool, ...], bool]:
        """Which patterns match, and what they decide, as Docker finds it: one that matched a folder matches all in it.

        One that takes back is tried only on what is matched so far, a folder above or the path itself: what it would
        take back of a folder that nothing matched, it does not take back of the files in it.
        """
        above = self._folder(path.rpartition("/")[0])
        found, matched = [], False
        for (negative, pattern), before in zip(self._known, above, strict=True):
            match = before or (negative == matched and pattern.fullmatch(path) is not None)
            matched = not negative if match else matched
            found.append(match)
        return tuple(found), matched

    def _folder(self, path: str) -> tuple[bool, ...]:
        if path not in self._folders:
            self._folders[path] = self._matching(path)[0]
        return self._folders[path]


def translated(glob: str) -> str:
    """One pattern, without ``!``, as a regular expression for whole paths; "" for one that names the folder itself.

    Raises ValueError.
    """
    if not glob:
        raise ValueError("a pattern is empty")
    clean = posixpath.normpath(glob).lstrip("/")
    if clean in ("", "."):
        return ""
    out, place = "", 0
    while place < len(clean):
        text, place = _piece(clean, place, glob)
        out += text
    return out


def _piece(glob: str, place: int, whole: str) -> tuple[str, int]:
    """The expression for what stands at ``place``, and the place behind it."""
    if glob.startswith("**", place):
        end = place + 2 + glob.startswith("/", place + 2)
        # Docker lets a name that only ** precedes be the end of a name as well.
        loose = end == len(glob) or (place == 0 and end == 2 and not _SPECIAL & set(glob[end:]))
        return ".*" if loose else "(?:.*/)?", end
    char = glob[place]
    if char == "*":
        return "[^/]*", place + 1
    if char == "?":
        return "[^/]", place + 1
    if char == "\\":
        if place + 1 == len(glob):
            raise ValueError(f"{whole!r} ends in a backslash")
        return re.escape(glob[place + 1]), place + 2
    if char == "[":
        found = _CLASS.match(glob, place)
        if found is None:
            raise ValueError(f"{whole!r} has a [ without its ]")
        return _letters(found, whole), found.end()
    return re.escape(char), place + 1


def _letters(found: re.Match[str], whole: str) -> str:
    inner = re.sub(r"\\(.)|([\[&~|])", lambda each: re.escape(each[1] or each[2]), found[2], flags=re.DOTALL)
    # Python means to read two of these as a difference of sets some day, and warns of it.
    inner = re.sub(r"(?<=.)--", r"-\\-", inner, flags=re.DOTALL)
    text = f"[{found[1]}{inner}]"
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{whole!r} has a class of letters that is none") from error
    return text
