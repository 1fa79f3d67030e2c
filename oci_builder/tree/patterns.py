"""Patterns that choose files, in the syntax of ``.dockerignore``.

A pattern is held against the path below the folder that is copied. ``*`` and ``?`` stop at slashes, ``**`` does not,
``[a-z]`` is one letter of a class, a backslash takes the next letter as it is. What matches a folder matches all in it.
After ``!`` a pattern takes back what an earlier one matched: the last that matches decides (docs.docker.com, "Build
context", .dockerignore files).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto

_SPECIAL = frozenset("*?[]\\")
_MOST_SLOW = 2
"""Pieces of one pattern that are tried again for each way in which what precedes them matches: the square of a path's
length is a moment, and more than its cube is not."""

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
        # From the top: a path can be deeper than functions may call each other.
        missing, at = [], path
        while at not in self._folders:
            missing.append(at)
            at = at.rpartition("/")[0]
        for at in reversed(missing):
            self._folders[at] = self._matching(at)[0]
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
    pieces, place = [], 0
    while place < len(clean):
        piece, place = _piece(clean, place, glob)
        pieces.append(piece)
    if sum(_is_slow(pieces, at) for at in range(len(pieces))) > _MOST_SLOW:
        raise ValueError(f"{glob!r} has more ** within names than can be tried")
    return _joined(pieces)


class _Sort(Enum):
    """What a piece of a pattern matches: one letter, a name's letters, whole folders or none, or all there is."""

    LETTER = auto()
    SLASH = auto()
    ANY = auto()  # a letter of a class, which may be a slash
    STAR = auto()
    FOLDERS = auto()
    REST = auto()


@dataclass(frozen=True, slots=True)
class _Piece:
    sort: _Sort
    text: str


_OPEN = (_Sort.STAR, _Sort.FOLDERS, _Sort.REST)
"""Those that match more than one letter."""


def _next(pieces: Sequence[_Piece], at: int, sorts: Collection[_Sort]) -> int:
    """Where the first of ``sorts`` stands behind ``at``, or the end."""
    return next((place for place in range(at + 1, len(pieces)) if pieces[place].sort in sorts), len(pieces))


def _end_of_first(pieces: Sequence[_Piece], at: int) -> int | None:
    """Where that ends of which the first match is as good as any, as nothing behind it could match less for it.

    That is a ``*`` up to the next one in the same name, whole folders up to the next of any, and all before the rest.
    None where a later match may do what the first does not.
    """
    sort = pieces[at].sort
    if sort is _Sort.STAR:
        end = _next(pieces, at, (*_OPEN, _Sort.SLASH))
        fits = end < len(pieces) and pieces[end].sort in (_Sort.STAR, _Sort.REST)
    elif sort is _Sort.FOLDERS:
        end = _next(pieces, at, (_Sort.FOLDERS, _Sort.REST))
        is_rest = end < len(pieces) and pieces[end].sort is _Sort.REST
        fits = end < len(pieces) and (is_rest or end == at + 1 or pieces[end - 1].sort is _Sort.SLASH)
    else:
        return None
    return end if fits and all(piece.sort is not _Sort.ANY for piece in pieces[at:end]) else None


def _is_slow(pieces: Sequence[_Piece], at: int) -> bool:
    """Whether what stands there may have to be tried again for each match of what is before it."""
    if pieces[at].sort not in _OPEN or _end_of_first(pieces, at) is not None:
        return False
    if pieces[at].sort is _Sort.STAR:
        # Up to the end of a name there is one way.
        end = _next(pieces, at, (*_OPEN, _Sort.SLASH))
        ends = end == len(pieces) or pieces[end].sort is _Sort.SLASH
        return not ends or any(piece.sort is _Sort.ANY for piece in pieces[at:end])
    return _next(pieces, at, _OPEN) < len(pieces)


def _joined(pieces: Sequence[_Piece]) -> str:
    """The expression for ``pieces``. What need not be tried twice is an atomic group: else one path can take years."""
    out, at = "", 0
    while at < len(pieces):
        piece, end = pieces[at], _end_of_first(pieces, at)
        if end is None:
            out, at = out + piece.text, at + 1
        else:
            # The shortest of it that does.
            lazy = "[^/]*?" if piece.sort is _Sort.STAR else "(?:.*?/)??"
            out, at = f"{out}(?>{lazy}{_joined(pieces[at + 1 : end])})", end
    return out


def _piece(glob: str, place: int, whole: str) -> tuple[_Piece, int]:
    """What stands at ``place``, and the place behind it."""
    if glob.startswith("**", place):
        end = place + 2 + glob.startswith("/", place + 2)
        # Docker lets a name that only ** precedes be the end of a name as well.
        loose = end == len(glob) or (place == 0 and end == 2 and not _SPECIAL & set(glob[end:]))
        sort, text = (_Sort.REST, ".*") if loose else (_Sort.FOLDERS, "(?:.*/)?")
        return _Piece(sort, text), end
    char = glob[place]
    if char == "*":
        return _Piece(_Sort.STAR, "[^/]*"), place + 1
    if char == "?":
        return _Piece(_Sort.LETTER, "[^/]"), place + 1
    if char == "\\":
        if place + 1 == len(glob):
            raise ValueError(f"{whole!r} ends in a backslash")
        sort = _Sort.SLASH if glob[place + 1] == "/" else _Sort.LETTER
        return _Piece(sort, re.escape(glob[place + 1])), place + 2
    if char == "[":
        found = _CLASS.match(glob, place)
        if found is None:
            raise ValueError(f"{whole!r} has a [ without its ]")
        text = _letters(found, whole)
        return _Piece(_Sort.ANY if re.fullmatch(text, "/") else _Sort.LETTER, text), found.end()
    return _Piece(_Sort.SLASH if char == "/" else _Sort.LETTER, re.escape(char)), place + 1


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
