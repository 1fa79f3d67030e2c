"""The records of a PAX header (POSIX pax, "Extended Header"), as Go's archive/tar and the kernel take them.

Every function raises ValueError with a clause that says what does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from oci_builder.tree import sparse

_LENGTH = re.compile(rb"\+?([0-9]{1,20}) ")
_TIME = re.compile(r"([+-]?[0-9]{1,19})(\.[0-9]{0,100})?", re.ASCII)
_SHORTEST = 5
"""Bytes of a record, at least."""

_NAMES = frozenset({b"path", b"linkpath", b"uname", b"gname"})
"""Records in whose values engines refuse a NUL; in all others they refuse it in the key."""

_ATTRIBUTE = "SCHILY.xattr."
_MAX_ATTRIBUTE, _MAX_VALUE = 255, 1 << 16
"""Bytes of an extended attribute's name and of its value, as Linux has them."""

_CAPABILITY = "security.capability"
_CAPABILITIES = {b"\1": 12, b"\2": 20, b"\3": 24}
"""Bytes of a capability, by its revision; the kernel takes no others."""

_MAX = (1 << 63) - 1


def records(data: bytes) -> Iterator[tuple[str, str]]:
    """The keys and values of a header's content, in order (pax in POSIX.1-2001). Raises ValueError, with a clause."""
    at = 0
    told = 0
    while at < len(data):
        match = _LENGTH.match(data, at)
        length = int(match[1]) if match else 0
        end = at + length
        if match is None or length < _SHORTEST or not match.end() < end <= len(data) or data[end - 1] != 0x0A:
            raise ValueError("a PAX record does not hold")
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not key or not equals or b"\0" in (value if key in _NAMES else key):
            raise ValueError(f"the PAX record {key!r:.40} does not hold")
        name, text = _text(key), _text(value)
        if name in (sparse.OFFSET, sparse.LENGTH):
            # The oldest way to tell of holes: a pair of records for each piece.
            if name != (sparse.OFFSET, sparse.LENGTH)[told % 2] or "," in text:
                raise ValueError("a file with holes does not hold")
            told += 1
        yield name, text
        at = end


def number(pax: Mapping[str, str], key: str, otherwise: int) -> int:
    """A whole number; an empty record takes back what another said. Raises ValueError, with a clause."""
    text = pax.get(key)
    try:
        return sparse.integer(text) if text else otherwise
    except ValueError as error:
        raise ValueError(f"the PAX number {text!r:.40} does not hold") from error


def time(pax: Mapping[str, str], key: str, otherwise: int) -> int:
    """A time in whole seconds since 1970, rounded down. Raises ValueError, with a clause."""
    text = pax.get(key)
    if not text:
        return otherwise
    match = _TIME.fullmatch(text)
    if match is None or abs(int(match[1])) > _MAX:
        raise ValueError(f"the PAX time {text!r:.40} does not hold")
    return int(match[1]) - (match[1].startswith("-") and bool(match[2]))


def check_attributes(pax: Mapping[str, str]) -> None:
    """The kernel takes all extended attributes, or does not know their kind, which engines pass over.

    Raises ValueError, with a clause.
    """
    for key, value in pax.items():
        if not key.startswith(_ATTRIBUTE) or not value:
            continue
        name, data = key.removeprefix(_ATTRIBUTE), value.encode("utf-8", "surrogateescape")
        length = len(name.encode("utf-8", "surrogateescape"))
        if not 0 < length <= _MAX_ATTRIBUTE or len(data) > _MAX_VALUE:
            raise ValueError(f"the attribute {name!r:.40} is none that Linux has")
        if name == _CAPABILITY and _CAPABILITIES.get(data[3:4]) != len(data):
            raise ValueError("a capability is none that Linux has")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
