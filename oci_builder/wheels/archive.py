"""A wheel file as its members, each still compressed and each with the digest its RECORD promises.

Follows the binary distribution format (PyPA specifications, "RECORD" and ".dist-info"). Nothing is read here but the
wheel's own metadata.
"""

from __future__ import annotations

import binascii
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from installer.exceptions import InstallerError
from installer.records import InvalidRecordEntry, parse_record_file
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from oci_builder.errors import WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Checked, DeflateSlice
from oci_builder.wheels.zipped import Zipped, read_zip

_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of .dist-info that RECORD cannot hold a digest of."""

MAX_METADATA = 16 << 20
"""Bytes of a file that is read whole."""

_HEAD = 64 << 10
"""Bytes of a deflate stream that tell how its content begins."""

_ROW = 400
"""Bytes of a line of RECORD besides its path: the longest digest and a size take a third."""

_MANY = 64 << 10
"""Bytes that every RECORD may have."""

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
    sources: MappedFiles = field(repr=False, compare=False)

    @property
    def origin(self) -> str:
        """Whose the files are: ``numpy 2.4.6``."""
        return f"{canonicalize_name(self.distribution)} {self.version}"

    @property
    def data_folder(self) -> str:
        """The folder whose subfolders go to schemes: ``numpy-2.4.6.data``."""
        return f"{self.dist_info.removesuffix('.dist-info')}.data"

    @property
    def unpacked(self) -> int:
        """Bytes of all its files."""
        return sum(member.size for member in self.members.values())

    def read(self, path: str, *, most: int = MAX_METADATA) -> bytes:
        """All of one small member, checked.

        Raises WheelError when there is none or it has more than ``most`` bytes, DigestMismatch when it is damaged.
        """
        member = self.members.get(path)
        if member is None:
            raise WheelError(self.filename, f"holds no {path}")
        if member.size > most:
            raise WheelError(self.filename, f"{path} has {member.size} bytes, and {most} are allowed")
        return self.sources.read(member.content, what=f"{self.filename}: {path}")

    def begins(self, path: str, start: bytes) -> bool:
        """Whether a member begins so; no more of it is read than tells, and nothing is checked."""
        content = self.members[path].content
        if isinstance(content, Checked):
            part = content.slice
            return bytes(self.sources.slice(part.file, part.offset, min(part.size, len(start)))) == start
        stream = self.sources.slice(content.file, content.offset, min(content.length, _HEAD))
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, len(start)) == start
        except zlib.error as error:
            raise WheelError(self.filename, f"{path} is damaged ({error})") from error


def is_bytecode(path: str) -> bool:
    """Whether a member lies in a ``__pycache__``, which nobody installs."""
    return "__pycache__" in path and "__pycache__" in path.split("/")[:-1]


def open_wheel(path: Path, filename: str, *, sources: MappedFiles | None = None) -> WheelArchive:
    """Read the directory and RECORD of the wheel at ``path``, whose real name is ``filename``.

    It stays mapped in ``sources``, or else while the archive is there.

    Raises WheelError when it is no wheel, is damaged, or holds what RECORD does not list; UnsafePath for a name that
    would leave its folder.
    """
    sources = sources or MappedFiles()
    files = read_zip(path, filename, sources)
    dist_info, version = _dist_info(filename, files)
    record_path = f"{dist_info}/RECORD"
    record = next((each for each in files if each.info.filename == record_path), None)
    if record is None:
        raise WheelError(filename, f"holds no {record_path}", hint="without RECORD nothing in it can be checked")
    rows = _rows(_record_text(record, files, sources, filename), filename)
    members = {each.info.filename: _member(each, rows, dist_info, filename) for each in files}
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


def _dist_info(filename: str, files: Sequence[Zipped]) -> tuple[str, str]:
    # The folder's spelling is free (Foo_Bar, foo.bar); the normalised name and version are not.
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise WheelError(filename, "not a wheel's file name") from error
    folders = {each.info.filename.partition("/")[0] for each in files if "/" in each.info.filename}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise WheelError(filename, f"expected one .dist-info folder, found {', '.join(found) or 'none'}")
    if canonicalize_name(found[0].removesuffix(".dist-info").rpartition("-")[0]) != name:
        raise WheelError(filename, f"{found[0]} belongs to another distribution")
    return found[0], str(version)


def _record_text(record: Zipped, files: Sequence[Zipped], sources: MappedFiles, filename: str) -> str:
    # It has a line for each file, and each is kept: it may be as long as they make it. A quoted path doubles at most.
    most = _MANY + sum(2 * len(each.info.filename.encode()) + _ROW for each in files)
    if record.info.file_size > most:
        raise WheelError(filename, f"RECORD has {record.info.file_size} bytes, for {len(files)} files")
    data = sources.read(_content(record, None, filename), what=f"{filename}: {record.info.filename}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WheelError(filename, "RECORD is not UTF-8") from error


def _rows(text: str, filename: str) -> dict[str, tuple[str, str, str]]:
    try:
        return {row[0]: row for row in parse_record_file(text.splitlines()) if row[0]}
    except (InstallerError, InvalidRecordEntry) as error:
        raise WheelError(filename, f"RECORD does not read: {error}") from error


def _member(zipped: Zipped, rows: Mapping[str, tuple[str, str, str]], dist_info: str, filename: str) -> WheelMember:
    info, name = zipped.info, zipped.info.filename
    row = rows.get(name, (name, "", ""))
    expected = _promise(row, filename) if row[1] else None
    if expected is None and name not in [f"{dist_info}/{unlisted}" for unlisted in _UNLISTED]:
        raise WheelError(filename, f"{name} has no digest in RECORD", hint="the wheel was changed after it was built")
    if row[2] and row[2] != str(info.file_size):
        raise WheelError(filename, f"{name} is {info.file_size} bytes, RECORD says {row[2]}")
    mode = info.external_attr >> 16
    executable = bool(stat.S_ISREG(mode) and mode & 0o111)
    return WheelMember(name, info.file_size, executable, row, _content(zipped, expected, filename))


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


def _content(zipped: Zipped, expected: tuple[str, bytes] | None, filename: str) -> DeflateSlice | Checked:
    info, part = zipped.info, zipped.part
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return DeflateSlice(part.file, part.offset, part.size, info.file_size, info.CRC, expected)
    if info.compress_size != info.file_size:
        why = f"{info.filename} is stored as it is, in {info.compress_size} bytes for {info.file_size}"
        raise WheelError(filename, why)
    return Checked(part, expected, info.CRC)
