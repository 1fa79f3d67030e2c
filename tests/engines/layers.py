"""Odd layers, each of one kind: by name, the tars of an image's layers, oldest first. The same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.engines.tars import (
    BLOCK,
    CHECKSUMS,
    END,
    GNU,
    MTIME,
    V7,
    folder,
    hardlink,
    header,
    long_name,
    member,
    number,
    padded,
    pax,
    record,
    symlink,
)

BASE = folder("etc/") + member("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n") + member("etc/group", b"root:x:0:\n")
LAYERS = list[bytes]

# A layer below, for what only shows on top of one.
_BELOW = (
    BASE
    + folder("d/")
    + member("d/old", b"old")
    + folder("d/sub/")
    + member("d/sub/x", b"x")
    + symlink("l", "d")
    + member("f", b"f")
    + END
)


def odd_layers() -> dict[str, LAYERS]:
    """All of them."""
    kinds = (
        _checksums,
        _numbers,
        _magics,
        _ends,
        _names,
        _types,
        _sparse,
        _links,
        _twice,
        _times,
        _records,
        _whiteouts,
    )
    found: dict[str, LAYERS] = {}
    for kind in (*kinds, _stacked):
        for name, made in kind():
            name = f"{kind.__name__.strip('_')}: {name}"
            assert name not in found, name
            found[name] = made if isinstance(made, list) else [made]
    return found


Made = Iterator[tuple[str, bytes | LAYERS]]


def _layer(*more: bytes, end: bytes = END) -> bytes:
    return BASE + b"".join(more) + end


def _checksums() -> Made:
    for name, text in CHECKSUMS.items():
        yield name, _layer(member("etc/x", b"x", checksum=text))
    yield "signed", _layer(member(b"etc/\xe4\xe4", b"x", checksum=_signed(b"etc/\xe4\xe4")))
    yield "wrong", _layer(member("etc/x", b"x", checksum=b"001234\0 "))
    yield "none", _layer(member("etc/x", b"x", checksum=bytes(8)))
    yield "blanks", _layer(member("etc/x", b"x", checksum=b" " * 8))
    yield "no digits", _layer(member("etc/x", b"x", checksum=b"9ab%06o"))


def _signed(name: bytes) -> bytes:
    plain = bytearray(header(name, size=1))
    plain[148:156] = b" " * 8
    return b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in plain)


def _numbers() -> Made:
    def one(**fields: int | bytes | str) -> bytes:
        return _layer(member("etc/x", b"x" * 7, b"0", **fields))

    yield "size in blanks", one(size=b"          7 ")
    yield "size ends with a blank", one(size=b"00000000007 ")
    yield "size without an end", one(size=b"000000000007")
    yield "size in base 256", one(size=number(7, 12))
    yield "size below zero", one(size=number(-7, 12))
    yield "size of 2^62", one(size=number(1 << 62, 12))
    yield "size with an 8", one(size=b"00000000008\0")
    yield "size with a minus", one(size=b"-0000000007\0")
    yield "size after NULs", one(size=b"\0\0\0\0" + b"7\0")
    yield "size with letters behind a NUL", one(size=b"7\0abc")
    yield "owner in base 256", one(uid=number(1 << 31, 8), gid=number(70000, 8))
    yield "owner of 2^32-2", one(uid=number((1 << 32) - 2, 8))
    yield "owner of 2^32-1", one(uid=number((1 << 32) - 1, 8))
    yield "owner of 2^40", one(uid=number(1 << 40, 8))
    yield "owner below zero", one(uid=number(-1, 8))
    yield "owner empty", one(uid=bytes(8), gid=b" " * 8)
    yield "owner in letters", one(uid=b"root\0")
    yield "mode with a type", one(mode=0o100644)
    yield "mode with all bits", one(mode=0o7777)
    yield "mode past all bits", one(mode=0o177777)
    yield "mode empty", one(mode=bytes(8))
    yield "mode in letters", one(mode=b"rw-r--r-")
    yield "mode below zero", one(mode=number(-1, 8))
    yield "time in base 256", one(mtime=number(MTIME, 12))
    yield "time before 1970", one(mtime=number(-86400, 12))
    yield "time in the year 2300", one(mtime=number(10_413_792_000, 12))
    yield "time of 2^62", one(mtime=number(1 << 62, 12))
    yield "time empty", one(mtime=bytes(12))
    yield "time in letters", one(mtime=b"yesterday\0")
    yield "device of a file in letters", one(devmajor=b"abc", devminor=b"xyz")
    yield "device of a file of 2^60", one(devmajor=number(1 << 54, 8))


def _magics() -> Made:
    yield "none", _layer(member("etc/x", b"x", magic=V7))
    yield "GNU", _layer(member("etc/x", b"x", magic=GNU))
    yield "unknown", _layer(member("etc/x", b"x", magic=b"magic!!!"))
    yield "another version", _layer(member("etc/x", b"x", magic=b"ustar\x0011"))
    yield "prefix", _layer(member("x", b"x", prefix=b"etc/deep"))
    yield "prefix without magic", _layer(member("etc/x", b"x", magic=V7, prefix=b"deep"))
    yield "prefix in GNU's", _layer(member("etc/x", b"x", magic=GNU, prefix=b"deep"))
    yield "star", _layer(member("etc/x", b"x", rest=bytes(163) + b"tar\0"))
    yield "star with prefix", _layer(member("x", b"x", rest=b"etc/deep".ljust(163, b"\0") + b"tar\0"))
    yield "star with times", _layer(member("x", b"x", rest=_star_times()))
    yield "GNU's times", _layer(member("etc/x", b"x", magic=GNU, rest=b"14524410400\0" + b"14524410400\0"))
    yield "GNU's times in letters", _layer(member("etc/x", b"x", magic=GNU, rest=b"abcdefghijk\0"))
    yield "old kind", _layer(member("etc/x", b"x", kind=b"\0", magic=V7))
    yield "old folder", _layer(member("etc/x/", kind=b"\0", magic=V7))
    yield "file with a slash at its end", _layer(member("etc/x/", b"x"))
    yield "folder without a slash", _layer(folder("etc/x"))
    yield "owners by name", _layer(member("etc/x", b"x", uname=b"games", gname=b"games"))


def _star_times() -> bytes:
    return b"etc".ljust(131, b"\0") + b"14524410400 " + b"14524410400 " + bytes(8) + b"tar\0"


def _ends() -> Made:
    last = member("etc/x", b"x")
    yield "two blocks", _layer(last)
    yield "one block", _layer(last, end=bytes(BLOCK))
    yield "none", _layer(last, end=b"")
    yield "many blocks", _layer(last, end=bytes(20 * BLOCK))
    yield "one block and more members", _layer(last, bytes(BLOCK), member("etc/y", b"y"))
    yield "one block and noise", _layer(last, end=bytes(BLOCK) + b"noise".ljust(BLOCK, b"!"))
    yield "two blocks and noise", _layer(last, end=END + b"noise".ljust(BLOCK, b"!"))
    yield "two blocks and another tar", _layer(last, END, member("etc/y", b"y"))
    yield "a block and a half", _layer(last, end=bytes(BLOCK + 200))
    yield "half a block", _layer(last, end=bytes(200))
    yield "two blocks and a half", _layer(last, end=bytes(2 * BLOCK + 200))
    yield "cut in a header", _layer(last, end=last[:100])
    yield "cut in content", _layer(header("etc/x", size=1000), b"x" * 600, end=b"")
    yield "cut in padding", _layer(header("etc/x", size=100), b"x" * 200, end=b"")
    yield "cut before padding", _layer(header("etc/x", size=100), b"x" * 100, end=b"")
    yield "cut after a header", _layer(header("etc/x", size=100), end=b"")
    yield "cut in a PAX header", _layer(header("x", b"x", size=100), b"10 a", end=b"")
    yield "a PAX header and no member", _layer(last, pax({"mtime": "5"}))
    yield "a long name and no member", _layer(last, long_name(b"etc/y"))
    yield "a PAX header and no end", _layer(last, pax({"mtime": "5"}), end=b"")
    yield "noise in padding", _layer(header("etc/x", size=1), b"x" + b"noise".ljust(BLOCK - 1, b"!"))
    yield "noise first", b"noise".ljust(BLOCK, b"!") + _layer(last)
    yield "zeros first", END + _layer(last)
    yield "nothing at all", [_layer(), b""]
    yield "only zeros", [_layer(), END]
    yield "one zero block alone", [_layer(), bytes(BLOCK)]


def _names() -> Made:
    for name, text in {
        "Latin-1": b"etc/umlaut-\xe4",
        "UTF-8": "etc/umlaut-ő".encode(),
        "half a surrogate": b"etc/\xed\xa0\x80",
        "line feed": b"etc/a\nb",
        "escape": b"etc/\x1b[31mred",
        "backslash": b"etc\\x",
        "blanks": b"etc/ x ",
        "colon": b"etc/c:x",
        "absolute": b"/etc/x",
        "two slashes": b"etc//x",
        "slashes first": b"///etc/x",
        "dot": b"./etc/x",
        "dots": b"././etc/./x",
        "up and down": b"etc/../x",
        "up": b"../x",
        "up at the root": b"/../x",
        "up at the end": b"etc/d/..",
        "three dots": b"etc/...",
        "255 bytes": b"",
    }.items():
        if text:
            yield name, _layer(member(text, b"x"))
    yield "the root", _layer(folder("./", mode=0o700))
    yield "the root as a slash", _layer(folder("/", mode=0o700))
    yield "the root as a dot", _layer(folder("."))
    yield "the root as a file", _layer(member(".", b"x"))
    yield "empty", _layer(member("", b"x"))
    yield "empty folder", _layer(folder(""))
    yield "hundred bytes without an end", _layer(member("etc/" + "n" * 96, b"x"))
    yield "long in GNU's", _layer(long_name(b"etc/" + b"n" * 200) + member("etc/n", b"x", magic=GNU))
    yield "long without a NUL", _layer(long_name(b"etc/" + b"n" * 200, end=b"") + member("etc/n", b"x", magic=GNU))
    yield "long in PAX", _layer(pax({"path": "etc/" + "n" * 200}) + member("etc/n", b"x"))
    yield "long twice", _layer(long_name(b"etc/one") + long_name(b"etc/two") + member("etc/n", b"x", magic=GNU))
    yield "long, then PAX", _layer(long_name(b"etc/one") + pax({"path": "etc/two"}) + member("etc/n", b"x"))
    yield "PAX, then long", _layer(pax({"path": "etc/two"}) + long_name(b"etc/one") + member("etc/n", b"x"))
    yield "long, empty", _layer(long_name(b"") + member("etc/n", b"x", magic=GNU))
    yield "long, with a slash", _layer(long_name(b"etc/n/") + member("etc/n", b"x", magic=GNU))
    yield "PAX in bytes", _layer(pax({"hdrcharset": "BINARY", "path": b"etc/umlaut-\xe4"}) + member("etc/n", b"x"))
    yield "PAX in Latin-1", _layer(pax({"path": b"etc/umlaut-\xe4"}) + member("etc/n", b"x"))
    yield "PAX, empty", _layer(pax({"path": ""}) + member("etc/n", b"x"))
    yield "PAX with a NUL", _layer(pax({"path": b"etc/a\0b"}) + member("etc/n", b"x"))
    yield "PAX with a slash", _layer(pax({"path": "etc/n/"}) + member("etc/n", b"x"))
    yield "part of 255 bytes", _layer(pax({"path": "etc/" + "n" * 255}) + member("etc/n", b"x"))
    yield "part of 256 bytes", _layer(pax({"path": "etc/" + "n" * 256}) + member("etc/n", b"x"))
    yield "path of 5000 bytes", _layer(pax({"path": "etc/" + "n/" * 2500 + "x"}) + member("etc/n", b"x"))
    yield "without parents", _layer(member("usr/lib/deep/x", b"x") + hardlink("usr/else/y", "usr/lib/deep/x"))
    yield "below a file", _layer(member("etc/x", b"x") + member("etc/x/y", b"y"))
    yield "below a device", _layer(member("etc/x", kind=b"6") + member("etc/x/y", b"y"))
    yield "below a link", _layer(folder("d/") + symlink("etc/l", "../d") + member("etc/l/y", b"y"))
    yield "below an absolute link", _layer(folder("d/") + symlink("etc/l", "/d") + member("etc/l/y", b"y"))
    yield "below a link that leads out", _layer(symlink("etc/l", "../../..") + member("etc/l/y", b"y"))
    yield "below a link to nothing", _layer(symlink("etc/l", "none") + member("etc/l/y", b"y"))
    yield "below a link to a file", _layer(symlink("etc/l", "passwd") + member("etc/l/y", b"y"))
    yield "below a link in a circle", _layer(symlink("a", "b") + symlink("b", "a") + member("a/y", b"y"))
    yield "folder after its file", _layer(member("opt/x", b"x") + folder("opt/", mode=0o700))


def _types() -> Made:
    for kind in b"7VMDNAZX":
        text = bytes([kind])
        yield f"type {text.decode()}", _layer(member("etc/x", b"x", kind=text, magic=GNU))
    yield "type 255", _layer(member("etc/x", b"x", kind=b"\xff"))
    yield "type s", _layer(member("etc/x", b"x", kind=b"s"))
    yield "type X is PAX", _layer(pax({"path": "etc/y"}, b"X") + member("etc/x", b"x"))
    yield "FIFO", _layer(member("etc/x", kind=b"6"))
    yield "FIFO with a size", _layer(member("etc/x", b"x", kind=b"6"))
    yield "FIFO that claims a size", _layer(header("etc/x", b"6", size=1000), member("etc/y", b"y"))
    yield "character device", _layer(member("etc/null", kind=b"3", devmajor=1, devminor=3))
    yield "character device 0 0", _layer(member("etc/null", kind=b"3", devmajor=0, devminor=0))
    yield "block device", _layer(member("etc/sda", kind=b"4", devmajor=8, devminor=0))
    yield "device in letters", _layer(member("etc/null", kind=b"3", devmajor=b"abc"))
    yield "folder that claims a size", _layer(header("etc/d/", b"5", size=1000, mode=0o755), member("etc/y", b"y"))
    yield (
        "symbolic link that claims a size",
        _layer(header("etc/l", b"2", size=1000, link=b"passwd"), member("etc/y", b"y")),
    )
    yield "symbolic link without a target", _layer(symlink("etc/l", ""))
    yield "symbolic link upwards", _layer(symlink("etc/l", "../../../x"))
    yield "symbolic link in Latin-1", _layer(symlink("etc/l", b"\xe4"))
    yield "file with a target", _layer(member("etc/x", b"x", link=b"passwd"))


def _sparse() -> Made:
    pieces = b"%011o\0%011o\0" % (0, 512)
    old = bytes(41) + pieces.ljust(96, b"\0") + b"\0" + b"%011o\0" % 4096
    yield "GNU's", _layer(member("etc/x", b"x" * 512, kind=b"S", magic=GNU, rest=old))
    more = bytes(41) + (b"%011o\0%011o\0" % (0, 512)).ljust(96, b"\0") + b"\1" + b"%011o\0" % 4096
    extended = (b"%011o\0%011o\0" % (2048, 512)).ljust(504, b"\0").ljust(512, b"\0")
    yield (
        "GNU's with more pieces",
        _layer(header("etc/x", b"S", size=1024, magic=GNU, rest=more), extended, b"x" * 1024),
    )
    yield "GNU's without a map", _layer(member("etc/x", b"x" * 512, kind=b"S", magic=GNU))
    zero = record("GNU.sparse.size", "4096") + record("GNU.sparse.numblocks", "1")
    zero += record("GNU.sparse.offset", "0") + record("GNU.sparse.numbytes", "512")
    yield "PAX 0.0", _layer(pax(zero) + member("etc/x", b"x" * 512))
    one = {
        "GNU.sparse.size": "4096",
        "GNU.sparse.numblocks": "1",
        "GNU.sparse.map": "0,512",
        "GNU.sparse.name": "etc/y",
    }
    yield "PAX 0.1", _layer(pax(one) + member("etc/x", b"x" * 512))
    two = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "etc/y", "GNU.sparse.realsize": "4096"}
    yield "PAX 1.0", _layer(pax(two) + member("etc/x", padded(b"1\n0\n512\n") + b"x" * 512))
    hole = {**two, "GNU.sparse.realsize": "8192"}
    yield (
        "PAX 1.0 with holes",
        _layer(pax(hole) + member("etc/x", padded(b"3\n0\n512\n4096\n512\n8192\n0\n") + b"x" * 1024)),
    )
    yield "PAX 1.0 that is wrong", _layer(pax(two) + member("etc/x", padded(b"9\n0\n512\n") + b"x" * 512))
    yield (
        "PAX 1.0 of another version",
        _layer(pax({**two, "GNU.sparse.minor": "7"}) + member("etc/x", padded(b"1\n0\n512\n") + b"x" * 512)),
    )
    yield "PAX, only a name", _layer(pax({"GNU.sparse.name": "etc/y"}) + member("etc/x", b"x"))
    yield "PAX, only a version", _layer(pax({"GNU.sparse.major": "1"}) + member("etc/x", b"x"))


def _links() -> Made:
    target = member("etc/x", b"x", mode=0o600, uid=5)
    for name, text in {
        "plain": "etc/x",
        "absolute": "/etc/x",
        "dot": "./etc/x",
        "two slashes": "etc//x",
        "up and down": "etc/../etc/x",
        "up": "../etc/x",
        "missing": "etc/none",
        "to itself": "etc/h",
        "to a folder": "etc",
        "to the root": ".",
        "without a target": "",
        "with a slash": "etc/x/",
    }.items():
        yield name, _layer(target, hardlink("etc/h", text))
    yield "with another face", _layer(target, hardlink("etc/h", "etc/x", mode=0o755, uid=9, mtime=5))
    yield "to what comes later", _layer(hardlink("etc/h", "etc/x"), target)
    yield "to a link", _layer(symlink("etc/l", "passwd"), hardlink("etc/h", "etc/l"))
    yield "to a link to nothing", _layer(symlink("etc/l", "none"), hardlink("etc/h", "etc/l"))
    yield "to a link that leads out", _layer(symlink("etc/l", "/etc/shadow"), hardlink("etc/h", "etc/l"))
    yield "to a FIFO", _layer(member("etc/p", kind=b"6"), hardlink("etc/h", "etc/p"))
    yield "to a hard link", _layer(target, hardlink("etc/h", "etc/x"), hardlink("etc/i", "etc/h"))
    yield "through a link", _layer(symlink("l", "etc"), target, hardlink("h", "l/x"))
    yield "below a link", _layer(folder("d/"), symlink("l", "d"), target, hardlink("l/h", "etc/x"))
    yield "claims a size", _layer(target, header("etc/h", b"1", size=1000, link=b"etc/x"), member("etc/y", b"y"))
    yield "has content", _layer(target, member("etc/h", b"h", kind=b"1", link=b"etc/x"), member("etc/y", b"y"))
    yield "long target", _layer(target, long_name(b"etc/x", b"K"), hardlink("etc/h", "none", magic=GNU))
    yield "long PAX target", _layer(target, pax({"linkpath": "etc/x"}), hardlink("etc/h", "none"))
    yield (
        "PAX target in bytes",
        _layer(member(b"etc/\xe4", b"x"), pax({"linkpath": b"etc/\xe4"}), hardlink("etc/h", "none")),
    )
    yield "PAX target for a file", _layer(pax({"linkpath": "etc/x"}) + member("etc/y", b"y"))
    yield "to a folder's link", _layer(folder("d/"), symlink("l", "d"), hardlink("h", "l"))


def _twice() -> Made:
    yield "file", _layer(member("etc/x", b"one"), member("etc/x", b"two"))
    yield "the same file", _layer(member("etc/x", b"one"), member("etc/x", b"one"))
    yield "file, with a dot", _layer(member("etc/x", b"one"), member("./etc/x", b"two"))
    yield "file, absolute", _layer(member("etc/x", b"one"), member("/etc/x", b"two"))
    yield "file, two slashes", _layer(member("etc/x", b"one"), member("etc//x", b"two"))
    yield "folder", _layer(folder("etc/", mode=0o700))
    yield "folder without a slash", _layer(folder("etc", mode=0o700))
    yield "folder with a dot", _layer(folder("./etc/", mode=0o700))
    yield "the root", _layer(folder("./"), folder("./"))
    yield "the root in two ways", _layer(folder("./"), folder("/"))
    yield "folder, then file", _layer(folder("etc/x/"), member("etc/x", b"x"))
    yield "full folder, then file", _layer(folder("etc/x/"), member("etc/x/y", b"y"), member("etc/x", b"x"))
    yield "file, then folder", _layer(member("etc/x", b"x"), folder("etc/x/"))
    yield "file, then folder with a dot", _layer(member("etc/x", b"x"), folder("./etc/x/"), member("etc/x/y", b"y"))
    yield "link, then file", _layer(symlink("etc/x", "passwd"), member("etc/x", b"x"))
    yield "link", _layer(symlink("etc/x", "passwd"), symlink("etc/x", "group"))
    yield "hard link", _layer(hardlink("etc/h", "etc/passwd"), hardlink("etc/h", "etc/group"))
    yield "whiteout", _layer(member("etc/.wh.no"), member("etc/.wh.no"))
    yield "opaque", _layer(member("etc/.wh..wh..opq"), member("etc/.wh..wh..opq"))
    yield "device", _layer(member("etc/p", kind=b"6"), member("etc/p", kind=b"6"))


def _times() -> Made:
    for name, text in {
        "nan": "nan",
        "inf": "inf",
        "below zero": "-1.5",
        "minus a half": "-0.5",
        "with a fraction": "1.5",
        "with many digits": "1.123456789123456789",
        "2300": "10413792000",
        "10^18": "1000000000000000000",
        "10^20": "100000000000000000000",
        "exponent": "1e9",
        "blank first": " 5",
        "plus": "+5",
        "point first": ".5",
        "point last": "5.",
        "empty": "",
        "letters in the fraction": "1.5x",
        "two points": "1.2.3",
        "hexadecimal": "0x10",
        "underscore": "1_0",
        "other digits": "٣",
    }.items():
        yield name, _layer(pax({"mtime": text}) + member("etc/x", b"x"))
    yield "access nan", _layer(pax({"atime": "nan"}) + member("etc/x", b"x"))
    yield "access below zero", _layer(pax({"atime": "-5"}) + member("etc/x", b"x"))
    yield "change nan", _layer(pax({"ctime": "nan"}) + member("etc/x", b"x"))
    yield "birth nan", _layer(pax({"LIBARCHIVE.creationtime": "nan"}) + member("etc/x", b"x"))


def _records() -> Made:
    def one(data: dict[str, bytes | str] | bytes, *, content: bytes = b"x") -> bytes:
        return _layer(pax(data) + member("etc/x", content))

    for value in ("4000000", "4294967294", "4294967295", "-1", "abc", "+5", " 5", "1.5", "0x10", "1_0", "", "9" * 30):
        yield f"owner {value or 'empty'}", one({"uid": value})
    yield "group", one({"gid": "70000"})
    yield "owners by name", one({"uname": "games", "gname": "games"})
    yield "owner's name with a NUL", one({"uname": b"a\0b"})
    yield "size", _layer(pax({"size": "1000"}) + header("etc/x", size=0) + padded(b"x" * 1000))
    yield "size below zero", one({"size": "-5"})
    yield "size in letters", one({"size": "abc"})
    yield "size of a folder", _layer(pax({"size": "1000"}) + folder("etc/d/") + member("etc/x", b"x"))
    yield "length too long", one(b"30 comment=x\n")
    yield "length too short", one(b"5 comment=x\n")
    yield "length with zeros", one(b"0013 mtime=5\n")
    yield "length with a plus", one(b"+12 mtime=5\n")
    yield "length with a blank", one(b" 11 mtime=5\n")
    yield "length of nothing", one(b"0 \n")
    yield "no end of line", one(b"10 mtime=55")
    yield "no equals sign", one(b"11 mtime:5\n")
    yield "empty key", one(b"6 =ab\n")
    yield "key with a NUL", one(b"13 a\0b=cdef\n")
    yield "key in bytes", one(b"8 \xe4=ab\n")
    yield "value with an equals sign", one({"comment": "a=b"})
    yield "zeros behind the records", one(b"11 mtime=5\n" + bytes(100))
    yield "no records", one(b"")
    yield "the same twice", one(record("mtime", "5") + record("mtime", "6"))
    yield "two headers", _layer(pax({"mtime": "5"}) + pax({"uid": "7"}) + member("etc/x", b"x"))
    yield "a comment", one({"comment": "hello", "OTHER.thing": b"\0\1\2"})
    yield "a header of 1 MiB", one({"comment": "c" * ((1 << 20) - 20)})
    yield "a header past 1 MiB", one({"comment": "c" * (1 << 20)})
    yield "an unknown charset", one({"hdrcharset": "KOI8-R"})
    yield "global comment", _layer(pax({"comment": "x"}, b"g") + member("etc/x", b"x"))
    yield "global time", _layer(pax({"mtime": "5"}, b"g") + member("etc/x", b"x"))
    yield "global path", _layer(pax({"path": "etc/y"}, b"g") + member("etc/x", b"x"))
    yield "global at the end", _layer(member("etc/x", b"x") + pax({"comment": "x"}, b"g"))
    yield "global twice", _layer(pax({"comment": "x"}, b"g") + pax({"comment": "x"}, b"g") + member("etc/x", b"x"))
    yield "global that is wrong", _layer(pax(b"99 comment=x\n", b"g") + member("etc/x", b"x"))
    yield "global between", _layer(pax({"uid": "7"}) + pax({"comment": "x"}, b"g") + member("etc/x", b"x"))
    capability = b"\1\0\0\2\0\4\0\0" + bytes(12)
    yield "capability", one({"SCHILY.xattr.security.capability": capability})
    yield "capability that is wrong", one({"SCHILY.xattr.security.capability": b"wrong"})
    yield "user's attribute", one({"SCHILY.xattr.user.hello": b"\0\xff="})
    yield "attribute of no space", one({"SCHILY.xattr.hello": b"x"})
    yield "attribute without a name", one({"SCHILY.xattr.": b"x"})
    yield (
        "attribute of the overlay",
        _layer(pax({"SCHILY.xattr.trusted.overlay.opaque": "y"}) + folder("opt/") + member("opt/x", b"x")),
    )
    yield "attribute of libarchive", one({"LIBARCHIVE.xattr.user.hello": "aGVsbG8"})
    yield "attribute of a link", _layer(pax({"SCHILY.xattr.user.hello": "x"}) + symlink("etc/l", "passwd"))


def _whiteouts() -> Made:
    entry, mark = member("etc/x", b"x"), member("etc/.wh.x")
    yield "beside its entry, after", _layer(entry, mark)
    yield "beside its entry, before", _layer(mark, entry)
    yield "of a folder, after", _layer(folder("d/"), member("d/x", b"x"), member(".wh.d"))
    yield "of a folder, before", _layer(member(".wh.d"), folder("d/"), member("d/x", b"x"))
    yield "of a link", _layer(symlink("etc/l", "passwd"), member("etc/.wh.l"))
    yield "of nothing", _layer(member("etc/.wh.none"))
    yield "of what lies nowhere", _layer(member("none/.wh.none"))
    yield "opaque after entries", _layer(folder("d/"), member("d/x", b"x"), member("d/.wh..wh..opq"))
    yield "opaque before entries", _layer(folder("d/"), member("d/.wh..wh..opq"), member("d/x", b"x"))
    yield "opaque at the root", _layer(member(".wh..wh..opq"))
    yield "opaque of a folder that is not listed", _layer(member("none/.wh..wh..opq"))
    yield "as a folder", _layer(entry, folder("etc/.wh.y/"))
    yield "with content", _layer(member("etc/.wh.y", b"content"))
    yield "as a link", _layer(symlink("etc/.wh.y", "passwd"))
    yield "as a hard link", _layer(hardlink("etc/.wh.y", "etc/passwd"))
    yield "as a device", _layer(member("etc/.wh.y", kind=b"3"))
    yield "as a FIFO", _layer(member("etc/.wh.y", kind=b"6"))
    yield "without a name", _layer(member("etc/.wh."))
    yield "of a dot", _layer(member("etc/.wh.."))
    yield "of two dots", _layer(member("etc/.wh..."))
    yield "of three dots", _layer(member("etc/.wh...."))
    yield "of a whiteout", _layer(member("etc/.wh..wh.x"))
    yield "of the root folder", _layer(member(".wh.etc"))
    yield "hard link to one", _layer(mark, hardlink("etc/h", "etc/.wh.x"))
    yield "below one", _layer(folder("etc/.wh.y/"), member("etc/.wh.y/z", b"z"))
    yield "in another case", _layer(member("etc/.WH.passwd"))
    yield "absolute", _layer(member("/etc/.wh.none"))
    yield "aufs", _layer(member(".wh..wh.aufs"), folder(".wh..wh.orph/"), folder(".wh..wh.plnk/"))
    plink = member(".wh..wh.plnk/123.456", b"hello")
    yield "aufs with links", _layer(folder(".wh..wh.plnk/"), plink, hardlink("etc/h", ".wh..wh.plnk/123.456"))
    yield "aufs with absolute links", _layer(folder(".wh..wh.plnk/"), plink, hardlink("etc/h", "/.wh..wh.plnk/123.456"))
    yield "aufs, link to what is missing", _layer(folder(".wh..wh.plnk/"), hardlink("etc/h", ".wh..wh.plnk/1.2"))
    yield "aufs, but not at the root", _layer(member("etc/.wh..wh.aufs"))
    yield "aufs with a dot", _layer(member("./.wh..wh.aufs"), folder("./.wh..wh.plnk/"))
    yield "aufs, unknown", _layer(member(".wh..wh.unknown", b"x"))


def _stacked() -> Made:
    def on(*members: bytes) -> LAYERS:
        return [_BELOW, b"".join(members) + END]

    yield "whiteout", on(member(".wh.f"), member("d/.wh.old"))
    yield "whiteout of a folder", on(member(".wh.d"))
    yield "whiteout and again", on(member(".wh.d"), folder("d/"), member("d/new", b"new"))
    yield "again and whiteout", on(folder("d/"), member("d/new", b"new"), member(".wh.d"))
    yield "file and whiteout", on(member("f", b"new"), member(".wh.f"))
    yield "whiteout and file", on(member(".wh.f"), member("f", b"new"))
    yield "opaque", on(folder("d/"), member("d/.wh..wh..opq"), member("d/new", b"new"))
    yield "opaque after", on(folder("d/"), member("d/new", b"new"), member("d/.wh..wh..opq"))
    yield "opaque without its folder", on(member("d/.wh..wh..opq"), member("d/new", b"new"))
    yield (
        "opaque, folders within",
        on(folder("d/"), member("d/.wh..wh..opq"), folder("d/sub/"), member("d/sub/y", b"y")),
    )
    yield "opaque after folders within", on(folder("d/sub/"), member("d/sub/y", b"y"), member("d/.wh..wh..opq"))
    yield "opaque at the root", on(member(".wh..wh..opq"), member("new", b"new"))
    yield "folder on a file", on(folder("f/"), member("f/x", b"x"))
    yield "folder on a link", on(folder("l/"), member("l/x", b"x"))
    yield "file on a folder", on(member("d", b"file"))
    yield "link on a folder", on(symlink("d", "etc"))
    yield "link on a link", on(symlink("l", "etc"))
    yield "file on a link", on(member("l", b"file"))
    yield "below a link", on(member("l/new", b"new"))
    yield "below a link, whiteout", on(member("l/.wh.old"))
    yield "below a link, opaque", on(member("l/.wh..wh..opq"))
    yield "below a file", on(member("f/x", b"x"))
    yield "hard link to a lower file", on(hardlink("h", "f"))
    yield "hard link to a lower folder's", on(hardlink("h", "d/old"))
    yield "hard link on a file", on(member("x", b"x"), hardlink("f", "x"))
    yield "device on a folder", on(member("d", kind=b"6"))
    yield "folder's mode", on(folder("d/", mode=0o700, uid=5))
    yield "whiteout below a whiteout", on(member(".wh.d"), member("d/.wh.old"))
    yield "the same layer twice", [_BELOW, _BELOW]
    yield "whiteout of what a link leads to", on(member(".wh.l"), member("l/x", b"x"))
