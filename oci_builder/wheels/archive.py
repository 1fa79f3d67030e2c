"""A wheel file as its members, each still compressed and each with the digest its RECORD promises.

Follows the binary distribution format (PyPA specifications, "RECORD" and ".dist-info"). Nothing is read here but the
wheel's own metadata.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from oci_builder.errors import WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Checked, DeflateSlice
from oci_builder.wheels.record import Promise, Record, read_record
from oci_builder.wheels.zipped import Zipped, read_zip

SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
"""The folders that .data may have."""

MAX_METADATA = 16 << 20
"""Bytes of a file that is read whole."""

_HEAD = 64 << 10
"""Bytes of a deflate stream that tell how its content begins."""


class WheelMember(msgspec.Struct, frozen=True, gc=False):
    """One file of a wheel. ``digest`` is what its line in RECORD has, as text; ``sized`` says that a size is there."""

    path: str
    size: int
    executable: bool
    digest: str
    sized: bool
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

    def text(self, name: str, *, most: int = MAX_METADATA) -> str:
        """A file of .dist-info. Raises as ``read``, and WheelError where it is no UTF-8."""
        path = f"{self.dist_info}/{name}"
        try:
            return self.read(path, most=most).decode()
        except UnicodeDecodeError as error:
            raise WheelError(self.filename, f"{path} is not UTF-8") from error

    def begins(self, path: str, start: bytes) -> bool:
        """Whether a member begins so; no more of it is read than tells, and nothing is checked. Raises WheelError."""
        content = self.members[path].content
        if isinstance(content, Checked):
            part = content.slice
            return bytes(self.sources.slice(part.file, part.offset, min(part.size, len(start)))) == start
        stream = self.sources.slice(content.file, content.offset, min(content.length, _HEAD))
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, len(start)) == start
        except zlib.error as error:
            raise WheelError(self.filename, f"{path} is damaged ({error})") from error


def data_place(path: str, filename: str = "") -> tuple[str, str] | None:
    """The scheme of a member and its path there, None for one that is no data: it goes where the wheel's root goes.

    Any folder that ends in .data has data, however it is spelt. Raises WheelError for a scheme that does not exist.
    """
    top, _, rest = path.partition("/")
    if not top.endswith(".data"):
        return None
    scheme, _, below = rest.partition("/")
    if scheme not in SCHEMES or not below:
        raise WheelError(filename, f"{path} is not contained in a valid .data subdirectory ({', '.join(SCHEMES)})")
    return scheme, below


def open_wheel(
    path: Path, filename: str, *, sources: MappedFiles | None = None, unverified: bool = False
) -> WheelArchive:
    """Read the directory and RECORD of the wheel at ``path``, whose real name is ``filename``.

    It stays mapped in ``sources``, or else while the archive is there. One that is ``unverified`` is not held to its
    RECORD, and no member has a digest.

    Raises WheelError when it is no wheel, is damaged, or holds what RECORD does not list; UnsafePath for a name that
    would leave its folder.
    """
    sources = sources or MappedFiles()
    files = read_zip(path, filename, sources)
    dist_info, distribution, version = _dist_info(filename, files)
    record = next((each for each in files if each.name == f"{dist_info}/RECORD"), None)
    if record is None:
        hint = "without RECORD nothing in it can be checked"
        raise WheelError(filename, f"holds no {dist_info}/RECORD", hint=hint)
    if unverified:
        members = {each.name: _member(each, None, ("", ""), filename) for each in files}
    else:
        text = read_record(record, _content(record, None, filename), files, sources, filename)
        rows = Record(text, dist_info, filename)
        del text  # a hundred thousand files are held once, not three times
        files.reverse()
        members = {}
        while files:
            each = files.pop()
            members[each.name] = _member(each, *rows.promise(each), filename)
        rows.check_rest(members)
    return WheelArchive(
        filename=filename,
        distribution=distribution,
        version=version,
        dist_info=dist_info,
        members=members,
        sources=sources,
    )


def with_digests(archive: WheelArchive) -> WheelArchive:
    """An ``unverified`` wheel with the digests that its files turn out to have. Raises DigestMismatch for damage."""
    return replace(archive, members={path: _hashed(member, archive) for path, member in archive.members.items()})


def _hashed(member: WheelMember, archive: WheelArchive) -> WheelMember:
    seen = hashlib.sha256()
    for chunk in archive.sources.chunks(member.content, what=f"{archive.filename}: {member.path}"):
        seen.update(chunk)
    digest = base64.urlsafe_b64encode(seen.digest()).decode().rstrip("=")
    content = msgspec.structs.replace(member.content, expected=("sha256", seen.digest()))
    return msgspec.structs.replace(member, digest=f"sha256={digest}", sized=True, content=content)


def _dist_info(filename: str, files: Sequence[Zipped]) -> tuple[str, str, str]:
    """The folder, whose distribution it is, as that spells itself, and the version of the file name."""
    # The folder's spelling is free (Foo_Bar, foo.bar), as is what it says of the version; the normalised name is not.
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise WheelError(filename, "not a wheel's file name") from error
    folders = {each.name.partition("/")[0] for each in files if "/" in each.name}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise WheelError(filename, f"expected one .dist-info folder, found {', '.join(found) or 'none'}")
    stem = found[0].removesuffix(".dist-info")
    spelt = stem.rpartition("-")[0]
    if canonicalize_name(spelt) == name:
        return found[0], spelt, str(version)
    if re.match(rf"{re.escape(name)}(-\d|\Z)", canonicalize_name(stem)) is None:
        raise WheelError(filename, f"{found[0]} belongs to another distribution")
    return found[0], filename.partition("-")[0], str(version)


def _member(zipped: Zipped, promise: Promise | None, row: tuple[str, str], filename: str) -> WheelMember:
    executable = bool(stat.S_ISREG(zipped.mode) and zipped.mode & 0o111)
    digest, size = row
    return WheelMember(zipped.name, zipped.size, executable, digest, bool(size), _content(zipped, promise, filename))


def _content(zipped: Zipped, expected: Promise | None, filename: str) -> DeflateSlice | Checked:
    part = zipped.part
    if zipped.packing == zipfile.ZIP_DEFLATED:
        return DeflateSlice(part.file, part.offset, part.size, zipped.size, zipped.crc, expected)
    if part.size != zipped.size:
        raise WheelError(filename, f"{zipped.filename} is stored as it is, in {part.size} bytes for {zipped.size}")
    return Checked(part, expected, zipped.crc)
