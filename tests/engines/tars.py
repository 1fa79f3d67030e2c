"""Tars written byte by byte, with whatever a header may say; Python's tarfile would write none of the odd ones."""

from __future__ import annotations

from collections.abc import Mapping

BLOCK = 512
END = bytes(2 * BLOCK)
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)

_PLACES = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "checksum": (148, 8),
    "type": (156, 1),
    "link": (157, 100),
    "magic": (257, 8),
    "uname": (265, 32),
    "gname": (297, 32),
    "devmajor": (329, 8),
    "devminor": (337, 8),
    "prefix": (345, 155),
    "rest": (345, 167),
}
MTIME = 1_700_000_000

CHECKSUMS = {
    "six digits, NUL, blank": b"%06o\0 ",
    "seven digits and NUL": b"%07o\0",
    "six digits, blank, NUL": b"%06o \0",
    "six digits and two NULs": b"%06o\0\0",
    "six digits and two blanks": b"%06o  ",
    "eight digits": b"%08o",
    "leading blanks": b"%6o\0 ",
    "a leading blank and seven digits": b" %07o",
    "digits in the middle": b"  %o ",
    "leading NULs": b"\0\0%o\0\0",
    "digits alone": b"%o",
}
"""How the number of a checksum may stand in its eight bytes; POSIX wants leading zeros, blanks or NULs at the end."""


def header(name: str | bytes, kind: bytes = b"0", **fields: int | bytes | str) -> bytes:
    """One header; numbers are written in octal, bytes as they are. ``checksum`` is a format, or the very bytes."""
    made = bytearray(BLOCK)
    checksum = fields.pop("checksum", b"%06o\0 ")
    assert isinstance(checksum, bytes)
    said: dict[str, int | bytes | str] = {"mode": 0o644, "uid": 0, "gid": 0, "size": 0, "mtime": MTIME, "magic": USTAR}
    for field, value in {**said, "name": name, "type": kind, **fields}.items():
        at, room = _PLACES[field]
        data = value.encode() if isinstance(value, str) else value
        data = b"%0*o\0" % (room - 1, data) if isinstance(data, int) else data
        assert len(data) <= room, field
        made[at : at + len(data)] = data
    made[148:156] = b" " * 8
    text = checksum % sum(made) if b"%" in checksum else checksum
    made[148:156] = text.ljust(8, b"\0")[:8]
    return bytes(made)


def padded(data: bytes) -> bytes:
    """``data`` in whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def member(name: str | bytes, data: bytes = b"", kind: bytes = b"0", **fields: int | bytes | str) -> bytes:
    """A header and its content; ``fields`` are those of ``header``."""
    made = header(name, kind, **{"size": len(data), **fields})
    return made + padded(data)


def folder(name: str | bytes, **fields: int | bytes | str) -> bytes:
    """A directory."""
    return member(name, b"", b"5", **{"mode": 0o755, **fields})


def symlink(name: str | bytes, target: str | bytes, **fields: int | bytes | str) -> bytes:
    """A symbolic link."""
    return member(name, b"", b"2", **{"link": target, "mode": 0o777, **fields})


def hardlink(name: str | bytes, target: str | bytes, **fields: int | bytes | str) -> bytes:
    """A hard link."""
    return member(name, b"", b"1", **{"link": target, **fields})


def record(key: bytes | str, value: bytes | str) -> bytes:
    """One PAX record, with the length it has."""
    key, value = (text.encode() if isinstance(text, str) else text for text in (key, value))
    size = len(key) + len(value) + 3
    length = size + len(str(size))
    length = size + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def pax(records: Mapping[str, bytes | str] | bytes, kind: bytes = b"x") -> bytes:
    """An extended header: of ``records``, or of bytes that may be none."""
    data = records if isinstance(records, bytes) else b"".join(record(*pair) for pair in records.items())
    return member("PaxHeaders/x", data, kind)


def long_name(text: bytes, kind: bytes = b"L", *, end: bytes = b"\0") -> bytes:
    """GNU's header for a long name, or with kind K for a long target."""
    return member("././@LongLink", text + end, kind, magic=GNU)


def number(value: int, room: int) -> bytes:
    """A number in base 256, as GNU tar writes what octal digits have no room for."""
    data = value.to_bytes(room, "big", signed=True)
    return bytes([data[0] | 0x80]) + data[1:]
