"""Entries as tar headers: the same entry, the same bytes, on every machine."""

from __future__ import annotations

import tarfile

from oci_builder.tree.entry import OPAQUE, WHITEOUT, Entry, Kind

BLOCK = 512
END = bytes(2 * BLOCK)
"""What closes an archive."""

_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
    Kind.WHITEOUT: tarfile.REGTYPE,
    Kind.OPAQUE: tarfile.REGTYPE,
}
_ATTRIBUTE = "SCHILY.xattr."

_NAME = 100
_MAX_ID = 8**7 - 1
_MAX_NUMBER = 8**11 - 1
"""What fits the octal fields of 8 and 12 bytes."""

_MAGIC = b"ustar\x0000"
_REST = bytes(BLOCK - 265)
"""No user, no group, no device, no prefix."""

# Added up once: the checksum counts its own field as eight blanks.
_CONSTANT = sum(_MAGIC) + 8 * ord(" ")


def header(entry: Entry) -> bytes:
    """The header blocks of ``entry``: USTAR where it fits, PAX records where it does not.

    Integer times and no user names: a fraction would become a PAX record, and names mean another person in each image.
    """
    return _ustar(entry) or _pax(entry)


def _ustar(entry: Entry) -> bytes | None:
    """What ``tarfile`` writes for an entry that needs no PAX record, at a tenth of its cost; None for the others."""
    if entry.kind is Kind.WHITEOUT or entry.kind is Kind.OPAQUE or entry.attributes:
        return None
    path = f"{entry.path}/" if entry.kind is Kind.DIRECTORY and not entry.path.endswith("/") else entry.path
    size = entry.size if entry.kind is Kind.FILE else 0
    if not (path.isascii() and entry.target.isascii() and len(path) <= _NAME and len(entry.target) <= _NAME):
        return None
    if not (0 <= entry.uid <= _MAX_ID and 0 <= entry.gid <= _MAX_ID):
        return None
    if not (0 <= size <= _MAX_NUMBER and 0 <= entry.mtime <= _MAX_NUMBER):
        return None
    name, link = path.encode(), entry.target.encode()
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode & 0o7777, entry.uid, entry.gid, size, entry.mtime)
    kind = _TYPES[entry.kind]
    checksum = sum(name) + sum(numbers) + sum(kind) + sum(link) + _CONSTANT
    return b"%b%b%06o\0 %b%b%b%b" % (
        name.ljust(_NAME, b"\0"),
        numbers,
        checksum,
        kind,
        link.ljust(_NAME, b"\0"),
        _MAGIC,
        _REST,
    )


def _pax(entry: Entry) -> bytes:
    info = tarfile.TarInfo(_name(entry))
    info.type = _TYPES[entry.kind]
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
    info.size, info.linkname = entry.size if entry.kind is Kind.FILE else 0, entry.target
    info.pax_headers = {f"{_ATTRIBUTE}{name}": value for name, value in entry.attributes}
    # A name of a base may be no UTF-8: its bytes stay what they are, and a record says so.
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _name(entry: Entry) -> str:
    if entry.kind is Kind.OPAQUE:
        return f"{entry.path}/{OPAQUE}"
    if entry.kind is not Kind.WHITEOUT:
        return entry.path
    folder, slash, name = entry.path.rpartition("/")
    return f"{folder}{slash}{WHITEOUT}{name}"


def padding(size: int) -> bytes:
    """The zeros that fill the last block of ``size`` bytes of content."""
    return bytes(-size % BLOCK)
