"""A .deb file read (deb(5)): an ar archive of two tars, untrusted until its digest is checked and bounded even then."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from msgspec.structs import replace

from oci_builder.bounded import parse_decimal
from oci_builder.digest import CHUNK
from oci_builder.errors import PackageError
from oci_builder.files import open_regular, spooled
from oci_builder.tree.entry import Entry, EntryPath, FileSlice, Inline, Kind, entry_path
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Limits
from oci_builder.tree.tarstream import TarMember, TarStream
from oci_builder.xz import Unxz
from oci_builder.zstd import Frames, NotZstd

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_UNPACKED = 2 << 30
"""Bytes of one package's files."""

MAX_CONTROL = 16 << 20
"""Bytes of what describes them."""

_CONTROL = Limits(unpacked=MAX_CONTROL, entries=1000, names=1 << 20)
_DATA = Limits(unpacked=MAX_UNPACKED, entries=200_000, names=32 << 20, unsuspected=256 << 20)
_MAX_XZ = 96 << 20
"""Bytes of memory that unpacking may take: what ``xz -9`` writes takes 65 MiB."""

_MAX_WINDOW = 64 << 20

_LATEST = 8**11 - 1
"""The latest time that fits a header's octal field."""

_KINDS = {tarfile.DIRTYPE: Kind.DIRECTORY, tarfile.SYMTYPE: Kind.SYMLINK, tarfile.LNKTYPE: Kind.HARDLINK}
_AR = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"
_SCRIPTS = ("preinst", "config", "postinst")
_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
"""What a file is called that describes a package: dpkg keeps it under that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebFile:
    """What a .deb holds: its control file, its list of MD5 sums (empty if it has none) and its entries.

    ``scripts`` are the maintainer scripts that an installation would run, ``templates`` the questions of debconf,
    ``triggers`` what the scripts are run for once more (deb-triggers(5)). ``described`` has all files beside the
    control file, by name, with their modes.
    """

    control: bytes
    md5sums: bytes
    entries: tuple[Entry, ...]
    scripts: Mapping[str, bytes] = field(default_factory=dict)
    templates: bytes = b""
    triggers: bytes = b""
    described: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)

    @property
    def conffiles(self) -> tuple[str, ...]:
        """The paths of its configuration files, which whoever changed them keeps (deb-conffiles(5))."""
        text = self.described.get("conffiles", (b"", 0))[0].decode("utf-8", "replace")
        return tuple(line.strip().lstrip("/") for line in text.split("\n") if line.startswith("/"))


def read_deb(file: Path, spool: Path, *, origin: str) -> DebFile:
    """Read ``file``, its contents unpacked one after the other into the new file ``spool``.

    Paths and modes are the package's own, times too; hard links name their target. Raises PackageError, UnsafePath,
    FileProblem for the spool.
    """
    try:
        with open_regular(file) as stream:
            control, payload = _members(stream, origin)
            described = _small_files(_stream(stream, control, _CONTROL, origin))
            with spooled(spool) as sink:
                reader = _Reader(_stream(stream, payload, _DATA, origin), sink, spool, origin)
                entries = tuple(reader.entries())
    except (OSError, EOFError, lzma.LZMAError, zlib.error, NotZstd, Damaged) as error:
        raise PackageError(origin, f"not a readable .deb: {error}") from error
    found = {name: data for name, (data, _) in described.items()}
    if "control" not in found:
        raise PackageError(origin, "not a readable .deb: no control file in it")
    return DebFile(
        control=found["control"],
        md5sums=found.get("md5sums", b""),
        entries=entries,
        scripts={name: found[name] for name in _SCRIPTS if name in found},
        templates=found.get("templates", b""),
        triggers=found.get("triggers", b""),
        described={name: file for name, file in described.items() if name != "control"},
    )


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    offset: int
    size: int


def _members(stream: BinaryIO, origin: str) -> tuple[_Member, _Member]:
    if stream.read(len(_AR)) != _AR:
        raise PackageError(origin, "not a .deb: not an ar archive")
    found: list[_Member] = []
    while len(found) < 3 and len(header := stream.read(_HEADER)) == _HEADER:
        name = header[:16].decode("ascii", "backslashreplace").rstrip(" ").rstrip("/")
        try:
            size = parse_decimal(header[48:58].decode("ascii", "replace").rstrip(" "))
        except ValueError as error:
            raise PackageError(origin, f"not a .deb: the size of its member {name!r} is {error}") from error
        if header[58:] != _END:
            raise PackageError(origin, f"not a .deb: the header of its member {name!r} does not hold")
        found.append(_Member(name, stream.tell(), size))
        stream.seek(size + size % 2, io.SEEK_CUR)
    kinds = [member.name.partition(".tar")[0] for member in found]
    if kinds != ["debian-binary", "control", "data"]:
        raise PackageError(origin, f"not a .deb of format 2: it holds {', '.join(kinds) or 'nothing'}")
    return found[1], found[2]


def _stream(file: BinaryIO, member: _Member, limits: Limits, origin: str) -> TarStream:
    """The tar in a member of the ar archive, which may not stand for more than ``limits``."""
    budget, what = Budget(limits), member.name
    part = io.BufferedReader(_Slice(file, member), CHUNK)
    match member.name.partition(".tar")[2]:
        case ".xz":
            plain: ByteReader = Unxz(part, memory=_MAX_XZ)
        case ".gz":
            plain = gzip.GzipFile(fileobj=part)
        case ".zst":
            plain = Frames(part, window=_MAX_WINDOW)
        case "":
            plain = part
        case other:
            raise PackageError(origin, f"packed with {other}, and packages of Debian and Ubuntu use .xz and .zst")
    return TarStream(budget.unpacking(plain, key=what, packed=member.size, what=what), what=what, budget=budget)


class _Slice(io.RawIOBase):
    """One member of the ar archive, as a stream."""

    def __init__(self, stream: BinaryIO, member: _Member) -> None:
        self._stream, self._left = stream, member.size
        stream.seek(member.offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        data = self._stream.read(min(len(view), self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)


def _small_files(stream: TarStream) -> dict[str, tuple[bytes, int]]:
    files = {}
    for member in stream.members():
        name = member.name.removeprefix("./")
        if member.is_file and member.pieces is None and _NAME.match(name):
            files[name] = b"".join(stream.content()), member.mode & 0o777
    return files


class _Reader:
    """One walk over a data.tar; contents go to the spool."""

    def __init__(self, stream: TarStream, sink: BinaryIO, spool: Path, origin: str) -> None:
        self._stream, self._sink, self._spool, self._origin = stream, sink, spool, origin

    def entries(self) -> Iterator[Entry]:
        """The entries of the tar, in its order, without the root itself."""
        for member in self._stream.members():
            name = member.name.removeprefix("./").rstrip("/")
            if name not in ("", "."):
                yield self._entry(member, entry_path(name, origin=self._origin))

    def _entry(self, member: TarMember, path: EntryPath) -> Entry:
        plain = Entry(
            path=path,
            kind=self._kind(member),
            mode=member.mode & 0o7777,
            uid=member.uid,
            gid=member.gid,
            mtime=min(max(member.mtime, 0), _LATEST),
            origin=self._origin,
        )
        match plain.kind:
            case Kind.SYMLINK:
                return replace(plain, target=self._target(member.target, path))
            case Kind.HARDLINK:
                return replace(plain, target=entry_path(member.target.removeprefix("./"), origin=self._origin))
            case Kind.FILE:
                return self._file(plain)
        return plain

    def _kind(self, member: TarMember) -> Kind:
        kind = Kind.FILE if member.is_file and member.pieces is None else _KINDS.get(member.type)
        if kind is None:
            raise PackageError(self._origin, f"{member.name!r} is a device, a pipe or a sparse file")
        return kind

    def _target(self, target: str, path: str) -> str:
        try:
            target.encode()
        except UnicodeEncodeError as error:
            raise PackageError(self._origin, f"{path} is a link to {target!r}, which is not valid Unicode") from error
        return target

    def _file(self, plain: Entry) -> Entry:
        offset, seen, size = self._sink.tell(), hashlib.sha256(), 0
        for chunk in self._stream.content():
            seen.update(chunk)
            size += self._sink.write(chunk)
        where = FileSlice(self._spool, offset, size) if size else Inline(b"")
        return replace(plain, size=size, content=where, sha256=seen.hexdigest())
