"""grep, as far as maintainer scripts go: lines of files of the tree, or of what they are piped."""

from __future__ import annotations

import re
from collections.abc import Callable

from oci_builder.debian.regexes import BadPattern, Matcher, Token
from oci_builder.debian.shell import Call

_OPTIONS = frozenset("qvEFsxic")
_LONG = {"--quiet": "q", "--silent": "q", "--invert-match": "v", "--line-regexp": "x", "--fixed-strings": "F"}
_BRACKET = re.compile(r"\[\^?\]?(?:\[:[a-z]+:\]|[^\]\[])*\]")
_CLASSES = {
    "[:space:]": r"\s",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:alnum:]": "A-Za-z0-9",
    "[:blank:]": r" \t",
}

MAX_PATTERN = 200
"""Letters of a pattern: no script has longer ones."""

_ABSENT = 2


def grep(call: Call) -> int:
    """Say the lines that fit, and tell by the status whether any does."""
    letters, words = _given(call)
    if not words or len(words[0]) > MAX_PATTERN:
        raise call.unknown("its pattern is not known here")
    pattern, *paths = words
    fits = _compiled(call, pattern, letters)
    texts = [call.tree.read(path) if call.tree.has(path) else None for path in paths] or [call.stdin]
    if None in texts and "s" not in letters and "q" not in letters:
        raise call.unknown("a file that it reads is not there")
    call.shell.spend(sum(len(text) for text in texts if text is not None))
    lines = [line for text in texts if text is not None for line in text.removesuffix("\n").split("\n") if text]
    found = [line for line in lines if bool(fits(line)) != ("v" in letters)]
    if "c" in letters:
        call.say(f"{len(found)}\n")
    elif "q" not in letters:
        if len(paths) > 1:
            raise call.unknown("of several files it says which one")
        call.say("".join(f"{line}\n" for line in found))
    if None in texts and not found:
        return _ABSENT
    return int(not found)


def _given(call: Call) -> tuple[set[str], list[str]]:
    letters: set[str] = set()
    words = list(call.arguments)
    if call.name != "grep":
        letters.add("E" if call.name == "egrep" else "F")
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            break
        if word == "-e" and words:
            break
        if word in _LONG:
            letters.add(_LONG[word])
        elif not word.startswith("--") and set(word[1:]) <= _OPTIONS:
            letters |= set(word[1:])
        else:
            raise call.unknown(f"its option {word} is not known here")
    return letters, words


def _compiled(call: Call, pattern: str, letters: set[str]) -> Callable[[str], object]:
    """What tells whether a line fits."""
    whole = "x" in letters
    if "F" in letters:
        plain = re.compile(re.escape(pattern), re.IGNORECASE if "i" in letters else 0)
        return plain.fullmatch if whole else plain.search
    try:
        known = Matcher(_tokens(call, pattern, extended="E" in letters), ignoring_case="i" in letters)
    except (BadPattern, re.error) as error:
        raise call.unknown("its pattern is not known here") from error

    def fits(line: str) -> object:
        try:
            return known.fits(line, whole=whole)
        except BadPattern as error:
            raise call.unknown("its pattern fits in too many ways") from error

    return fits


def _tokens(call: Call, pattern: str, *, extended: bool) -> list[Token]:
    """A pattern of grep (regex(7)) in pieces; what programs read differently is not known."""
    out: list[Token] = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        bracket = _BRACKET.match(pattern, at) if letter == "[" else None
        if bracket is not None:
            out.append(("set", _set_of(call, bracket[0])))
            at = bracket.end()
            continue
        if letter == "\\":
            at += 1
            letter = pattern[at : at + 1]
            if not letter or letter.isalnum() or letter in "<>\"`'" or (not extended and letter in "(){}|+?"):
                raise call.unknown("its pattern is not known here")
            out.append(("set", re.escape(letter)))
        elif letter == "*" or (extended and letter in "+?"):
            if not out or out[-1][0] not in ("set", "group") or out[-1][1] in "(|":
                raise call.unknown("its pattern is not known here")
            out.append(("repeat", letter))
        elif letter in "^$" and (extended or at == (0 if letter == "^" else len(pattern) - 1)):
            out.append(("anchor", letter))
        elif extended and letter in "()|":
            out.append(("group", letter))
        elif letter == "[" or (extended and letter in "{}"):
            raise call.unknown("its pattern is not known here")
        else:
            out.append(("set", "." if letter == "." else re.escape(letter)))
        at += 1
    return out


def _set_of(call: Call, bracket: str) -> str:
    body = bracket[1:-1]
    inverted, body = body.startswith("^"), body.removeprefix("^")
    pieces = re.split(r"(\[:[a-z]+:\])", body)
    # A backslash stands for itself between brackets.
    safe = ["".join(f"\\{each}" if each in "]^&~|[\\" else each for each in piece) for piece in pieces[::2]]
    classes = [_CLASSES.get(name) for name in pieces[1::2]]
    if None in classes:
        raise call.unknown("its pattern is not known here")
    joined = "".join(part for pair in zip(safe, [*classes, ""], strict=True) for part in pair if part)
    return f"[{'^' if inverted else ''}{joined}]"
