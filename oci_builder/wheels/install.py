"""One wheel as the entries that pip installing it makes, for the target, with nothing run and nothing unpacked.

The order of writing is pip's: files of the root, then of .data, then its scripts, then those of entry points, then what
an installer notes. Of two that are written to one path the later is there afterwards. Contents are not read on the
way, only named; whoever reads them checks them.
"""

from __future__ import annotations

import base64
import hashlib
import io
import posixpath
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import msgspec
from installer.records import Hash, RecordEntry
from installer.utils import Scheme, construct_record_file, fix_shebang

from oci_builder.distinfo import Script, check_wheel_version, entry_points, headers, root_is_purelib, scripts
from oci_builder.errors import WheelError
from oci_builder.tree.entry import Content, Entry, EntryPath, Inline, Kind, entry_path
from oci_builder.wheels.archive import WheelArchive, WheelMember, data_place
from oci_builder.wheels.record import is_bytecode
from oci_builder.wheels.target import Target
from oci_builder.wheels.zipped import check_length

RULES = 2
"""Raised when a wheel is installed otherwise than before: what was remembered of it by older rules is not believed."""

_MAX_SCRIPTS = 32 << 20
"""Bytes of a wheel's scripts that are written anew for the target's interpreter, and held until then."""

_MAX_ENTRY_POINTS = 1 << 20

_SHEBANG = b"#!python"

_LONGEST_SHEBANG = 127
"""Bytes of a first line that every kernel reads whole."""

_LINES = 1000
"""Lines of RECORD that are written at once."""

_DATA, _SCRIPTS, _WRAPPERS, _NOTES = range(4)
"""pip's turns, after that of the root's files."""

# The very text pip writes, so that an image is what ``pip install`` would have made.
_SCRIPT = """\
import sys
from {module} import {import_name}
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit({function}())
"""


class RecordRow(msgspec.Struct, frozen=True, gc=False):
    """A line of RECORD to be: ``path`` is below ``scheme``. A large wheel has a hundred thousand of them."""

    scheme: Scheme
    path: str
    digest: str = ""
    size: int | None = None

    @property
    def written(self) -> tuple[Scheme, RecordEntry]:
        """The line as the library that writes RECORD takes it, in five times the memory."""
        digest = Hash(*self.digest.split("=", 1)) if self.digest else None
        return self.scheme, RecordEntry(self.path, digest, self.size)


_Made = tuple[RecordRow, Entry]
"""A file's line in RECORD and its entry."""

