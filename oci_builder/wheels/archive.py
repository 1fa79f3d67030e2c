"""A wheel file as its members, each still compressed and each with the digest its RECORD promises.

Follows the binary distribution format (PyPA specifications, "RECORD" and ".dist-info"). Nothing is read here but the
zip's directory and the wheel's own metadata.
"""

from __future__ import annotations

import binascii
import mmap
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from installer.exceptions import InstallerError
from installer.records import InvalidRecordEntry, parse_record_file
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from oci_builder.errors import WheelError
from oci_builder.tree.content import Sources
from oci_builder.tree.entry import Checked, DeflateSlice, FileSlice, entry_path

_LOCAL = struct.Struct("<4s22xHH")
"""A zip's local header: signature, and how long the name and the extra field behind it are."""

_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of .dist-info that RECORD cannot hold a digest of."""

_ENCRYPTED = 0x1

_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Bytes of the digests that RECORD may use."""

_URLSAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file of a wheel. ``row`` is its line in RECORD: path, hash and size as text."""

    path: str
    size: int
    executable: bool
    row: tuple[str, str, str]
    content: DeflateSlice | Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelArchive:
    """An opened wheel: its names, and its members in RECORD's sense, in the archive's order.

    ``sources`` is what it was opened with: its metadata is read there, without opening it again.
    """

    filename: str
    distribution: str
    version: str
    dist_info: str
    members: Mapping[str, WheelMember]
    sources: Sources = field(repr=False, compare=False)

    @property
    def origin(self) -> str:
        """Whose the files are: ``numpy 2.4.6``."""
        return f"{canonicalize_name(self.distribution)} {self.version}"

    @property
    def data_folder(self) -> str:
        """The folder whose subfolders go to schemes: ``numpy-2.4.6.data``."""
        return f"{self.dist_info.removesuffix('.dist-info')}.data"

    def read(self, path: str) -> bytes:
        """All of one small member, checked. Raises WheelError when there is none, DigestMismatch when it is damaged."""
        member = self.members.get(path)
        if member is None:
            raise WheelError(self.filename, f"holds no {path}")
        return self.sources.read(member.content, what=f"{self.filename}: {path}")


def open_wheel(path: Path, filename: str, *, sources: Sources | None = None) -> WheelArchive:
    """Read the directory and RECORD of the wheel at ``path``, whose real name is ``filename``.

    It stays mapped in ``sources``, or else while the archive is there.

    Raises WheelError when it is no wheel, is damaged, or holds what RECORD does not list; UnsafePath for a name that
    would leave its folder.
    """
    sources = sources or Sources()
    try:
        mapped = sources.mapped(path)
        with zipfile.ZipFile(cast("IO[bytes]", mapped)) as archive:
            infos = _checked_infos(archive.infolist(), filename)
        slices = dict(_slices(mapped, infos, path, filename))
    # zipfile seeks where a damaged directory says, which a map may refuse with a ValueError.
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, ValueError) as error:
        hint = "the download was cut off or changed; get it again"
        raise WheelError(filename, f"not a readable zip archive ({error})", hint=hint) from error
    return _assemble(filename, infos, slices, sources)


def _checked_infos(infos: list[zipfile.ZipInfo], filename: str) -> list[zipfile.ZipInfo]:
    seen: set[str] = set()
    files = [info for info in infos if not info.is_dir()]
    for info in files:
        entry_path(info.filename, origin=filename)
        if info.filename in seen:
            raise WheelError(filename, f"holds {info.filename} twice")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WheelError(filename, f"{info.filename} is encrypted or compressed in a way wheels do not use")
        seen.add(info.filename)
    return files


def _slices(
    mapped: mmap.mmap, infos: list[zipfile.ZipInfo], path: Path, filename: str
) -> Iterator[tuple[str, FileSlice]]:
    """Where each member's bytes lie. Members that overlap make a small file look endless; none may."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if not 0 <= info.header_offset <= len(mapped) - _LOCAL.size:
            raise WheelError(filename, f"the zip entry of {info.filename} lies outside the file")
        signature, name, extra = _LOCAL.unpack_from(mapped, info.header_offset)
        offset = info.header_offset + _LOCAL.size + name + extra
        if signature != b"PK\x03\x04" or info.header_offset < end:
            raise WheelError(filename, f"the zip entry of {info.filename} is damaged or overlaps another")
        end = offset + info.compress_size
        yield info.filename, FileSlice(path, offset, info.compress_size)


