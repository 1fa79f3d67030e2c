"""The directory of a wheel's zip file (APPNOTE.TXT), read within limits, and held against what lies in the file.

``zipfile`` reads the directory. What it takes and others read differently is refused: two names, two sizes, members in
each other. A member's content is not looked at.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, cast

import msgspec

from oci_builder.errors import UnsafePath, WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import FileSlice, entry_path

MAX_MEMBERS = 150_000
"""Files and folders of a wheel, named or above others; the largest that are published have a tenth."""

MAX_DIRECTORY = 64 << 20
"""Bytes of the zip's directory."""

_MAX_FOLDERS = 64 << 20
"""Bytes of the names of all folders: every folder above a file becomes an entry, however deep it lies."""

_MANY = 10_000
"""Files of a wheel for which it is worth while to think of memory."""

MAX_PATH = 4095
MAX_NAME = 255
"""Bytes of a path and of its parts, as Linux takes them."""

_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
"""A local header: signature, flags, method, CRC-32, both sizes, and how long the name and extra field behind it are."""

_ENTRY = b"PK\x01\x02"
_MEMBER = b"PK\x03\x04"
_ENCRYPTED, _FOLLOWS = 0x1, 0x8
UTF8 = 0x800
"""The flag of an entry whose name is UTF-8."""

_ZIP64 = 0xFFFFFFFF
_UNICODE_PATH = 0x7075
_DAMAGED = "the download was cut off or changed; get it again"


class Zipped(msgspec.Struct, frozen=True, gc=False):
    """A file of a zip: its path, what the directory says of it, and where its bytes lie, as they are stored.

    ``name`` is ``filename``, as the zip has it, without the ``./`` and ``//`` that some have there. ``size`` and
    ``crc`` are those of its content, ``packing`` is the way that is stored, ``mode`` what a Unix would know of it.
    """

    name: str
    filename: str
    part: FileSlice
    size: int
    crc: int
    packing: int
    mode: int
    is_utf8: bool


def read_zip(path: Path, filename: str, sources: MappedFiles) -> list[Zipped]:
    """The files in the zip at ``path``, in the order of its directory; folders are left out.

    Raises WheelError for what is damaged or past a limit, UnsafePath for a name that would leave its folder.
    """
    try:
        mapped = sources.mapped(path)
        bounded = _Bounded(mapped, filename)
        with zipfile.ZipFile(cast("IO[bytes]", bounded)) as archive:
            found, end = _files(archive.infolist(), filename), archive.start_dir
        del archive  # which has them all, too
        places = dict(_places(mapped, [info for _, info in found], end, filename))
    # zipfile seeks where a damaged directory says, which a map may refuse with a ValueError or an OverflowError.
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, ValueError, OverflowError) as error:
        raise WheelError(filename, f"not a readable zip archive ({error})", hint=_DAMAGED) from error
    # One after the other: what zipfile holds of a file takes five times as much as what is held of it from here on.
    found.reverse()
    if len(found) > _MANY:
        sources.let_go()  # a header of each was looked at, all over the file
    return [_zipped(*found.pop(), path, places) for _ in range(len(found))]


class _Bounded:
    """A mapped file whose parts are read only if they are as small as they should be."""

    def __init__(self, mapped: mmap.mmap, filename: str) -> None:
        self._mapped, self._filename = mapped, filename

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: Literal[0, 1, 2] = 0) -> int:
        """Go there. Raises ValueError for a place outside."""
        self._mapped.seek(offset, whence)
        return self._mapped.tell()

    def tell(self) -> int:
        """Where it is."""
        return self._mapped.tell()

    def read(self, size: int = -1) -> bytes:
        """So many bytes. Raises WheelError for more than a directory may have."""
        wanted = len(self._mapped) - self._mapped.tell() if size < 0 else size
        if wanted > MAX_DIRECTORY:
            raise WheelError(self._filename, f"its zip directory has {wanted} bytes, and {MAX_DIRECTORY} are allowed")
        data = self._mapped.read(wanted)
        # Before each of them becomes an object.
        if data.count(_ENTRY) > MAX_MEMBERS:
            raise WheelError(self._filename, f"it holds more than {MAX_MEMBERS} files")
        return data


def _files(infos: Sequence[zipfile.ZipInfo], filename: str) -> list[tuple[str, zipfile.ZipInfo]]:
    """The files by their paths, in the directory's order; where two have one path, as pip has it, the last."""
    files: dict[str, zipfile.ZipInfo] = {}
    folders = _Folders(filename)
    for info in infos:
        name = info.filename
        if not name or name != info.orig_filename:
            # zipfile ends a name at a NUL, others do not.
            raise WheelError(filename, f"a zip entry has the name {info.orig_filename[:MAX_NAME]!r}")
        if name[-1] == "/":
            continue
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WheelError(filename, f"{name} is encrypted or compressed in a way wheels do not use")
        path = name if "//" not in name and "./" not in name else plain(name)
        entry_path(path, origin=filename)
        check_length(path, filename)
        _check_extra(info, filename)
        folders.add(path)
        files[path] = info
    return list(files.items())


