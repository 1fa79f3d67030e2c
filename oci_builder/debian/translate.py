"""tr of maintainer scripts (coreutils): letters in the place of others."""

from __future__ import annotations

import re

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.shell import Call

_ESCAPED = re.compile(r"\\(?:([0-7]{1,3})|(.|\Z))", re.DOTALL)
_MAX_SET = 400
"""Letters of a set: no script has longer ones."""

_CLASSES = {
    "[:space:]": " \t\n\r\v\f",
    "[:blank:]": " \t",
    "[:digit:]": "0123456789",
    "[:lower:]": "abcdefghijklmnopqrstuvwxyz",
    "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def translate(call: Call) -> int:
    """Say what is read with letters in the place of others, or without some."""
    letters, _, sets = values_of(call, "dsc", {}, {"--delete": "d", "--squeeze-repeats": "s", "--complement": "c"})
    known = [_letters(call, each) for each in sets]
    deletes, squeezes = "d" in letters, "s" in letters
    least = 1 if deletes or squeezes else 2
    if not least <= len(known) <= 2 or (deletes and len(known) != 1 + squeezes) or "" in known:
        raise call.unknown("what it changes is not known here")
    text, one = call.stdin, known[0]
    if not text.isascii():
        raise call.unknown("letters of several bytes are not known here")
    if "c" in letters:
        one = "".join(chr(each) for each in range(128) if chr(each) not in one)
    call.shell.spend(len(text))
    if deletes:
        text = text.translate(dict.fromkeys(map(ord, one)))
    elif len(known) == 2:
        other = known[1] + known[1][-1:] * max(len(one) - len(known[1]), 0)
        text = text.translate({ord(a): b for a, b in zip(one, other, strict=False)}) if other else text
    if squeezes:
        text = re.sub(f"([{re.escape(known[-1] if len(known) == 2 else one)}])\\1+", r"\1", text)
    call.say(text)
    return 0


def _letters(call: Call, text: str) -> str:
    """The letters of a set of tr's."""
    if not text.isascii() or len(text) > _MAX_SET:
        raise call.unknown("a set of letters that is not known here")
    found: list[str] = []
    at = 0
    while at < len(text):
        name = next((each for each in _CLASSES if text.startswith(each, at)), "")
        if name:
            found.append(_CLASSES[name])
            at += len(name)
            continue
        if text.startswith(("[:", "[="), at) or (text[at] == "[" and "*" in text[at:]):
            raise call.unknown("a set of letters that is not known here")
        first, at = _letter(call, text, at)
        last = first
        if text.startswith("-", at) and at + 1 < len(text):
            last, at = _letter(call, text, at + 1)
        if first > last:
            raise call.unknown("a set of letters that goes backwards")
        found.append("".join(map(chr, range(ord(first), ord(last) + 1))))
    return "".join(found)


def _letter(call: Call, text: str, at: int) -> tuple[str, int]:
    """The letter that stands at a place, and where the next one does."""
    match = _ESCAPED.match(text, at)
    if match is None:
        return text[at], at + 1
    letter = chr(int(match[1], 8)) if match[1] is not None else _ESCAPES.get(match[2], "")
    if not letter or not letter.isascii():
        raise call.unknown("a letter that is escaped is not known here")
    return letter, match.end()
