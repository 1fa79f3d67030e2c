"""One walk over a layer made elsewhere: its entries, judged and told as docker would lay them out."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from typing import Any, Self

import msgspec

from oci_builder.digest import Digest, HashingWriter
from oci_builder.imported.applying import Applied
from oci_builder.imported.names import AUFS, layer_path, shown
from oci_builder.layer import Entries, IndexEntry
from oci_builder.store import Store
from oci_builder.tree.entry import OPAQUE, WHITEOUT
from oci_builder.tree.limits import Unfit
from oci_builder.tree.tarstream import TarMember, TarStream

ORIGIN = "the base image"
"""Whose all files of such a layer are."""

_LATEST = 8**11 - 1
"""The latest time that fits a header's octal field, in the year 2242."""

_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
_EMPTY = hashlib.sha256().hexdigest()


class Filling:
    """The files of a layer that have holes there, one after another without: a blob of the store, if there are any."""

    def __init__(self, store: Store) -> None:
        self._store, self._stack = store, contextlib.ExitStack()
        self._sink: HashingWriter | None = None
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, data: bytes) -> None:
        """Take more bytes of the latest file."""
        if self._sink is None:
            self._sink = self._stack.enter_context(self._store.writer())
        self._sink.write(data)
        self.size += len(data)

    def digest(self) -> Digest | None:
        """What the blob is called; None where nothing was written."""
        return self._sink.digest() if self._sink is not None else None

    def kept(self) -> tuple[str, int] | None:
        """Its digest in hex and its size (bytes), to be remembered."""
        digest = self.digest()
        return (digest.hex, self.size) if digest is not None else None


class LayerWalk:
    """One walk over a layer: its entries, each checked by what docker takes."""

    def __init__(self, stream: TarStream, label: str, filled: Filling) -> None:
        self._stream, self._label, self._filled = stream, label, filled
        self._applied = Applied()
        # What later members changed: entries whose place was taken, and what hard links made of those they repeat.
        self._gone: set[int] = set()
        self._repeats: dict[int, int] = {}
        self._faces: dict[int, TarMember] = {}
        self._entries = Entries()

    def read(self) -> Entries:
        """Read every entry. Raises Damaged, and Unfit for more than limits allow."""
        listed = 0
        for member in self._stream.members():
            listed = self._check_globals(listed)
            try:
                self._add(member)
            except Unfit as error:
                raise Unfit(f"{self._label}: {shown(member.name) or '/'} {error}") from error
        self._check_globals(listed)
        try:
            self._applied.finish()
        except Unfit as error:
            raise Unfit(f"{self._label}: the layer {error}") from error
        return self._settled() if self._gone or self._faces else self._entries

    def _check_globals(self, listed: int) -> int:
        names = self._stream.global_headers
        for name in names[listed:]:
            try:
                self._applied.add_global_header(name)
            except Unfit as error:
                raise Unfit(f"{self._label}: the global header {shown(name)} {error}") from error
        return len(names)

    def _add(self, member: TarMember) -> None:
        path = layer_path(member.name)
        # Whatever the place is, it is judged before the content is read.
        repeated = self._repeated(member) if member.type == tarfile.LNKTYPE else None
        self._gone.update(self._applied.add(member, len(self._entries)))
        entry = self._entry(member, path, repeated)
        if entry is not None:
            self._entries.add(entry)

    def _entry(self, member: TarMember, path: str, repeated: int | None) -> IndexEntry | None:
        """The entry of a member; None for the root folder, whose metadata nobody uses."""
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            # The root cannot be made opaque: no engine empties it.
            return _made(member, path=folder, kind="opaque") if folder else None
        if path.startswith(AUFS):
            # No container sees it; what is linked to may lie there.
            made = self._file(member, path) if member.is_file else _made(member, path=path, kind="whiteout")
            return msgspec.structs.replace(made, kind="whiteout")
        if name.startswith(WHITEOUT):
            return _made(member, path=layer_path(_joined(folder, name.removeprefix(WHITEOUT))), kind="whiteout")
        if not path:
            return None
        if member.is_file:
            return self._file(member, path)
        if repeated is not None:
            return self._hardlink(member, path, repeated)
        # A device or a FIFO: whatever lay there below is gone, and no wheel or user has business with it.
        return _made(member, path=path, kind=_KINDS.get(member.type) or "whiteout")

    def _file(self, member: TarMember, path: str) -> IndexEntry:
        offset = member.offset if member.pieces is None else -1 - self._filled.size
        seen = hashlib.sha256()
        for data in self._stream.content():
            seen.update(data)
            if member.pieces is not None:
                self._filled.write(data)
        digest = seen.hexdigest() if member.size else _EMPTY
        return _made(member, path=path, kind="file", size=member.size, sha256=digest, offset=offset)

    def _repeated(self, member: TarMember) -> int | None:
        """The number of the entry that a hard link repeats; None for one that is no entry."""
        if layer_path(member.name).rpartition("/")[2].startswith(WHITEOUT):
            return None
        return self._applied.number_at(member.target)

    def _hardlink(self, member: TarMember, path: str, repeated: int) -> IndexEntry:
        target = self._entries[repeated]
        first = self._repeats.get(repeated, repeated)
        self._repeats[len(self._entries)] = first
        if not target.sha256:
            # A second name of a link, or of a device.
            return msgspec.structs.replace(target, path=path)
        if self._face(member) != (target.mode, target.uid, target.gid, target.mtime) or first in self._faces:
            self._faces[first] = member
        same = {"size": target.size, "sha256": target.sha256, "offset": target.offset}
        return msgspec.structs.replace(_made(member, path=path, kind="hardlink"), **same)

    def _face(self, member: TarMember) -> tuple[int, int, int, int]:
        made = _made(member, path="", kind="hardlink")
        return made.mode, made.uid, made.gid, made.mtime

    def _settled(self) -> Entries:
        """The entries as they are in the end: all names of a file have the face that the last one gave it."""
        found = Entries()
        for number, entry in enumerate(self._entries):
            if number in self._gone:
                continue
            face = self._faces.get(self._repeats.get(number, number))
            if face is not None:
                mode, uid, gid, mtime = self._face(face)
                entry = msgspec.structs.replace(entry, mode=mode, uid=uid, gid=gid, mtime=mtime)
            found.add(entry)
        return found


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _made(member: TarMember, *, path: str, kind: str, size: int = 0, sha256: str = "", offset: int = 0) -> IndexEntry:
    return IndexEntry(
        path=path,
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        # docker takes what is out of its range for 1970, too.
        mtime=member.mtime if 0 <= member.mtime <= _LATEST else 0,
        size=size,
        # A header may name a target whatever it is of.
        target=member.target if kind in ("symlink", "hardlink") else "",
        sha256=sha256,
        origin=ORIGIN,
        offset=offset,
    )
