"""Odd layers by chance: a few members over few names, so that they meet, most of them sound."""

from __future__ import annotations

from random import Random

from tests.engines.layers import BASE
from tests.engines.tars import (
    BLOCK,
    CHECKSUMS,
    END,
    GNU,
    V7,
    folder,
    hardlink,
    long_name,
    member,
    number,
    padded,
    pax,
    symlink,
)

_PARTS = ["a", "b", "c", "d", "etc", "passwd", "\u00fc"]
_MARKS = [".wh.a", ".wh.b", ".wh.c", ".wh..wh..opq"]
_ODD_PARTS = ["..", ".", "", ".wh.", ".wh..wh.plnk", ".wh..wh.a", "n" * 255, "n" * 256, "a\nb", "a b"]
_TIMES = ["5", "-1", "1.5", "-1.5", "+5", "5.", "", "nan", "1e9", "9" * 18, "9" * 20]
_ENDS = [b"", bytes(BLOCK), END + b"noise".ljust(BLOCK, b"!"), bytes(BLOCK + 7), bytes(8 * BLOCK), END + bytes(7)]
_RECORDS: list[dict[str, bytes | str]] = [
    {"comment": "x"},
    {"uid": "5", "gid": "70000"},
    {"uid": "-1"},
    {"gid": "4294967296"},
    {"path": "a/b"},
    {"path": b"a/\xe4"},
    {"path": "./b/"},
    {"linkpath": "etc/passwd"},
    {"SCHILY.xattr.user.x": "y"},
    {"size": ""},
    {"hdrcharset": "BINARY"},
]


def layers(chance: Random) -> list[bytes]:
    """One or two layers."""
    made = [_layer(chance, BASE)]
    return [*made, _layer(chance, b"")] if chance.random() < 0.4 else made


def _layer(chance: Random, base: bytes) -> bytes:
    members = b"".join(_member(chance) for _ in range(chance.randint(0, 5)))
    return base + members + (chance.choice(_ENDS) if chance.random() < 0.15 else END)


def _name(chance: Random) -> str:
    parts = [chance.choice(_PARTS) for _ in range(chance.choice([1, 1, 2, 2, 3]))]
    if chance.random() < 0.2:
        parts[-1] = chance.choice(_MARKS)
    if chance.random() < 0.08:
        parts.insert(chance.randint(0, len(parts)), chance.choice(_ODD_PARTS))
    if parts == ["etc"]:
        parts.append("x")  # engines put files of their own into it
    return chance.choice(["", "", "", "", "", "", "./", "/"]) + "/".join(parts)


def _member(chance: Random) -> bytes:
    name = _name(chance).encode()
    fields: dict[str, int | bytes | str] = {}
    owners: list[int | bytes | str] = [5, 70000, number(1 << 33, 8), number(-1, 8), b"     7 \0", b"7\0xyz"]
    times: list[int | bytes | str] = [0, 7, number(-5, 12), b" 7", bytes(12)]
    if chance.random() < 0.3:
        fields["mode"] = chance.choice([0o755, 0o600, 0o4755, 0o100644, 0])
    if chance.random() < 0.3:
        fields["uid"] = chance.choice(owners)
    if chance.random() < 0.2:
        fields["mtime"] = chance.choice(times)
    if chance.random() < 0.3:
        fields["checksum"] = chance.choice([*CHECKSUMS.values()])
    if chance.random() < 0.3:
        fields["magic"] = chance.choice([GNU, V7, b"ustar\x0011"])
    return _extension(chance) + _placed(chance, name[:99], fields)


def _extension(chance: Random) -> bytes:
    roll = chance.random()
    if roll < 0.06:
        return long_name(_name(chance).encode())
    if roll < 0.12:
        return pax({"mtime": chance.choice(_TIMES)})
    if roll < 0.2:
        return pax(chance.choice(_RECORDS))
    return pax({"comment": "x"}, b"g") if roll < 0.23 else b""


def _placed(chance: Random, name: bytes, fields: dict[str, int | bytes | str]) -> bytes:
    roll = chance.random()
    if roll < 0.4:
        return member(name, chance.randbytes(chance.choice([0, 1, 511, 512, 700])), b"0", **fields)
    if roll < 0.65:
        return folder(name + chance.choice([b"/", b""]), **fields)
    if roll < 0.78:
        return symlink(name, chance.choice(["", "../", "/", "../../"]) + _name(chance)[:90], **fields)
    if roll < 0.92:
        return hardlink(name, chance.choice(["etc/passwd", "/etc/group", _name(chance)[:90]]), **fields)
    if roll < 0.95:
        sparse: dict[str, bytes | str] = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": name,
            "GNU.sparse.realsize": "900",
        }
        return pax(sparse) + member(name, padded(b"1\n100\n700\n") + chance.randbytes(700), b"0", **fields)
    return member(name, b"", chance.choice([b"6", b"3", b"7", b"\0"]), **fields)
