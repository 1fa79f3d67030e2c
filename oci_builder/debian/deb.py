"""A .deb file read (deb(5)): an ar archive of two tars, untrusted until its digest is checked and bounded even then."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from msgspec.structs import replace

from oci_builder.digest import CHUNK
from oci_builder.errors import PackageError
from oci_builder.files import open_regular, spooled
from oci_builder.tree.entry import Entry, EntryPath, FileSlice, Inline, Kind, entry_path

MAX_UNPACKED = 2 << 30
"""Bytes of one package's files."""

MAX_CONTROL = 16 << 20
if TYPE_CHECKING:
    from typing_extensions import Buffer

_AR = b"!<arch>\n"
_HEADER = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What a .deb holds: its control file, its list of MD5 sums (empty if it has none) and its entries.

    ``scripts`` names the maintainer scripts that an installation would run.
    """

    control: bytes
    md5sums: bytes
    entries: tuple[Entry, ...]
    scripts: tuple[str, ...] = ()


def read_deb(file: Path, spool: Path, *, origin: str) -> Package:
    """Read ``file``, its contents unpacked one after the other into the new file ``spool``.

    Paths and modes are the package's own, times too; hard links name their target. Raises PackageError, UnsafePath,
    FileProblem for the spool.
    """
    try:
        with open_regular(file) as stream:
            control, payload = _members(stream, origin)
            with _unpacked(stream, control, origin) as plain:
                scripts = _small_files(plain, origin)
                _drain(plain, origin)
            with _unpacked(stream, payload, origin) as plain, spooled(spool) as sink:
                entries = tuple(_Reader(sink, spool, origin).entries(plain))
                _drain(plain, origin)
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError, ValueError) as error:
        raise PackageError(origin, f"not a readable .deb: {error}") from error
    if "control" not in scripts:
        raise PackageError(origin, "not a readable .deb: no control file in it")
    return Package(
        control=scripts["control"],
        md5sums=scripts.get("md5sums", b""),
        entries=entries,
        scripts=tuple(name for name in ("preinst", "config", "postinst") if name in scripts),
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
        name = header[:16].decode("ascii").rstrip(" ").rstrip("/")
        size = int(header[48:58])
        found.append(_Member(name, stream.tell(), size))
        stream.seek(size + size % 2, io.SEEK_CUR)
    kinds = [member.name.partition(".tar")[0] for member in found]
    if kinds != ["debian-binary", "control", "data"]:
        raise PackageError(origin, f"not a .deb of format 2: it holds {', '.join(kinds) or 'nothing'}")
    return found[1], found[2]


def _unpacked(stream: BinaryIO, member: _Member, origin: str) -> IO[bytes]:
    part = io.BufferedReader(_Slice(stream, member), CHUNK)
    match member.name.partition(".tar")[2]:
        case ".xz":
            return lzma.LZMAFile(part)
        case ".gz":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=part))
        case "":
            return part
        case other:
            raise PackageError(origin, f"packed with {other}, and Debian's own packages use .xz")


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


def _small_files(plain: IO[bytes], origin: str) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=plain, mode="r|") as archive:
        for member in archive:
            if member.isreg():
                if member.size > MAX_CONTROL:
                    raise PackageError(origin, f"its {member.name} has {member.size} bytes")
                files[member.name.removeprefix("./")] = _content(archive, member).read()
    return files


class _Reader:
    """One walk over a data.tar; contents go to the spool."""

    def __init__(self, sink: BinaryIO, spool: Path, origin: str) -> None:
        self._sink, self._spool, self._origin = sink, spool, origin

    def entries(self, plain: IO[bytes]) -> Iterator[Entry]:
        """The entries of the tar, in its order, without the root itself."""
        with tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./").rstrip("/")
                if name not in ("", "."):
                    yield self._entry(archive, member, entry_path(name, origin=self._origin))

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: EntryPath) -> Entry:
        plain = Entry(
            path=path,
            kind=self._kind(member),
            mode=member.mode & 0o7777,
            uid=member.uid,
            gid=member.gid,
            mtime=int(member.mtime),
            origin=self._origin,
        )
        match plain.kind:
            case Kind.SYMLINK:
                return replace(plain, target=member.linkname)
            case Kind.HARDLINK:
                return replace(plain, target=entry_path(member.linkname.removeprefix("./"), origin=self._origin))
            case Kind.FILE:
                return self._file(archive, member, plain)
        return plain

    def _kind(self, member: tarfile.TarInfo) -> Kind:
        if member.isdir():
            return Kind.DIRECTORY
        if member.issym():
            return Kind.SYMLINK
        if member.islnk():
            return Kind.HARDLINK
        if member.isreg() and not member.issparse():
            return Kind.FILE
        raise PackageError(self._origin, f"{member.name} is a device, a pipe or a sparse file")

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, plain: Entry) -> Entry:
        offset, seen, size = self._sink.tell(), hashlib.sha256(), 0
        if offset + member.size > MAX_UNPACKED:
            raise PackageError(self._origin, f"holds more than {MAX_UNPACKED} bytes")
        content = _content(archive, member)
        while chunk := content.read(CHUNK):
            seen.update(chunk)
            size += self._sink.write(chunk)
        if size != member.size:
            raise PackageError(self._origin, f"{member.name} is cut off")
        where = FileSlice(self._spool, offset, size) if size else Inline(b"")
        return replace(plain, size=size, content=where, sha256=seen.hexdigest())


def _drain(plain: IO[bytes], origin: str) -> None:
    """Read what follows the archive: only at its end does a packed stream know that it was whole."""
    size = 0
    while chunk := plain.read(CHUNK):
        size += len(chunk)
        if size > MAX_CONTROL:
            raise PackageError(origin, "goes on after the end of its files")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content is not None
    return content
