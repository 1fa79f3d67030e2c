"""echo and printf of a shell (POSIX.1-2017, XCU)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian.shell import Call, Command

_ECHOED = re.compile(r"\\(?:0[0-7]{0,3}|[1-7][0-7]{0,2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "r": "\r", "v": "\v"}
_FORMAT = re.compile(r"%([-0]*)([0-9]{0,3})([sdib%])|\\([0-7]{1,3}|.)|([^%\\]+)", re.DOTALL)


def _echo(call: Call) -> int:
    words = list(call.arguments)
    newline = "" if words[:1] == ["-n"] else "\n"
    text = " ".join(words[1:] if not newline else words)
    if call.shell.is_bash:
        if any(re.fullmatch("-[neE]+", word) for word in (words[1:2] if words[:1] == ["-n"] else words[:1])):
            raise call.unknown("its option is not known here")
        call.say(text + newline)
        return 0
    # Dash's, which is Debian's sh, always reads escapes.
    text, stop, _ = text.partition("\\c") if "\\\\" not in text else (text, "", "")
    call.say(_ECHOED.sub(lambda match: _unescaped(call, match[0][1:]), text) + ("" if stop else newline))
    return 0


def _unescaped(call: Call, escape: str) -> str:
    if escape[0] in "01234567":
        return bytes([int(escape, 8) & 0xFF]).decode("utf-8", "surrogateescape")
    if escape == "c":
        raise call.unknown("shells differ about what it writes")
    return _ESCAPES.get(escape, f"\\{escape}")


def _printf(call: Call) -> int:
    words = list(call.arguments[1:] if call.arguments[:1] == ["--"] else call.arguments)
    if not words:
        raise call.unknown("it has no format")
    form, left = words[0], words[1:]
    pieces = list(_FORMAT.finditer(form))
    takes = sum(1 for each in pieces if each[3] and each[3] != "%")
    if "".join(each[0] for each in pieces) != form or (left and not takes):
        raise call.unknown("its format is not known here")
    while True:
        # The format is used again as long as there is anything left.
        call.say("".join(_formatted(call, each, left) for each in pieces))
        if not left:
            return 0


def _formatted(call: Call, piece: re.Match[str], left: list[str]) -> str:
    flags, width, kind, escape, plain = piece.groups()
    if plain is not None:
        return plain
    if escape is not None:
        if escape[0] in "01234567":
            return bytes([int(escape, 8) & 0xFF]).decode("utf-8", "surrogateescape")
        if escape not in _ESCAPES and escape not in "\"'":
            raise call.unknown("its format is not known here")
        return _ESCAPES.get(escape, escape)
    if kind == "%":
        return "%"
    word = left.pop(0) if left else ""
    if kind == "b":
        if "\\" in word:
            word = _ECHOED.sub(lambda match: _unescaped(call, match[0][1:]), word)
    elif kind in "di":
        if not re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})|", word):
            raise call.unknown(f"{word!r:.40} is no number")
        word = word or "0"
    if "0" in flags and kind in "di" and "-" not in flags:
        return word.zfill(int(width or 0))
    return word.ljust(int(width or 0)) if "-" in flags else word.rjust(int(width or 0))


PRINTING: Mapping[str, Command] = {"echo": _echo, "printf": _printf}
"""The commands, by name."""
