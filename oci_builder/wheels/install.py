"""One wheel as the entries that installing it makes, for the target, with nothing run and nothing unpacked.

``installer`` holds the algorithm (PyPA specifications, "Installing a wheel"); its source here is a WheelArchive and its
destination a list of entries. Contents are not read on the way, only named; whoever reads them checks them.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import io
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.sources import WheelSource
from installer.utils import Scheme, construct_record_file, fix_shebang

from oci_builder.errors import WheelError
from oci_builder.tree.entry import Content, Entry, EntryPath, Inline, Kind, entry_path, promised_sha256
from oci_builder.wheels.archive import MAX_METADATA, WheelArchive, WheelMember, is_bytecode
from oci_builder.wheels.target import Target
from oci_builder.wheels.zipped import check_length

if TYPE_CHECKING:
    import os

    from installer.scripts import ScriptSection

_MAX_SCRIPTS = 32 << 20
"""Bytes of a wheel's scripts that are written anew for the target's interpreter, and held until then."""

_MAX_ENTRY_POINTS = 1 << 20

_SHEBANG = b"#!python"

_Made = tuple[Scheme, RecordEntry, Entry]
"""A file's scheme, its line in RECORD and its entry."""

# The very text pip writes, so that an image is what ``pip install`` would have made.
_SCRIPT = """\
#!{interpreter}
import sys
from {module} import {import_name}
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit({function}())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What installing one wheel puts into the image, but for RECORD, whose lines are still open for .pyc files."""

    origin: str
    entries: tuple[Entry, ...]
    record_path: EntryPath
    rows: tuple[tuple[Scheme, RecordEntry], ...]
    root: Scheme
    schemes: Mapping[str, str]

    def record(self, compiled: Iterable[EntryPath]) -> Entry:
        """The RECORD, with a line for every .pyc that was ``compiled``; those have no digest, as with pip."""
        base = self.schemes[self.root]
        extra = [(self.root, RecordEntry(posixpath.relpath(f"/{path}", base), None, None)) for path in compiled]
        with construct_record_file([*self.rows, *extra], self._prefix) as stream:
            return _file(self.record_path, Inline(stream.read()), origin=self.origin)

    def _prefix(self, scheme: Scheme) -> str | None:
        here, there = self.schemes[self.root], self.schemes[scheme]
        return None if here == there else posixpath.relpath(there, here) + "/"


def install(archive: WheelArchive, target: Target, *, requested: bool, direct_url: str | None = None) -> Installed:
    """What ``pip install`` of this wheel would put into a base that keeps ``target``'s promise.

    Raises WheelError when its metadata does not hold, UnsafePath for a path that leaves its scheme.
    """
    destination = _Entries(archive, target)
    metadata = {"INSTALLER": b"ocibuild\n"}
    if requested:
        metadata["REQUESTED"] = b""
    if direct_url is not None:
        metadata["direct_url.json"] = direct_url.encode()
    try:
        installer.install(_Source(archive, destination.add_plain), destination, metadata)
    except (InstallerError, configparser.Error, AssertionError, KeyError) as error:
        # installer asserts on entry points that do not parse.
        why = str(error) or "an entry point in entry_points.txt is not 'module:attribute'"
        raise WheelError(archive.filename, why) from error
    return destination.finished()


class _Slice(io.BytesIO):
    """A stream nobody reads: it carries a member through the install algorithm."""

    def __init__(self, member: WheelMember) -> None:
        super().__init__()
        self.member = member


class _Source(WheelSource):
    """A WheelArchive as installer's source.

    Members outside of .data, which are nearly all and go to the root scheme as they are, take a short way: ``plain``
    is called with them, in turn with what installer is given.
    """

    def __init__(self, archive: WheelArchive, plain: Callable[[WheelMember], None]) -> None:
        super().__init__(archive.distribution, archive.version)
        self._archive = archive
        self._plain = plain

    @property
    def dist_info_dir(self) -> str:
        return self._archive.dist_info

    @property
    def data_dir(self) -> str:
        return self._archive.data_folder

    @property
    def dist_info_filenames(self) -> list[str]:
        prefix = f"{self._archive.dist_info}/"
        return [path.removeprefix(prefix) for path in self._archive.members if path.startswith(prefix)]

    def read_dist_info(self, filename: str) -> str:
        path = f"{self._archive.dist_info}/{filename}"
        # Each entry point becomes a script.
        most = _MAX_ENTRY_POINTS if filename == "entry_points.txt" else MAX_METADATA
        try:
            return self._archive.read(path, most=most).decode()
        except UnicodeDecodeError as error:
            raise WheelError(self._archive.filename, f"{path} is not UTF-8") from error

    def validate_record(self) -> None:
        """Nothing: every member is checked against RECORD when it is read."""

    def get_contents(self) -> Iterator[tuple[tuple[str, str, str], BinaryIO, bool]]:
        record, data = f"{self._archive.dist_info}/RECORD", f"{self._archive.data_folder}/"
        for member in self._archive.members.values():
            # Bytecode that came from elsewhere could hide anything behind an innocent source.
            if is_bytecode(member.path) or member.path == record:
                continue
            if member.path.startswith(data):
                yield member.row, cast("BinaryIO", _Slice(member)), member.executable
            else:
                self._plain(member)


