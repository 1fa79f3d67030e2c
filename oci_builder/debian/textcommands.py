"""Commands of maintainer scripts that read lines and say others (coreutils)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.patterns import compiled
from oci_builder.debian.shell import Call, Command

_MAX_NUMBER = 1_000_000
_LETTER_RANGE = re.compile(r"(.)-(.)", re.DOTALL)
_CLASSES = {
    "[:space:]": " \t\n\r\v\f",
    "[:blank:]": " \t",
    "[:digit:]": "0123456789",
    "[:lower:]": "abcdefghijklmnopqrstuvwxyz",
    "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
_Key = Callable[[str], tuple[float, bytes]]
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "0": "\0", "r": "\r"}


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their newlines; the last one may have none."""
    return text.removesuffix("\n").split("\n") if text else []


def texts_of(call: Call, paths: Sequence[str]) -> list[str] | None:
    """What the files hold, or what is piped; None where one is not there."""
    found = [call.stdin if path == "-" else _text(call, path) for path in paths] if paths else [call.stdin]
    texts = [text for text in found if text is not None]
    call.shell.spend(sum(map(len, texts)))
    return texts if len(texts) == len(found) else None


def _text(call: Call, path: str) -> str | None:
    return call.tree.read(path) if path == "/dev/null" or call.tree.has(path) else None


def _all(call: Call, paths: Sequence[str]) -> list[str] | None:
    texts = texts_of(call, paths)
    return None if texts is None else [line for text in texts for line in lines_of(text)]


def _say_lines(call: Call, lines: Iterable[str]) -> int:
    call.say("".join(f"{line}\n" for line in lines))
    return 0