_by_path = attrgetter("path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What installing one wheel puts into the image, but for RECORD, whose lines are still open for .pyc files."""

    origin: str
    entries: tuple[Entry, ...]
    record_path: EntryPath
    rows: tuple[RecordRow, ...]
    root: Scheme
    schemes: Mapping[str, str]

    def record(self, compiled: Iterable[EntryPath]) -> Entry:
        """The RECORD, with a line for every .pyc that was ``compiled``; those have no digest, as with pip."""
        base = self.schemes[self.root]
        extra = [RecordRow(self.root, posixpath.relpath(f"/{path}", base)) for path in compiled]
        rows = sorted([*self.rows, *extra], key=_by_path)
        parts = (self._lines(rows[start : start + _LINES]) for start in range(0, len(rows), _LINES))
        return _file(self.record_path, Inline(b"".join(parts)), origin=self.origin)

    def _lines(self, rows: Sequence[RecordRow]) -> bytes:
        with construct_record_file((row.written for row in rows), self._prefix) as stream:
            return stream.read()

    def _prefix(self, scheme: Scheme) -> str | None:
        here, there = self.schemes[self.root], self.schemes[scheme]
        return None if here == there else posixpath.relpath(there, here) + "/"


def install(archive: WheelArchive, target: Target, *, requested: bool, direct_url: str | None = None) -> Installed:
    """What ``pip install`` of this wheel would put into a base that keeps ``target``'s promise.

    Raises WheelError when its metadata does not hold, UnsafePath for a path that leaves its scheme.
    """
    if f"{archive.dist_info}/METADATA" not in archive.members:
        raise WheelError(archive.filename, f"holds no {archive.dist_info}/METADATA")
    try:
        fields = headers(archive.text("WHEEL"))
        check_wheel_version(fields)
        points, scripts = _entry_points(archive, target)
    except ValueError as error:
        raise WheelError(archive.filename, str(error)) from error
    making = _Making(archive, target, Scheme("purelib" if root_is_purelib(fields) else "platlib"))
    for script in scripts:
        making.add_script(script)
    making.add_members(points)
    making.add_notes(requested=requested, direct_url=direct_url)
    return making.finished()


def _entry_points(archive: WheelArchive, target: Target) -> tuple[frozenset[str], list[Script]]:
    """The names of entry points, and the scripts for them."""
    if f"{archive.dist_info}/entry_points.txt" not in archive.members:
        return frozenset(), []
    # Each entry point becomes a script.
    points = entry_points(archive.text("entry_points.txt", most=_MAX_ENTRY_POINTS))
    return frozenset(name for group in points.values() for name in group), list(scripts(points, target.minor))


class _Making:
    """Collects entries. Of those that are made in one of pip's ``turns`` the last counts, and a later turn's before."""

    def __init__(self, archive: WheelArchive, target: Target, root: Scheme) -> None:
        self._archive, self._root = archive, root
        self._interpreter = target.promise.interpreter
        self._schemes = target.schemes(archive.distribution)
        self._origin = archive.origin
        self._made: list[_Made] = []
        self._special: dict[EntryPath, tuple[int, _Made]] = {}
        self._scripts = 0

    def add_script(self, script: Script) -> None:
        """Write the script of an entry point."""
        text = _shebang(self._interpreter) + _SCRIPT.format(
            module=script.module, import_name=script.attribute.partition(".")[0], function=script.attribute
        )
        self._generated(Scheme("scripts"), script.name, text.encode(), mode=0o755, turn=_WRAPPERS)

    def add_members(self, points: Collection[str]) -> None:
        """Put the wheel's files where they go, but for bytecode, RECORD and scripts that entry ``points`` stand for."""
        record = f"{self._archive.dist_info}/RECORD"
        folder = self._schemes[self._root].lstrip("/")
        for member in self._archive.members.values():
            # Bytecode that came from elsewhere could hide anything behind an innocent source.
            if member.path == record or is_bytecode(member.path):
                continue
            place = data_place(member.path, self._archive.filename)
            if place is None:
                self._made.append(self._plain(member, folder))
            elif place[0] != "scripts":
                mode = 0o755 if member.executable else 0o644
                self._add_member(Scheme(place[0]), place[1], member, mode=mode, turn=_DATA)
            elif _wrapped(place[1]) not in points:
                self._script(place[1], member)

    def add_notes(self, *, requested: bool, direct_url: str | None) -> None:
        """Write what an installer leaves in .dist-info."""
        notes = {"INSTALLER": b"ocibuild\n"}
        if requested:
            notes["REQUESTED"] = b""
        if direct_url is not None:
            notes["direct_url.json"] = direct_url.encode()
        for name, data in notes.items():
            self._generated(self._root, f"{self._archive.dist_info}/{name}", data, mode=0o644, turn=_NOTES)

    def finished(self) -> Installed:
        """All of it, one entry a path."""
        name = f"{self._archive.dist_info}/RECORD"
        record = self._path(self._root, name)
        special = self._special
        # Plain members have paths of their own: only where something else took one does any have to go.
        made = [
            each
            for each in self._made
            if each[1].path != record and ((last := special.get(each[1].path)) is None or last[1] is each)
        ]
        return Installed(
            origin=self._origin,
            entries=tuple(entry for _, entry in made),
            record_path=record,
            rows=(*(row for row, _ in made), RecordRow(self._root, name)),
            root=self._root,
            schemes=self._schemes,
        )

    def _plain(self, member: WheelMember, folder: str) -> _Made:
        # The archive has checked the path already; below a folder it stays good.
        path = EntryPath(f"{folder}/{member.path}")
        check_length(path, self._archive.filename)
        mode = 0o755 if member.executable else 0o644
        entry = _file(path, member.content, size=member.size, mode=mode, origin=self._origin)
        return _row(self._root, member.path, member), entry

    def _script(self, name: str, member: WheelMember) -> None:
        # pip leaves a script as executable as the zip says; the specification lets it run, whoever zipped it where.
        if not self._archive.begins(member.path, _SHEBANG):
            self._add_member(Scheme("scripts"), name, member, mode=0o755, turn=_SCRIPTS)
            return
        self._scripts += member.size
        if self._scripts > _MAX_SCRIPTS:
            raise WheelError(self._archive.filename, f"its scripts for Python have more than {_MAX_SCRIPTS} bytes")
        data = self._archive.read(member.path, most=_MAX_SCRIPTS)
        with fix_shebang(io.BytesIO(data), self._interpreter) as fixed:
            self._generated(Scheme("scripts"), name, fixed.read(), mode=0o755, turn=_SCRIPTS)

    def _add_member(self, scheme: Scheme, name: str, member: WheelMember, *, mode: int, turn: int) -> None:
        self._add(_row(scheme, name, member), member.content, size=member.size, mode=mode, turn=turn)

    def _generated(self, scheme: Scheme, name: str, data: bytes, *, mode: int, turn: int) -> None:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        row = RecordRow(scheme, name, f"sha256={digest}", len(data))
        self._add(row, Inline(data), size=len(data), mode=mode, turn=turn)

    def _add(self, row: RecordRow, content: Content, *, size: int, mode: int, turn: int) -> None:
        path = self._path(row.scheme, row.path)
        made = row, _file(path, content, size=size, mode=mode, origin=self._origin)
        self._made.append(made)
        if path not in self._special or self._special[path][0] <= turn:
            self._special[path] = turn, made

    def _path(self, scheme: Scheme, name: str) -> EntryPath:
        # Checked before joining: "../x" below a scheme must fail, not vanish in a join.
        filename = self._archive.filename
        entry_path(name, origin=filename)
        path = entry_path(f"{self._schemes[scheme]}/{name}".lstrip("/"), origin=filename)
        check_length(path, filename)
        return path


def _wrapped(path: str) -> str:
    """The entry point that a script of .data would stand for: setuptools once packed such scripts beside it."""
    name = path.rpartition("/")[2]
    for ending in (".exe", "-script.py", ".pya"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _shebang(interpreter: str) -> str:
    """The first line of a script, or three where the kernel would not take that one; as distlib does it."""
    if " " not in interpreter and len(interpreter) + 3 <= _LONGEST_SHEBANG:
        return f"#!{interpreter}\n"
    quoted = f'"{interpreter}"' if " " in interpreter else interpreter
    return f"#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\n"


def _row(scheme: Scheme, path: str, member: WheelMember) -> RecordRow:
    # The archive has checked digest and size.
    return RecordRow(scheme, path, member.digest, member.size if member.sized else None)


def _file(path: EntryPath, content: Content, *, origin: str, size: int = -1, mode: int = 0o644) -> Entry:
    if isinstance(content, Inline):
        size, digest = len(content.data), hashlib.sha256(content.data).hexdigest()
    else:
        digest = ""  # its content has it, in a third of the memory
    return Entry(path=path, kind=Kind.FILE, mode=mode, size=size, content=content, origin=origin, sha256=digest)