class _Entries(WheelDestination):
    """A destination that collects entries."""

    def __init__(self, archive: WheelArchive, target: Target) -> None:
        self._archive = archive
        self._interpreter = target.promise.interpreter
        self._schemes = target.schemes(archive.distribution)
        self._origin = archive.origin
        self._made: list[WheelMember | _Made] = []
        self._scripts = 0
        self._final: tuple[Scheme, str, RecordEntry] | None = None

    def add_plain(self, member: WheelMember) -> None:
        """Take a member that goes to the root scheme, whichever that turns out to be."""
        self._made.append(member)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        name = str(path)
        if not isinstance(stream, _Slice):
            return self._generated(scheme, name, stream.read(), mode=0o644)
        member = stream.member
        if scheme == "scripts":
            # pip makes every script executable, whatever the zip says.
            return self._script(name, member)
        return self._add_member(scheme, name, member, mode=0o755 if is_executable else 0o644)

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        text = _SCRIPT.format(
            interpreter=self._interpreter, module=module, import_name=attr.partition(".")[0], function=attr
        )
        return self._generated(Scheme("scripts"), name, text.encode(), mode=0o755)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        *_, (_, itself) = records
        self._final = (scheme, record_file_path, itself)

    def finished(self) -> Installed:
        assert self._final is not None, "installer finalizes every installation"
        root, record_path, itself = self._final
        folder = self._schemes[root].lstrip("/")
        made = [self._plain(each, root, folder) if isinstance(each, WheelMember) else each for each in self._made]
        return Installed(
            origin=self._origin,
            entries=tuple(entry for _, _, entry in made),
            record_path=self._path(root, record_path),
            rows=(*((scheme, row) for scheme, row, _ in made), (root, itself)),
            root=root,
            schemes=self._schemes,
        )

    def _plain(self, member: WheelMember, root: Scheme, folder: str) -> _Made:
        # The archive has checked the path already; below a folder it stays good.
        path = EntryPath(f"{folder}/{member.path}")
        check_length(path, self._archive.filename)
        mode = 0o755 if member.executable else 0o644
        entry = _file(path, member.content, size=member.size, mode=mode, origin=self._origin)
        return root, _row(member.path, member), entry

    def _script(self, name: str, member: WheelMember) -> RecordEntry:
        if not self._archive.begins(member.path, _SHEBANG):
            return self._add_member(Scheme("scripts"), name, member, mode=0o755)
        self._scripts += member.size
        if self._scripts > _MAX_SCRIPTS:
            raise WheelError(self._archive.filename, f"its scripts for Python have more than {_MAX_SCRIPTS} bytes")
        data = self._archive.read(member.path, most=_MAX_SCRIPTS)
        with fix_shebang(io.BytesIO(data), self._interpreter) as fixed:
            return self._generated(Scheme("scripts"), name, fixed.read(), mode=0o755)

    def _add_member(self, scheme: Scheme, name: str, member: WheelMember, *, mode: int) -> RecordEntry:
        return self._add(scheme, _row(name, member), member.content, size=member.size, mode=mode)

    def _generated(self, scheme: Scheme, name: str, data: bytes, *, mode: int) -> RecordEntry:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        row = RecordEntry(name, Hash("sha256", digest), len(data))
        return self._add(scheme, row, Inline(data), size=len(data), mode=mode)

    def _add(self, scheme: Scheme, row: RecordEntry, content: Content, *, size: int, mode: int) -> RecordEntry:
        path = self._path(scheme, row.path)
        self._made.append((scheme, row, _file(path, content, size=size, mode=mode, origin=self._origin)))
        return row

    def _path(self, scheme: Scheme, name: str) -> EntryPath:
        # Checked before joining: "../x" below a scheme must fail, not vanish in a join.
        filename = self._archive.filename
        entry_path(name, origin=filename)
        path = entry_path(f"{self._schemes[scheme]}/{name}".lstrip("/"), origin=filename)
        check_length(path, filename)
        return path


def _row(path: str, member: WheelMember) -> RecordEntry:
    # The archive has checked digest and size.
    _, digest, size = member.row
    return RecordEntry(path, Hash(*digest.split("=", 1)) if digest else None, int(size) if size else None)


def _file(path: EntryPath, content: Content, *, origin: str, size: int = -1, mode: int = 0o644) -> Entry:
    if isinstance(content, Inline):
        size = len(content.data)
        digest = hashlib.sha256(content.data).hexdigest()
    else:
        digest = promised_sha256(content)
    return Entry(path=path, kind=Kind.FILE, mode=mode, size=size, content=content, origin=origin, sha256=digest)