def _number(call: Call, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise call.unknown(f"the number {text!r} is not known here")
    return min(int(text), _MAX_NUMBER)


def _sort(call: Call) -> int:
    """Lines in the order of their bytes, as in the C locale that dpkg's scripts need not have, but a container has."""
    letters, values, paths = values_of(call, "urncfbsVg", {"k": "k", "t": "t", "o": "o"}, {"--unique": "u"})
    if "k" in values and (letters & {"V"} or not re.fullmatch(r"[0-9],?[0-9]?n?r?", values["k"])):
        raise call.unknown("what it sorts by is not known here")
    lines = _all(call, paths)
    if lines is None:
        return 2
    call.shell.spend(sum(map(len, lines)) * 4)
    key = _key_of(call, letters, values)
    backwards = "r" in letters or values.get("k", "").endswith("r")
    # Of what is alike by its key, all of the line decides, backwards too.
    done = lines if "s" in letters else sorted(lines, key=_bytes, reverse=backwards)
    done = sorted(done, key=key, reverse=backwards)
    if "c" in letters:
        return int(done != lines)
    if "u" in letters:
        done = list({key(line): line for line in reversed(done)}.values())[::-1]
    if "o" in values:
        call.tree.write(values["o"], "".join(f"{line}\n" for line in done))
        return 0
    return _say_lines(call, done)


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape")


def _key_of(call: Call, letters: set[str], values: Mapping[str, str]) -> _Key:
    match = re.fullmatch(r"([0-9])(,?[0-9]?)(n?r?)", values.get("k", ""))
    numeric = bool(letters & {"n", "g"}) or (match is not None and "n" in match[3])
    if "V" in letters or "b" in letters:
        raise call.unknown("how it sorts is not known here")
    separator = values.get("t", "")
    fold = "f" in letters

    def key(line: str) -> tuple[float, bytes]:
        text = line
        if match is not None:
            parts = line.split(separator) if separator else re.findall(r"\s*[^\s]+", line)
            first = int(match[1]) - 1
            last = int(match[2].strip(",")) if match[2].strip(",") else len(parts)
            text = (separator or "").join(parts[first:last])
        if numeric:
            number = re.match(r"\s*(-?[0-9]{1,15}(?:\.[0-9]{1,15})?)", text)
            return float(number[1]) if number else 0.0, b""
        return 0.0, _bytes(text.upper() if fold else text)

    return key


def _uniq(call: Call) -> int:
    letters, _, paths = values_of(call, "cdu", {}, {})
    if len(paths) > 1:
        raise call.unknown("what it writes to is not known here")
    lines = _all(call, paths)
    if lines is None:
        return 1
    counts: list[tuple[str, int]] = []
    for line in lines:
        if counts and counts[-1][0] == line:
            counts[-1] = (line, counts[-1][1] + 1)
        else:
            counts.append((line, 1))
    kept = [(line, n) for line, n in counts if not ("d" in letters and n == 1) and not ("u" in letters and n > 1)]
    return _say_lines(call, (f"{n:7d} {line}" if "c" in letters else line for line, n in kept))


def _cut(call: Call) -> int:
    long = {"--fields": "f", "--delimiter": "d", "--characters": "c", "--bytes": "b", "--only-delimited": "s"}
    letters, values, paths = values_of(call, "s", {"f": "f", "d": "d", "c": "c", "b": "b"}, long)
    asked = [values[each] for each in "fcb" if each in values]
    if len(asked) != 1 or len(values.get("d", "\t")) != 1:
        raise call.unknown("what it cuts is not known here")
    wanted = [_range(call, each) for each in asked[0].split(",")]
    lines = _all(call, paths)
    if lines is None:
        return 1
    delimiter = values.get("d", "\t") if "f" in values else ""
    made = []
    for line in lines:
        if "f" in values and delimiter not in line:
            made += [] if "s" in letters else [line]
            continue
        parts = line.split(delimiter) if delimiter else list(line)
        if not line.isascii() and not delimiter:
            raise call.unknown("letters of several bytes are not known here")
        made.append(delimiter.join(p for n, p in enumerate(parts, 1) if any(a <= n <= b for a, b in wanted)))
    return _say_lines(call, made)


def _range(call: Call, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{0,6})(-?)([0-9]{0,6})", text)
    if match is None or text in ("", "-"):
        raise call.unknown("what it cuts is not known here")
    first = int(match[1] or 1)
    last = (int(match[3]) if match[3] else _MAX_NUMBER) if match[2] else first
    return first, last


def _tr(call: Call) -> int:
    letters, _, sets = values_of(call, "dscC", {}, {"--delete": "d", "--squeeze-repeats": "s", "--complement": "c"})
    known = [_letters(call, each) for each in sets]
    deletes, squeezes = "d" in letters, "s" in letters
    if not known or len(known) > 2 or (deletes and len(known) != 1 + squeezes) or letters & {"C"}:
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
    found, at = "", 0
    while at < len(text):
        name = next((each for each in _CLASSES if text.startswith(each, at)), "")
        if name:
            found, at = found + _CLASSES[name], at + len(name)
            continue
        if text.startswith(("[:", "[="), at) or (text[at] == "[" and "*" in text[at:]):
            raise call.unknown("a set of letters that is not known here")
        step = 2 if text[at] == "\\" and at + 1 < len(text) else 1
        letter = text[at] if step == 1 else _ESCAPES.get(text[at + 1], "")
        if not letter:
            raise call.unknown("a letter that is escaped is not known here")
        pair = _LETTER_RANGE.match(text, at) if step == 1 else None
        if pair is not None and pair[2] != "\\":
            if pair[1] > pair[2]:
                raise call.unknown("a set of letters that goes backwards")
            found, at = found + "".join(map(chr, range(ord(pair[1]), ord(pair[2]) + 1))), at + 3
        else:
            found, at = found + letter, at + step
    return found


def _head(call: Call) -> int:
    words = list(call.arguments)
    if words and re.fullmatch(r"-[0-9]+", words[0]):
        words[0] = f"-n{words[0][1:]}"
    _, values, paths = values_of(call, "q", {"n": "n", "c": "c"}, {"--lines": "n", "--bytes": "c"}, words)
    texts = texts_of(call, paths)
    if texts is None or len(texts) > 1:
        if texts is None:
            return 1
        raise call.unknown("of several files it says which one")
    (text,) = texts
    number = values.get("c", values.get("n", "10"))
    ends, from_start = call.name == "tail", number.startswith("+")
    count = _number(call, number.lstrip("+") if ends else number)
    parts = re.findall(r"[^\n]*\n|[^\n]+\Z", text) if "c" not in values else list(text)
    if "c" in values and not text.isascii():
        raise call.unknown("letters of several bytes are not known here")
    begin = 0 if not ends else max(count - 1, 0) if from_start else max(len(parts) - count, 0)
    call.say("".join(parts[begin:] if ends else parts[:count]))
    return 0


def _wc(call: Call) -> int:
    letters, _, paths = values_of(call, "lwc", {}, {"--lines": "l", "--words": "w", "--bytes": "c"})
    texts = texts_of(call, paths)
    if texts is None or len(texts) > 1 or len(letters) != 1:
        if texts is None:
            return 1
        raise call.unknown("what it counts is not known here")
    (text,) = texts
    number = {"l": text.count("\n"), "w": len(text.split()), "c": len(_bytes(text))}[next(iter(letters))]
    call.say(f"{number} {paths[0]}\n" if paths else f"{number}\n")
    return 0


def _tee(call: Call) -> int:
    letters, _, paths = values_of(call, "a", {}, {"--append": "a"})
    for path in paths:
        if path == "/dev/null":
            continue
        before = call.tree.read(path) if "a" in letters and call.tree.has(path) else ""
        call.tree.write(path, before + call.stdin)
    call.say(call.stdin)
    return 0


def _tac(call: Call) -> int:
    lines = _all(call, list(call.arguments))
    return 1 if lines is None else _say_lines(call, reversed(lines))


def _sums(call: Call) -> int:
    letters, _, paths = values_of(call, "cb", {}, {"--check": "c", "--status": "q", "--quiet": "q"})
    kind = hashlib.new(call.name.removesuffix("sum"), usedforsecurity=False)
    if "c" in letters:
        return _checked(call, kind.name, quiet="q" in letters)
    for path in paths or ["-"]:
        if path != "-" and not call.tree.has(path):
            return 1
        data = _bytes(call.stdin) if path == "-" else call.tree.data(path)
        call.shell.spend(len(data))
        call.say(f"{hashlib.new(kind.name, data, usedforsecurity=False).hexdigest()}  {path}\n")
    return 0


def _checked(call: Call, kind: str, *, quiet: bool) -> int:
    status = 0
    for line in lines_of(call.stdin):
        digest, _, path = line.partition("  ")
        there = call.tree.has(path)
        fits = there and hashlib.new(kind, call.tree.data(path), usedforsecurity=False).hexdigest() == digest
        status = status if fits else 1
        if not quiet:
            call.say(f"{path}: {'OK' if fits else 'FAILED'}\n")
    return status


def _cmp(call: Call) -> int:
    _, _, paths = values_of(call, "sqw", {}, {"--quiet": "s", "--silent": "s", "--brief": "q"})
    if len(paths) != 2:
        raise call.unknown("what it compares is not known here")
    if not all(path == "-" or path == "/dev/null" or call.tree.has(path) for path in paths):
        return 2
    one, other = (_bytes(call.stdin) if path == "-" else call.tree.data(path) for path in paths)
    if one != other and "w" in call.arguments[0]:
        raise call.unknown("how it compares is not known here")
    return int(one != other)


def _expr(call: Call) -> int:
    words = list(call.arguments)
    numbers = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
    if len(words) == 3 and words[1] in numbers and all(re.fullmatch(r"-?[0-9]{1,9}", each) for each in words[::2]):
        result = numbers[words[1]](int(words[0]), int(words[2]))
        call.say(f"{result}\n")
        return int(result == 0)
    if len(words) == 3 and words[1] == ":":
        match = compiled(call, words[2].removeprefix("^")).match(call, words[0])
        if match is None or not match.re.groups:
            call.say(f"{len(match[0]) if match is not None else 0}\n")
            return int(match is None or not match[0])
        call.say(f"{match[1] or ''}\n")
        return int(match[1] in (None, "", "0"))
    if len(words) == 3 and words[1] in ("=", "!="):
        holds = (words[0] == words[2]) == (words[1] == "=")
        call.say(f"{int(holds)}\n")
        return int(not holds)
    raise call.unknown("its expression is not known here")


def _seq(call: Call) -> int:
    numbers = [_number(call, each) for each in call.arguments]
    if len(numbers) not in (1, 2) or numbers[-1] - numbers[0] > _MAX_NUMBER // 100:
        raise call.unknown("what it counts is not known here")
    first = numbers[0] if len(numbers) == 2 else 1
    return _say_lines(call, map(str, range(first, numbers[-1] + 1)))


TEXTS: Mapping[str, Command] = {
    **dict.fromkeys(("head", "tail"), _head),
    **dict.fromkeys(("md5sum", "sha1sum", "sha256sum", "sha512sum"), _sums),
    **dict.fromkeys(("cmp", "diff"), _cmp),
    "cut": _cut,
    "expr": _expr,
    "seq": _seq,
    "sort": _sort,
    "tac": _tac,
    "tee": _tee,
    "tr": _tr,
    "uniq": _uniq,
    "wc": _wc,
}
"""The commands, by name."""
