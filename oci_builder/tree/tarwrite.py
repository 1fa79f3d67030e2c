"""Entries as tar headers: the same entry, the same bytes, on every machine."""

from __future__ import annotations

import tarfile

from oci_builder.tree.entry import Entry, Kind

BLOCK = 512
END = bytes(2 * BLOCK)
"""What closes an archive."""

_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}


def header(entry: Entry) -> bytes:
    """The header blocks of ``entry``: USTAR where it fits, PAX records where it does not.

    Integer times and no user names: a fraction would become a PAX record, and names mean another person in each image.
    """
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[entry.kind]
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
    info.size, info.linkname = entry.size if entry.kind is Kind.FILE else 0, entry.target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """The zeros that fill the last block of ``size`` bytes of content."""
    return bytes(-size % BLOCK)
