"""What engines demand of the paths in a layer, beyond a tar that reads (OCI image-spec, layer.md)."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Set

from oci_builder.imported.applying import Applied
from oci_builder.imported.names import AUFS, layer_path, shown
from oci_builder.tree.entry import OPAQUE, WHITEOUT
from oci_builder.tree.limits import Unfit
from oci_builder.tree.tarstream import TarMember

_DEVICES = {
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a FIFO",
}

_ENOUGH = 20
"""Lines about one layer that are written out; a million would say no more."""


class Lines:
    """What is said of one layer: as much as anybody reads, and how much more there would be."""

    def __init__(self, layer: str) -> None:
        self._layer = layer
        self._said: list[str] = []
        self._unsaid = 0

    def add(self, path: str, why: str) -> None:
        """Note one more finding or remark."""
        if len(self._said) < _ENOUGH:
            self._said.append(f"{self._layer}: {shown(path, 400) or '/'} {shown(why, 800)}")
        else:
            self._unsaid += 1

    @property
    def lines(self) -> list[str]:
        """All lines, as far as they are shown."""
        rest = [f"{self._layer}: and {self._unsaid} more of the kind"] if self._unsaid else []
        return self._said + rest


class LayerRules:
    """Members of one layer, in order; ``entries`` says how many there were.

    ``findings`` is what engines refuse, or read differently. ``remarks`` is what they all take, and what is still
    seldom meant: they do not come from ocibuild, but from a ``docker import``, or a folder that took a link's place.
    ``links`` holds the symbolic links of the layers below; ``linked`` says which paths are one afterwards, or are
    one no more.
    """

    def __init__(self, layer: str, *, links: Set[str]) -> None:
        self.layer, self._links = layer, links
        self._applied, self._entries = Applied(), 0
        self.linked: dict[str, bool] = {}
        self._seen: dict[str, tuple[bytes, int, int, int, int]] = {}
        # Few combinations of owner, mode and time make up most layers.
        self._faces: dict[tuple[bytes, int, int, int, int], tuple[bytes, int, int, int, int]] = {}
        self._folders_with_entries: set[str] = set()
        self._findings, self._remarks = Lines(layer), Lines(layer)

    @property
    def findings(self) -> list[str]:
        """What is wrong, so far."""
        return self._findings.lines

    @property
    def remarks(self) -> list[str]:
        """What is odd, so far."""
        return self._remarks.lines

    @property
    def entries(self) -> int:
        """How many distinct paths there were."""
        return len(self._seen)

    def add(self, member: TarMember) -> None:
        """Judge the next member."""
        try:
            path = layer_path(member.name)
        except Unfit as error:
            self._find(member.name, str(error))
            return
        self._check_refused(path, member)
        self._check_face(path, member)
        self._check_parents(path)
        self._check_link_below(path, member)
        if path.startswith(AUFS) and path != OPAQUE:
            self._remark(path, "is a mark of aufs, which engines pass over")
        elif posixpath.basename(path).startswith(WHITEOUT):
            self._check_whiteout(path, member)
        elif path:
            self._folders_with_entries.add(posixpath.dirname(path))
            self._check_not_deleted(path)
        if member.type == tarfile.LNKTYPE:
            self._check_hardlink(path, member)
        face = (member.type, member.mode, member.uid, member.gid, member.mtime)
        self._seen[path] = self._faces.setdefault(face, face)

    def add_global_header(self, name: str) -> None:
        """Judge a global PAX header."""
        self._remark(name, "is a global PAX header, which engines apply differently")
        try:
            self._applied.add_global_header(name)
        except Unfit as error:
            self._find(name, str(error))

    def finish(self) -> None:
        """Judge the whole, after its last member."""
        try:
            self._applied.finish()
        except Unfit as error:
            self._findings.add("the layer", str(error))

    def _check_refused(self, path: str, member: TarMember) -> None:
        """What docker refuses, by the rules that a build goes by."""
        try:
            hides = posixpath.basename(path).startswith(WHITEOUT)
            if member.type == tarfile.LNKTYPE and not hides:
                self._applied.number_at(member.target)
            self._applied.add(member, self._entries)
            self._entries += 1
        except Unfit as error:
            self._find(path, str(error))

    def _find(self, path: str, why: str) -> None:
        self._findings.add(path, why)

    def _remark(self, path: str, why: str) -> None:
        self._remarks.add(path, why)

    def _check_face(self, path: str, member: TarMember) -> None:
        if member.name.startswith("/"):
            self._remark(member.name, "is absolute")
        if ".." in member.name.split("/"):
            self._remark(member.name, f"leads through .., and means {shown(path) or '/'}")
        if path in self._seen:
            self._remark(path, "is listed twice, under two names")
        if member.type in _DEVICES:
            self._remark(path, f"is {_DEVICES[member.type]}")
        if member.pieces is not None:
            self._remark(path, "is a file with holes")
        if member.mtime < 0:
            self._remark(path, "has a time before 1970")

    def _check_parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if not parent:
            return
        present = self._seen.get(parent)
        if present is None:
            self._remark(path, f"comes before its folder {parent}, or without it")
        elif present[0] == tarfile.SYMTYPE:
            self._remark(path, f"lies below {parent}, a symbolic link of its own layer")

    def _check_link_below(self, path: str, member: TarMember) -> None:
        if member.type == tarfile.DIRTYPE and self.linked.get(path, path in self._links):
            self._remark(path, "is a folder in place of a symbolic link of a lower layer")
        self._relink(path, is_link=member.type == tarfile.SYMTYPE)

    def _relink(self, path: str, *, is_link: bool) -> None:
        if is_link or path in self._links:
            self.linked[path] = is_link
        else:
            self.linked.pop(path, None)

    def _check_whiteout(self, path: str, member: TarMember) -> None:
        folder, name = posixpath.split(path)
        hidden = name.removeprefix(WHITEOUT)
        if not member.is_file or member.size:
            self._remark(path, "is a whiteout, but no empty file")
        if name == OPAQUE:
            if folder in self._folders_with_entries:
                self._remark(path, "empties its folder after entries of it")
        elif hidden in ("", ".", "..") or hidden.startswith(WHITEOUT):
            self._remark(path, "is a whiteout of a strange name")
        else:
            self._relink(posixpath.join(folder, hidden), is_link=False)

    def _check_not_deleted(self, path: str) -> None:
        folder, name = posixpath.split(path)
        if posixpath.join(folder, WHITEOUT + name) in self._seen:
            self._remark(path, "is deleted by its own layer, before it comes")

    def _check_hardlink(self, path: str, member: TarMember) -> None:
        target = posixpath.normpath("/" + member.target.lstrip("/"))[1:]
        present = self._seen.get(target)
        if present is None or present[0] == tarfile.DIRTYPE:
            return
        if member.target.startswith("/") or ".." in member.target.split("/"):
            self._remark(path, f"is a hard link to {member.target}, which is no relative path")
        elif present[0] not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.LNKTYPE):
            self._remark(path, f"is a hard link to {target}, which is no file")
        elif present[1:] != (member.mode, member.uid, member.gid, member.mtime):
            self._remark(path, f"is a hard link to {target}, but with another mode, owner or time")