def plain(name: str) -> str:
    """A relative path without its "." and empty parts; ".." stays, for whoever refuses it."""
    top = "/" if name.startswith("/") else ""
    return top + "/".join(part for part in name.split("/") if part not in ("", "."))


def _zipped(name: str, info: zipfile.ZipInfo, path: Path, places: Mapping[str, int]) -> Zipped:
    return Zipped(
        name,
        info.filename,
        FileSlice(path, places[info.filename], info.compress_size),
        size=info.file_size,
        crc=info.CRC,
        packing=info.compress_type,
        mode=info.external_attr >> 16,
        is_utf8=bool(info.flag_bits & UTF8),
    )


def check_length(path: str, filename: str) -> None:
    """Make sure that Linux takes a path of this length. Raises UnsafePath."""
    if len(path) <= MAX_NAME // 4:
        return  # not even if every character takes four bytes
    data = path.encode()
    if len(data) > MAX_PATH:
        raise UnsafePath(f"{path[:MAX_NAME]}…", f"{len(data)} bytes, and Linux takes {MAX_PATH}", origin=filename)
    longest = max(map(len, data.split(b"/")))
    if longest > MAX_NAME:
        why = f"a part of it has {longest} bytes, and Linux takes {MAX_NAME}"
        raise UnsafePath(f"{path[:MAX_NAME]}…", why, origin=filename)


class _Folders:
    """The folders above files, counted before anybody makes entries of them."""

    def __init__(self, filename: str) -> None:
        self._filename = filename
        self._seen: set[str] = {""}
        self._bytes = 0

    def add(self, path: str) -> None:
        """Count what is above one more file. Raises WheelError."""
        folder = path.rpartition("/")[0]
        while folder not in self._seen:
            self._seen.add(folder)
            self._bytes += len(folder)
            if len(self._seen) > MAX_MEMBERS or self._bytes > _MAX_FOLDERS:
                raise WheelError(self._filename, f"its files lie in too many folders, {len(self._seen) - 1} or more")
            folder = folder.rpartition("/")[0]


def _check_extra(info: zipfile.ZipInfo, filename: str) -> None:
    """Refuse a second name: from Python 3.13 on zipfile takes that one."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == _UNICODE_PATH:
            raise WheelError(filename, f"the zip entry of {info.filename} has a second name")
        extra = extra[4 + size :]


def _places(
    mapped: mmap.mmap, infos: Sequence[zipfile.ZipInfo], directory: int, filename: str
) -> Iterator[tuple[str, int]]:
    """Where each member's bytes begin. Members that overlap make a small file look endless; none may."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if not 0 <= info.header_offset <= len(mapped) - _LOCAL.size:
            raise WheelError(filename, f"the zip entry of {info.filename} lies outside the file", hint=_DAMAGED)
        fields = _LOCAL.unpack_from(mapped, info.header_offset)
        name = info.header_offset + _LOCAL.size
        offset = name + fields[-2] + fields[-1]
        if fields[0] != _MEMBER or info.header_offset < end:
            why = f"the zip entry of {info.filename} is damaged or overlaps another"
            raise WheelError(filename, why, hint=_DAMAGED)
        _check_local(info, fields, mapped[name : name + fields[-2]], filename)
        end = offset + info.compress_size
        if end > directory:
            raise WheelError(filename, f"the zip entry of {info.filename} reaches into the directory", hint=_DAMAGED)
        yield info.filename, offset


def _check_local(info: zipfile.ZipInfo, fields: tuple[bytes | int, ...], name: bytes, filename: str) -> None:
    """A member says of itself what the directory says of it, where it says something."""
    _, flags, method, crc, packed, size, _, _ = fields
    coding = "utf-8" if info.flag_bits & UTF8 else "cp437"
    if name != info.filename.encode(coding, "replace"):
        raise _two(info, "names", filename)
    if method != info.compress_type or int(flags) & _ENCRYPTED:
        raise _two(info, "ways of packing", filename)
    said = (crc, packed, size)
    # What was not known when the header was written stands behind the content; zip64 has sizes of its own.
    if _ZIP64 in said[1:] or (int(flags) & _FOLLOWS and not any(said)):
        return
    if said != (info.CRC, info.compress_size, info.file_size):
        raise _two(info, "sizes or checksums", filename)


def _two(info: zipfile.ZipInfo, what: str, filename: str) -> WheelError:
    hint = "programs that unpack it disagree about it; ask its publisher for another"
    return WheelError(filename, f"the zip file gives {info.filename} two {what}", hint=hint)
