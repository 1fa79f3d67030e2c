"""Regular expressions of grep, sed and awk (regex(7)) as Python's, where both find the same, and bounded in time."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oci_builder.debian.shell import Call

MAX_PATTERN = 400
"""Letters of a pattern: no script has longer ones."""

_MAX_WORK = 10_000_000
"""Letters that matching one line might look at, at worst: each part that repeats goes over the line once more."""

_ENOUGH = 100_000_000
"""The same of all lines of a script."""

_BRACKET = re.compile(r"\[\^?\]?(?:\[:[a-z]+:\]|[^\]\[]|\[(?![:.=]))*\]")
_CLASSES = {
    "[:space:]": r"\s",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:alnum:]": "A-Za-z0-9",
    "[:blank:]": r" \t",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:punct:]": r"!-/:-@\[-`{-~",
    "[:print:]": " -~",
    "[:cntrl:]": r"\x00-\x1f\x7f",
}
_GNU = {"w": "[A-Za-z0-9_]", "W": "[^A-Za-z0-9_]", "s": r"\s", "S": r"\S", "b": r"\b", "B": r"\B"}
_GNU |= {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z", "n": "\n", "t": "\t"}
_INTERVAL = re.compile(r"([0-9]{1,2})(,?)([0-9]{0,2})")


class Regex:
    """A pattern that is known, and what in it repeats: each part that does may go over a run of letters once more."""

    def __init__(self, pattern: re.Pattern[str], repeats: Sequence[str] = ()) -> None:
        self.pattern, self.groups = pattern, pattern.groups
        self._repeats = [re.compile(f"(?:{each})+") if each else None for each in repeats]
        self._line, self._ways = "", 1

    def match(self, call: Call, line: str) -> re.Match[str] | None:
        """What of ``line`` fits from its beginning. Raises NotKnown where it may take long."""
        self._count(call, line, 0)
        return self.pattern.match(line)

    def search(self, call: Call, line: str, start: int = 0, *, whole: bool = False) -> re.Match[str] | None:
        """The first place of ``line`` that fits, or all of it where ``whole``. Raises NotKnown if it may take long."""
        self._count(call, line, start)
        return self.pattern.fullmatch(line) if whole else self.pattern.search(line, start)

    def _count(self, call: Call, line: str, start: int) -> None:
        if line != self._line or not line:
            self._line, self._ways = line, self._worst(line)
        work = (len(line) - start + 1) * self._ways
        call.shell.match_work += work
        if work > _MAX_WORK or call.shell.match_work > _ENOUGH:
            raise call.unknown("to match what it reads may take for ever")

    def _worst(self, line: str) -> int:
        """How many ways there are at worst to try the pattern from one place of ``line``."""
        ways, everywhere = 1, 0
        for each in self._repeats:
            run = max(map(len, each.findall(line)), default=0) if each is not None else len(line)
            everywhere += run == len(line)
            ways = ways * (run + 1) // (everywhere + 1 if run == len(line) else 1) + 1
            if ways > _MAX_WORK:
                break
        return ways


def compiled(call: Call, pattern: str, *, extended: bool = False, ignoring_case: bool = False) -> Regex:
    """``pattern`` as it is known here. Raises NotKnown for one that Python might read otherwise."""
    if len(pattern) > MAX_PATTERN:
        raise call.unknown(f"its pattern has more than {MAX_PATTERN} letters")
    reading = _Reading(call, pattern, extended=extended)
    text = reading.text()
    try:
        known = re.compile(text, re.IGNORECASE if ignoring_case else 0)
    except (re.error, OverflowError) as error:
        raise call.unknown("its pattern is not known here") from error
    return Regex(known, reading.repeats)


def literal(text: str, *, ignoring_case: bool = False) -> Regex:
    """A pattern that fits ``text`` alone."""
    return Regex(re.compile(re.escape(text), re.IGNORECASE if ignoring_case else 0))


class _Reading:
    """A pattern on its way to be Python's."""

    def __init__(self, call: Call, pattern: str, *, extended: bool) -> None:
        self._call, self._pattern, self._extended = call, pattern, extended
        self._at = 0
        self.repeats: list[str] = []
        self._open: list[tuple[int, int]] = []
        self._repeated_group = False

    def text(self) -> str:
        """All of it. Raises NotKnown."""
        out: list[str] = []
        while self._at < len(self._pattern):
            out.append(self._next(out))
        if self._open:
            raise self._unknown()
        return "".join(out)

    def _unknown(self) -> Exception:
        return self._call.unknown("its pattern is not known here")

    def _next(self, out: list[str]) -> str:
        letter = self._pattern[self._at]
        bracket = _BRACKET.match(self._pattern, self._at) if letter == "[" else None
        if bracket is not None:
            self._at = bracket.end()
            return self._set_of(bracket[0])
        if letter == "[":
            raise self._unknown()
        self._at += 1
        if letter == "\\":
            return self._escaped(out)
        if letter == "*" and not self._can_repeat(out):
            if self._extended:
                raise self._unknown()
            return r"\*"
        if letter == "^":
            return "^" if self._extended or self._begins(out) else r"\^"
        if letter == "$":
            return r"\Z" if self._extended or self._ends() else r"\$"
        if letter == ".":
            return r"[\s\S]"
        if letter == "*" or (self._extended and letter in "+?{()|"):
            return self._operator(letter, out)
        return re.escape(letter)

    def _begins(self, out: list[str]) -> bool:
        return not out or out[-1] in ("(", "|")

    def _ends(self) -> bool:
        return self._at == len(self._pattern) or self._pattern.startswith((r"\)", r"\|"), self._at)

    def _can_repeat(self, out: list[str]) -> bool:
        return bool(out) and out[-1] not in ("(", "|", "^")

    def _escaped(self, out: list[str]) -> str:
        letter = self._pattern[self._at : self._at + 1]
        self._at += 1
        if not letter:
            raise self._unknown()
        if letter in _GNU:
            return _GNU[letter]
        if letter in "123456789" and not self._open:
            # A group that is seen again is as long as it was.
            self.repeats.append("")
            return f"(?:\\{letter})"
        if not self._extended and letter in "(){|+?":
            return self._operator(letter, out)
        if letter.isalnum() or (not self._extended and letter == "}"):
            raise self._unknown()
        return re.escape(letter)

    def _operator(self, letter: str, out: list[str]) -> str:
        if letter == "(":
            self._open.append((len(out), len(self.repeats)))
            return "("
        if letter == ")":
            if not self._open:
                raise self._unknown()
            begin, before = self._open.pop()
            inner = "".join(out[begin:])
            # What repeats in a group that repeats may take for ever, and so may alternatives.
            self._repeated_group = len(self.repeats) > before or "|" in inner or "?" in inner.replace("(?:", "")
            return ")"
        if letter == "|":
            # The first alternative of Python's, the longest of POSIX's.
            return "|"
        if not self._can_repeat(out) or (out[-1][-1] in "*+?}" and len(out[-1]) == 1):
            raise self._unknown()
        if letter == "{":
            return self._interval(out)
        if out[-1] == ")" and letter != "?" and self._repeated_group:
            raise self._unknown()
        self.repeats.append("" if out[-1] == ")" else out[-1])
        return letter

    def _interval(self, out: list[str]) -> str:
        match = _INTERVAL.match(self._pattern, self._at)
        end = "}" if self._extended else r"\}"
        if match is None or not self._pattern.startswith(end, match.end()) or out[-1] == ")":
            raise self._unknown()
        self._at = match.end() + len(end)
        self.repeats.append(out[-1])
        return f"{{{match[0]}}}"

    def _set_of(self, bracket: str) -> str:
        body = bracket[1:-1]
        inverted, body = body.startswith("^"), body.removeprefix("^")
        pieces = re.split(r"(\[:[a-z]+:\])", body)
        # A backslash stands for itself between brackets.
        safe = ["".join(f"\\{each}" if each in "]^&~|[\\" else each for each in piece) for piece in pieces[::2]]
        classes = [_CLASSES.get(name) for name in pieces[1::2]]
        if None in classes:
            raise self._unknown()
        joined = "".join(part for pair in zip(safe, [*classes, ""], strict=True) for part in pair if part)
        return f"[{'^' if inverted else ''}{joined}]"