def _assemble(
    filename: str, infos: list[zipfile.ZipInfo], slices: Mapping[str, FileSlice], sources: Sources
) -> WheelArchive:
    dist_info, version = _dist_info(filename, infos)
    by_name = {info.filename: info for info in infos}
    record_path = f"{dist_info}/RECORD"
    if record_path not in by_name:
        raise WheelError(filename, f"holds no {record_path}", hint="without RECORD nothing in it can be checked")
    rows = _rows(_record_text(by_name[record_path], slices[record_path], sources, filename), filename)
    members = {info.filename: _member(info, slices[info.filename], rows, dist_info, filename) for info in infos}
    absent = sorted(set(rows) - set(members))
    if absent:
        raise WheelError(filename, f"RECORD lists {absent[0]}, which is not in the wheel")
    return WheelArchive(
        filename=filename,
        distribution=dist_info.removesuffix(".dist-info").rpartition("-")[0],
        version=version,
        dist_info=dist_info,
        members=members,
        sources=sources,
    )


def _dist_info(filename: str, infos: list[zipfile.ZipInfo]) -> tuple[str, str]:
    # The folder's spelling is free (Foo_Bar, foo.bar); the normalised name and version are not.
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise WheelError(filename, "not a wheel's file name") from error
    folders = {info.filename.partition("/")[0] for info in infos if "/" in info.filename}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise WheelError(filename, f"expected one .dist-info folder, found {', '.join(found) or 'none'}")
    if canonicalize_name(found[0].removesuffix(".dist-info").rpartition("-")[0]) != name:
        raise WheelError(filename, f"{found[0]} belongs to another distribution")
    return found[0], str(version)


def _record_text(info: zipfile.ZipInfo, part: FileSlice, sources: Sources, filename: str) -> str:
    data = sources.read(_content(info, part, None), what=f"{filename}: {info.filename}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WheelError(filename, "RECORD is not UTF-8") from error


def _rows(text: str, filename: str) -> dict[str, tuple[str, str, str]]:
    try:
        return {row[0]: row for row in parse_record_file(text.splitlines()) if row[0]}
    except (InstallerError, InvalidRecordEntry) as error:
        raise WheelError(filename, f"RECORD does not read: {error}") from error


def _member(
    info: zipfile.ZipInfo,
    part: FileSlice,
    rows: Mapping[str, tuple[str, str, str]],
    dist_info: str,
    filename: str,
) -> WheelMember:
    name = info.filename
    row = rows.get(name, (name, "", ""))
    expected = _promise(row, filename) if row[1] else None
    if expected is None and name.removeprefix(f"{dist_info}/") not in _UNLISTED:
        raise WheelError(filename, f"{name} has no digest in RECORD", hint="the wheel was changed after it was built")
    if row[2] and row[2] != str(info.file_size):
        raise WheelError(filename, f"{name} is {info.file_size} bytes, RECORD says {row[2]}")
    mode = info.external_attr >> 16
    executable = bool(stat.S_ISREG(mode) and mode & 0o111)
    return WheelMember(name, info.file_size, executable, row, _content(info, part, expected))


def _promise(row: tuple[str, str, str], filename: str) -> tuple[str, bytes]:
    algorithm, _, value = row[1].partition("=")
    # The specification asks for sha256 or better; md5 and sha1 are named as forbidden.
    if algorithm not in _SIZES:
        raise WheelError(filename, f"RECORD uses {algorithm!r} for {row[0]}; sha256 or better is asked for")
    try:
        # What base64.urlsafe_b64decode does, in a third of its time: every file comes by here.
        digest = binascii.a2b_base64(value.translate(_URLSAFE) + "=" * (-len(value) % 4))
    except ValueError as error:
        raise WheelError(filename, f"RECORD's digest of {row[0]} does not read") from error
    if len(digest) != _SIZES[algorithm]:
        raise WheelError(filename, f"RECORD's digest of {row[0]} does not read")
    return algorithm, digest


def _content(info: zipfile.ZipInfo, part: FileSlice, expected: tuple[str, bytes] | None) -> DeflateSlice | Checked:
    if info.compress_type == zipfile.ZIP_STORED:
        return Checked(part, expected)
    return DeflateSlice(part.file, part.offset, part.size, info.file_size, info.CRC, expected)
