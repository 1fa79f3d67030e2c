"""Debian version numbers, compared as dpkg compares them (deb-version(7))."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

Number = tuple[int, str]
Key = tuple[Number, tuple[object, ...], tuple[object, ...]]

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")
_END = 1
"""Where a part without digits ends: after ``~``, before everything else."""

_OPERATORS: dict[str, Callable[[Key, Key], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
}


def version_key(version: str) -> Key:
    """What sorts versions from oldest to newest; text that is no version still sorts somewhere."""
    epoch, colon, rest = version.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    return _number(epoch), _part(upstream), _part(revision)


def upstream(version: str) -> str:
    """The upstream part without epoch and Debian's additions: ``3.11.2`` of ``3.11.2-6+deb12u9``."""
    return re.split(r"[-+~]", version.rpartition(":")[2], maxsplit=1)[0]


def satisfies(version: str, relation: str, wanted: str) -> bool:
    """Whether ``version`` stands in ``relation`` (``>=`` …; empty: any) to ``wanted``."""
    return not relation or _OPERATORS[relation](version_key(version), version_key(wanted))


def _part(text: str) -> tuple[object, ...]:
    key: list[object] = []
    for letters, digits in _PIECES.findall(text):
        if letters or digits:
            key += [(*map(_rank, letters), _END), _number(digits)]
    # As if the shorter of two went on with nothing, then zero.
    return (*key, (_END,), _number(""))


def _number(digits: str) -> Number:
    # As dpkg compares them, digit by digit: there are as many as somebody writes, and int() has a limit.
    plain = digits.lstrip("0")
    return len(plain), plain


def _rank(letter: str) -> int:
    if letter == "~":
        return 0
    return ord(letter) + (2 if letter.isalpha() else 300)
