"""One path of a root filesystem, and which paths are allowed."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NewType

import msgspec

from oci_builder.confined import Found
from oci_builder.errors import UnsafePath

EntryPath = NewType("EntryPath", str)
"""Relative, normalised, without ``..`` or a whiteout's prefix: ``usr/bin/mypy``."""

MTIME = 315_532_800
"""1980-01-01, the time of everything that has no time of its own.

Constant, so that a layer's bytes do not move when the image's date does; not 0, because zip knows nothing older."""

WHITEOUT = ".wh."
"""What the name of a deleted path is prefixed with in a layer (OCI image-spec, layer.md, "Whiteouts")."""

OPAQUE = ".wh..wh..opq"
"""The file that says that a layer begins its folder anew."""


class Kind(Enum):
    """What is at a path. A WHITEOUT deletes what lower layers have there, an OPAQUE what they have below it.

    Only layers hold these two, no finished tree.
    """

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    WHITEOUT = "whiteout"
    OPAQUE = "opaque"


class Inline(msgspec.Struct, frozen=True, gc=False):
    """Content held in memory."""

    data: bytes


class FileSlice(msgspec.Struct, frozen=True, gc=False):
    """Content that lies in a file of this machine: ``size`` bytes from ``offset``."""

    file: Path
    offset: int
    size: int


class Whole(msgspec.Struct, frozen=True):
    """All of a file of this machine, ``size`` bytes, which ``found`` opens as it was when it was found."""

    found: Found
    size: int


class DeflateSlice(msgspec.Struct, frozen=True, gc=False):
    """Content that lies in a file as a raw deflate stream (RFC 1951), as a zip member does.

    ``length`` is the stream's size in bytes, ``size`` the content's, ``crc`` its CRC-32. ``expected`` is the digest
    that somebody promised (algorithm of hashlib, digest), checked when the content is read. ``raw`` is the content
    itself where a reader already needed and checked it, so that nothing is inflated twice.
    """

    file: Path
    offset: int
    length: int
    size: int
    crc: int
    expected: tuple[str, bytes] | None = None
    raw: bytes | None = None


class Checked(msgspec.Struct, frozen=True, gc=False):
    """Content in a plain slice of a file, with the digest, and where there is one the CRC-32, promised for it."""

    slice: FileSlice
    expected: tuple[str, bytes] | None
    crc: int | None = None


class Packed(msgspec.Struct, frozen=True, gc=False):
    """Content in memory as the gzip member a layer takes as it is: ``size`` bytes, and their digest in hex.

    ``raw`` is the content itself, where there was room to keep it.
    """

    member: bytes
    size: int
    sha256: str
    raw: bytes | None


class Member(msgspec.Struct, frozen=True, gc=False):
    """Content of a finished layer: gzip members from ``offset`` of the file ``blob`` that hold ``size`` bytes."""

    blob: Path
    offset: int
    size: int


class Spliced(msgspec.Struct, frozen=True, gc=False):
    """The same of anybody's layer, to be copied as it is packed; ``sha256`` is what the content has to have, in hex."""

    member: Member
    sha256: str


Content = Inline | FileSlice | Whole | DeflateSlice | Checked | Packed | Member | Spliced


def promised_sha256(content: Content | None) -> str:
    """The SHA-256 that reading ``content`` will have proved, in hex, or nothing where none was promised."""
    if isinstance(content, Packed | Spliced):
        return content.sha256
    expected = content.expected if isinstance(content, DeflateSlice | Checked) else None
    return expected[1].hex() if expected is not None and expected[0] == "sha256" else ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file, directory or link, with its content left where it is.

    ``origin`` says whose it is ("numpy 2.4.6", "libssl3 3.0.22"); ``sha256`` is the content's digest in hex where it is
    known, and not promised with the content (``known_sha256``); ``target`` is where a symlink points, or the path a
    hard link repeats. ``attributes`` are extended ones, by name, of which wheels and packages have none.
    """

    path: EntryPath
    kind: Kind
    mode: int
    origin: str
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    size: int = 0
    target: str = ""
    content: Content | None = None
    sha256: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


def known_sha256(entry: Entry) -> str:
    """The SHA-256 of a file's content, in hex, or nothing where it is not known before reading."""
    return entry.sha256 or promised_sha256(entry.content)


def directory(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0, origin: str) -> Entry:
    """A directory's entry. Raises UnsafePath."""
    return Entry(path=entry_path(path), kind=Kind.DIRECTORY, mode=mode, uid=uid, gid=gid, origin=origin)


def file(path: str, data: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0, origin: str) -> Entry:
    """A regular file with its content in memory. Raises UnsafePath."""
    return Entry(
        path=entry_path(path),
        kind=Kind.FILE,
        mode=mode,
        uid=uid,
        gid=gid,
        size=len(data),
        content=Inline(data),
        origin=origin,
    )


def symlink(path: str, target: str, *, uid: int = 0, gid: int = 0, origin: str) -> Entry:
    """A symbolic link, whose target is not looked at. Raises UnsafePath."""
    return Entry(path=entry_path(path), kind=Kind.SYMLINK, mode=0o777, uid=uid, gid=gid, target=target, origin=origin)


def entry_path(text: str, *, origin: str = "") -> EntryPath:
    """Check that ``text`` is a path inside a tree and return it as one. Raises UnsafePath."""
    if not text or "\0" in text:
        raise UnsafePath(text, "empty, or holds a NUL", origin=origin)
    if not text.isascii():
        _check_encodable(text, origin)
    # Most paths are plain; only the odd one is taken apart.
    if text[0] == "/" or "//" in text or text[-1] == "/":
        raise UnsafePath(text, "absolute, or not normalised", origin=origin)
    if text[0] == "." or "/." in text:
        _check_dots(text, origin)
    return EntryPath(text)


def _check_dots(text: str, origin: str) -> None:
    for part in text.split("/"):
        if part in (".", ".."):
            raise UnsafePath(text, "not normalised, or leaves its folder", origin=origin)
        if part.startswith(WHITEOUT):
            raise UnsafePath(text, "a layer would read it as a deletion", origin=origin)


def _check_encodable(text: str, origin: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnsafePath(text, "not valid Unicode", origin=origin) from error
