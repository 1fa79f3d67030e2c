"""Text from outside as values: numbers, JSON and TOML, each with the limits that nobody honest meets.

All of them raise ValueError, whose text is a clause for a longer sentence ("more than 64 levels deep").
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

DEPTH = 64
"""Levels of tables and lists in each other; what is read is walked by recursion in places."""

_DIGITS = 20
"""Digits of a whole number: 64 bits need no more, and int() takes quadratic time."""

SIZE = r"[0-9]{1,15}(?:\.[0-9]{1,15})? ?(?:[kKmMgGtT]i?[bB]?|[bB])"
"""A size with its unit, as a regular expression: the only form there is, in recipes and on command lines."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}

# A dotted key of n parts takes tomllib n² steps.
_DOTTED = re.compile(rf"""(?:\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+){{{DEPTH}}}""")


def parse_decimal(text: str, *, most: int = (1 << 63) - 1) -> int:
    """The whole number that ``text`` writes in ASCII digits, from 0 to ``most``.

    Neither ``int`` nor ``str.isdigit`` will do: the one takes "1_000", " 1" and "-1", the other "²".
    Raises ValueError.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a whole number in digits")
    # Leading zeros are digits too: tar's fields have them.
    if len(text.lstrip("0")) > _DIGITS or (number := int(text)) > most:
        raise ValueError(f"more than {most}")
    return number


def parse_size(text: str) -> int:
    """The bytes of ``20GB``, ``20G``, ``1.5GiB`` or ``500 MB``; ``0`` alone is nothing.

    A number without a unit is none: nobody who writes 20 means bytes. Raises ValueError.
    """
    if text == "0":
        return 0
    if not re.fullmatch(SIZE, text):
        raise ValueError("a number has no unit" if text.isascii() and text.isdigit() else "not a size")
    number, unit = re.fullmatch(r"([0-9.]+) ?([a-zA-Z]+)", text).groups()  # type: ignore[union-attr]  # a SIZE does
    return int(float(number) * _UNITS[unit.lower().removesuffix("b")])


def load_json(data: bytes | str, *, unique: bool = False) -> Any:
    """The value of a JSON text (RFC 8259), all of which can be written again: no NaN, no half of a surrogate pair.

    With ``unique`` a key may stand in an object only once. Raises ValueError, for deep documents too.
    """
    # json.loads guesses at bytes, and takes UTF-16 that no other reader would (RFC 8259, 8.1).
    text = data.decode() if isinstance(data, bytes) else data
    try:
        document = json.loads(
            text,
            parse_constant=_refused,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unique if unique else None,
        )
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    _check(document)
    return document


def load_texts(text: str) -> list[str]:
    """The texts of a JSON array of them; none for any other text."""
    try:
        found = load_json(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else []


def load_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text. Raises ValueError (``tomllib.TOMLDecodeError`` where the syntax is wrong)."""
    if _DOTTED.search(text):
        raise ValueError(f"a dotted key of more than {DEPTH} parts")
    try:
        document = tomllib.loads(text, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    except ValueError as error:
        if "int_max_str_digits" in str(error):
            raise ValueError("a number of thousands of digits") from error
        raise
    _check(document)
    return document


def _refused(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_DIGITS]} is no finite number")
    return number


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key occurs twice")
    return document


def _check(document: object) -> None:
    """Walk a document level by level, so that its depth costs no stack."""
    level = [document]
    for _ in range(DEPTH):
        level = [value for outer in level for value in _inner(outer)]
        if not level:
            return
    raise ValueError(_too_deep())


def _inner(value: object) -> Iterator[object]:
    """What is in a table or list, but for its texts and numbers, which end here."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name in value:
            _check_text(name)
        yield from _nested(value.values())
    elif isinstance(value, list):
        yield from _nested(value)


def _nested(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, dict | list):
            yield value
        elif isinstance(value, str):
            _check_text(value)


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair, which is no text") from error


def _too_deep() -> str:
    return f"more than {DEPTH} levels deep"


def value_at(document: Any, steps: list[str | int]) -> Any:
    """What the document holds there, or None."""
    for step in steps:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document
