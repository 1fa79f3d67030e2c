"""Regular expressions of scripts, matched in a time that their length and the text's bound, whatever they say.

Python's own go back and try again: four stars and a long line take it years. Here all ways are gone at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Token: TypeAlias = tuple[str, str]
"""``set`` with a pattern of Python's for one letter, ``repeat`` with one of ``*+?``, ``group`` with one of ``(|)``, ``anchor``
with ``^`` or ``$``."""

_Node: TypeAlias = tuple[str, object]
_MAX_STATES = 5000
"""Sets of places that are remembered; a pattern of a script has a few dozens."""


class BadPattern(Exception):
    """A pattern that is none, or that has too many states."""


@dataclass
class _Place:
    """One place in a pattern: ``kind`` is ``set``, ``split``, an anchor or ``end``; ``ways`` lead on."""

    kind: str
    letter: re.Pattern[str] | None = None
    ways: list[int] = field(default_factory=list)


class Matcher:
    """Tells whether a line has what ``tokens`` say; raises BadPattern where they say nothing."""

    def __init__(self, tokens: Sequence[Token], *, ignoring_case: bool = False) -> None:
        self._flags = re.IGNORECASE | re.DOTALL if ignoring_case else re.DOTALL
        self._tokens, self._at = list(tokens), 0
        self._places: list[_Place] = [_Place("end")]
        parsed = self._alternatives()
        if self._at < len(self._tokens):
            raise BadPattern
        self._start = self._built(parsed, 0)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._first = self._closed([self._start], starts=True)
        self._again = self._closed([self._start])

    def fits(self, line: str, *, whole: bool = False) -> bool:
        """Whether any part of ``line`` fits, or with ``whole`` all of it."""
        here = self._first
        for letter in line:
            if not whole and 0 in here:
                return True
            here = self._stepped(here, letter, whole=whole)
        return 0 in self._closed(here, starts=not line, ends=True)

    def _stepped(self, here: frozenset[int], letter: str, *, whole: bool) -> frozenset[int]:
        key = (here, letter if not whole else f"{letter}.")
        found = self._steps.get(key)
        if found is None:
            if len(self._steps) > _MAX_STATES:
                raise BadPattern
            places = (self._places[each] for each in here)
            led = [place.ways[0] for place in places if place.letter is not None and place.letter.match(letter)]
            found = self._closed(led) if whole else self._closed(led) | self._again
            self._steps[key] = found
        return found

    def _closed(self, places: Iterable[int], *, starts: bool = False, ends: bool = False) -> frozenset[int]:
        """The places that are reached without reading on."""
        todo, seen = list(places), set[int]()
        while todo:
            each = todo.pop()
            if each in seen:
                continue
            seen.add(each)
            place = self._places[each]
            if place.kind == "split" or (place.kind == "^" and starts) or (place.kind == "$" and ends):
                todo += place.ways
        return frozenset(seen)

    def _next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _alternatives(self) -> _Node:
        found = [self._sequence()]
        while self._next() == ("group", "|"):
            self._at += 1
            found.append(self._sequence())
        return ("either", found)

    def _sequence(self) -> _Node:
        found: list[_Node] = []
        while self._next()[0] and self._next() not in (("group", "|"), ("group", ")")):
            kind, text = self._next()
            self._at += 1
            if (kind, text) == ("group", "("):
                found.append(self._alternatives())
                if self._next() != ("group", ")"):
                    raise BadPattern
                self._at += 1
            elif kind == "repeat":
                if not found:
                    raise BadPattern
                found.append((text, found.pop()))
            else:
                found.append((kind, text))
        return ("all", found)

    def _built(self, node: _Node, then: int) -> int:
        """Where ``node`` begins, which leads to ``then``."""
        kind, of = node
        if kind == "all":
            assert isinstance(of, list)
            for each in reversed(of):
                then = self._built(each, then)
            return then
        if kind == "either":
            assert isinstance(of, list)
            return self._new("split", [self._built(each, then) for each in of])
        if kind in ("*", "+", "?"):
            assert isinstance(of, tuple)
            split = self._new("split", [then])
            begins = self._built(of, then if kind == "?" else split)
            self._places[split].ways.append(begins)
            return begins if kind == "+" else split
        assert isinstance(of, str)
        if kind == "anchor":
            return self._new(of, [then])
        place = self._new("set", [then])
        self._places[place].letter = re.compile(of, self._flags)
        return place

    def _new(self, kind: str, ways: list[int]) -> int:
        self._places.append(_Place(kind, ways=ways))
        return len(self._places) - 1
