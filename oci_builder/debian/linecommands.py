"""sort, uniq and cut of maintainer scripts (coreutils): lines by their order, their number and their parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.commandtexts import MAX_NUMBER, all_lines, bytes_of, say_lines
from oci_builder.debian.shell import Call, Command

_Key = Callable[[str], tuple[float, bytes]]
_KEY = re.compile(r"([1-9])(?:,([1-9]))?(n?r?)")
_FIGURES = 15


def _sort(call: Call) -> int:
    """Lines in the order of their bytes, as in the C locale that dpkg's scripts need not have, but a container has."""
    letters, values, paths = values_of(call, "urncfs", {"k": "k", "t": "t", "o": "o"}, {"--unique": "u"})
    own = _KEY.fullmatch(values.get("k", ""))
    # A key with letters of its own has none of the others.
    if (own is None and "k" in values) or (own is not None and own[3] and letters & {"n", "r", "f"}):
        raise call.unknown("what it sorts by is not known here")
    if len(values.get("t", " ")) != 1:
        raise call.unknown("what it splits at is not known here")
    lines = all_lines(call, paths)
    if lines is None:
        return 2
    call.shell.spend(sum(map(len, lines)) * 4)
    key = _key_of(call, letters, values)
    # Of what is alike by its key, all of the line decides, or the order that it had.
    done = lines if letters & {"s", "u"} else sorted(lines, key=bytes_of, reverse="r" in letters)
    done = sorted(done, key=key, reverse="r" in letters or values.get("k", "").endswith("r"))
    if "c" in letters:
        return int(done != lines)
    if "u" in letters:
        done = list({key(line): line for line in reversed(done)}.values())[::-1]
    if "o" in values:
        call.tree.write(values["o"], "".join(f"{line}\n" for line in done))
        return 0
    return say_lines(call, done)


def _key_of(call: Call, letters: set[str], values: Mapping[str, str]) -> _Key:
    match = _KEY.fullmatch(values.get("k", ""))
    numeric = "n" in letters or (match is not None and "n" in match[3])
    separator = values.get("t", "")
    fold = "f" in letters

    def key(line: str) -> tuple[float, bytes]:
        text = line
        if match is not None:
            parts = line.split(separator) if separator else re.findall(r"\s*[^\s]+", line)
            first = int(match[1]) - 1
            last = int(match[2]) if match[2] else len(parts)
            text = (separator or "").join(parts[first:last])
        if numeric:
            number = re.match(r"[ \t]*(-?[0-9]*(?:\.[0-9]*)?)", text)
            if number is not None and len(number[1]) > _FIGURES:
                raise call.unknown("a number of so many figures is not known here")
            return float(number[1]) if number and re.search("[0-9]", number[1]) else 0.0, b""
        return 0.0, bytes_of(text).upper() if fold else bytes_of(text)

    return key


def _uniq(call: Call) -> int:
    letters, _, paths = values_of(call, "cdu", {}, {})
    if len(paths) > 1:
        raise call.unknown("what it writes to is not known here")
    lines = all_lines(call, paths)
    if lines is None:
        return 1
    counts: list[tuple[str, int]] = []
    for line in lines:
        if counts and counts[-1][0] == line:
            counts[-1] = (line, counts[-1][1] + 1)
        else:
            counts.append((line, 1))
    kept = [(line, n) for line, n in counts if not ("d" in letters and n == 1) and not ("u" in letters and n > 1)]
    return say_lines(call, (f"{n:7d} {line}" if "c" in letters else line for line, n in kept))


def _cut(call: Call) -> int:
    long = {"--fields": "f", "--delimiter": "d", "--characters": "c", "--bytes": "b", "--only-delimited": "s"}
    letters, values, paths = values_of(call, "s", {"f": "f", "d": "d", "c": "c", "b": "b"}, long)
    asked = [values[each] for each in "fcb" if each in values]
    if len(asked) != 1 or len(values.get("d", "\t")) != 1:
        raise call.unknown("what it cuts is not known here")
    wanted = [_range(call, each) for each in asked[0].split(",")]
    lines = all_lines(call, paths)
    if lines is None:
        return 1
    delimiter = values.get("d", "\t") if "f" in values else ""
    made = []
    call.shell.spend(sum(map(len, lines)) * len(wanted) // 10)
    for line in lines:
        if "f" in values and delimiter not in line:
            made += [] if "s" in letters else [line]
            continue
        parts = line.split(delimiter) if delimiter else list(line)
        if not line.isascii() and not delimiter:
            raise call.unknown("letters of several bytes are not known here")
        made.append(delimiter.join(p for n, p in enumerate(parts, 1) if any(a <= n <= b for a, b in wanted)))
    return say_lines(call, made)


def _range(call: Call, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{0,6})(-?)([0-9]{0,6})", text)
    if match is None or text in ("", "-"):
        raise call.unknown("what it cuts is not known here")
    first = int(match[1] or 1)
    last = (int(match[3]) if match[3] else MAX_NUMBER) if match[2] else first
    if not 0 < first <= last:
        raise call.unknown("what it cuts is not known here")
    return first, last


LINES: Mapping[str, Command] = {"cut": _cut, "sort": _sort, "uniq": _uniq}
"""The commands, by name."""
