"""Commands of maintainer scripts that read lines and say others (coreutils)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.commandtexts import MAX_NUMBER, all_lines, bytes_of, number_in, say_lines, texts_of, words_of
from oci_builder.debian.linecommands import LINES
from oci_builder.debian.patterns import compiled
from oci_builder.debian.shell import Call, Command
from oci_builder.debian.translate import translate


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
    count = number_in(call, number.lstrip("+") if ends else number)
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
    number = {"l": text.count("\n"), "w": len(words_of(text)), "c": len(bytes_of(text))}[next(iter(letters))]
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
    _, _, paths = values_of(call, "", {}, {})
    lines = all_lines(call, paths)
    return 1 if lines is None else say_lines(call, reversed(lines))


def _sums(call: Call) -> int:
    letters, _, paths = values_of(call, "cb", {}, {"--check": "c", "--status": "s", "--quiet": "q"})
    kind = hashlib.new(call.name.removesuffix("sum"), usedforsecurity=False)
    if "c" in letters:
        return _checked(call, kind.name, paths, letters)
    for path in paths or ["-"]:
        if path != "-" and not call.tree.has(path):
            return 1
        data = bytes_of(call.stdin) if path == "-" else call.tree.data(path)
        call.shell.spend(len(data))
        digest = hashlib.new(kind.name, data, usedforsecurity=False).hexdigest()
        call.say(f"{digest} {'*' if 'b' in letters else ' '}{path}\n")
    return 0


def _checked(call: Call, kind: str, paths: list[str], letters: set[str]) -> int:
    status, lines = 0, all_lines(call, paths)
    if lines is None:
        return 1
    for line in lines:
        match = re.fullmatch(r"([0-9a-fA-F]+) [ *](.+)", line)
        if match is None:
            raise call.unknown("a line that it reads is not known here")
        data = call.tree.data(match[2]) if call.tree.has(match[2]) else None
        call.shell.spend(len(data or b""))
        fits = data is not None and hashlib.new(kind, data, usedforsecurity=False).hexdigest() == match[1].lower()
        status = status if fits else 1
        if not letters & {"s"} and not (fits and "q" in letters):
            call.say(f"{match[2]}: {'OK' if fits else 'FAILED' if data is not None else 'FAILED open or read'}\n")
    return status


def _cmp(call: Call) -> int:
    known = {"cmp": "s", "diff": "qws"}[call.name]
    words = {"--quiet": "s", "--silent": "s"} if call.name == "cmp" else {"--brief": "q"}
    letters, _, paths = values_of(call, known, {}, words)
    if len(paths) != 2:
        raise call.unknown("what it compares is not known here")
    if not all(path == "-" or path == "/dev/null" or call.tree.has(path) for path in paths):
        return 2
    one, other = (bytes_of(call.stdin) if path == "-" else call.tree.data(path) for path in paths)
    if (one != other and ("w" in letters or call.is_heard)) or (call.name == "diff" and "s" in letters):
        raise call.unknown("what it says of them is not known here")
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
        one, other = (int(each) if re.fullmatch(r"-?[0-9]{1,18}", each) else each for each in words[::2])
        # It compares two numbers as such, and else what is written.
        alike = one == other if isinstance(one, int) and isinstance(other, int) else words[0] == words[2]
        holds = alike == (words[1] == "=")
        call.say(f"{int(holds)}\n")
        return int(not holds)
    raise call.unknown("its expression is not known here")


def _seq(call: Call) -> int:
    numbers = [number_in(call, each) for each in call.arguments]
    if len(numbers) not in (1, 2) or numbers[-1] - numbers[0] > MAX_NUMBER // 100:
        raise call.unknown("what it counts is not known here")
    first = numbers[0] if len(numbers) == 2 else 1
    return say_lines(call, map(str, range(first, numbers[-1] + 1)))


TEXTS: Mapping[str, Command] = {
    **dict.fromkeys(("head", "tail"), _head),
    **dict.fromkeys(("md5sum", "sha1sum", "sha256sum", "sha512sum"), _sums),
    **dict.fromkeys(("cmp", "diff"), _cmp),
    **LINES,
    "expr": _expr,
    "seq": _seq,
    "tac": _tac,
    "tee": _tee,
    "tr": translate,
    "wc": _wc,
}
"""The commands, by name."""
