"""One header of a tar, read as Go's archive/tar reads it, and with it docker, podman and containerd."""

from __future__ import annotations

import re
from dataclasses import dataclass

BLANK = b" " * 8
_USTAR, _GNU, _STAR = b"ustar\0", b"ustar  \0", b"tar\0"
_DEVICES = frozenset({bytes(16), b"0000000\0" * 2})
"""How the numbers of no device are written by nearly everybody."""

_OCTAL = re.compile(rb"[ \0]*+(?:([0-7]++)(?:\0.*|[ \0]*))?", re.DOTALL)
"""Digits with blanks and NULs around them, and whatever lies behind a NUL; none is zero."""

_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says by itself, before any extension: names as bytes, numbers as they are."""

    name: bytes
    link: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int


def parse_header(block: bytes) -> Header:
    """The header in a block of 512 bytes. Raises ValueError, with a clause."""
    if not _sums_up(block):
        raise ValueError("has no proper checksum")
    name = _until_nul(block[:100])
    prefix = b"" if block[257:262] != _USTAR[:5] else _prefix(block)
    return Header(
        name=prefix + b"/" + name if prefix else name,
        link=_until_nul(block[157:257]),
        type=block[156:157],
        mode=_number(block[100:108], "mode"),
        uid=_number(block[108:116], "user"),
        gid=_number(block[116:124], "group"),
        size=_number(block[124:136], "size"),
        mtime=_number(block[136:148], "time"),
    )


def _sums_up(block: bytes) -> bool:
    try:
        said = _octal(block[148:156])
    except ValueError:
        return False
    field = sum(block[148:156])
    total = sum(block)
    unsigned = total - field + sum(BLANK)
    if said == unsigned:
        return True
    # Some once took bytes for signed numbers.
    high = sum(1 for byte in block[:148] + block[156:] if byte > 127)
    return said == unsigned - 256 * high


def _prefix(block: bytes) -> bytes:
    """What comes before the name, in whichever form a header has that says ustar."""
    magic = block[257:265]
    if magic[:6] != _USTAR and magic != _GNU:
        return b""
    if block[329:345] not in _DEVICES:
        _number(block[329:337], "device")
        _number(block[337:345], "device")
    if magic == _GNU:
        return _prefix_of_gnu(block)
    if block[508:512] != _STAR:
        return _until_nul(block[345:500])
    _number(block[476:488], "time of access")
    _number(block[488:500], "time of change")
    return _until_nul(block[345:476])


def _prefix_of_gnu(block: bytes) -> bytes:
    # GNU has two times there. Go wrote prefixes for a while, and takes for one what is no time.
    try:
        for at in (345, 357):
            if block[at]:
                _number(block[at : at + 12], "time")
    except ValueError:
        prefix = _until_nul(block[345:500])
        return prefix if prefix.isascii() else b""
    return b""


def _number(field: bytes, what: str) -> int:
    try:
        return _binary(field) if field[0] & 0x80 else _octal(field)
    except ValueError as error:
        raise ValueError(f"does not hold: its {what} is no number: {field.decode('latin-1')!r}") from error


def _octal(field: bytes) -> int:
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ValueError("not octal")
    return int(match[1], 8) if match[1] else 0


def _binary(field: bytes) -> int:
    """A number in base 256, negative ones as two's complement of all bits but the first."""
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if field[0] & 0x40:
        value -= 1 << bits
    if not -_INT64 <= value < _INT64:
        raise ValueError("past 64 bits")
    return value


def _until_nul(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]
