"""The file an image comes in: a tar of named blobs, plain or compressed, read by name."""

from __future__ import annotations

import contextlib
import os
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from oci_builder.digest import CHUNK
from oci_builder.files import explained, nameless, open_regular
from oci_builder.imported.documents import DocumentBudget, Findings
from oci_builder.imported.names import shown
from oci_builder.imported.unpacked import HEAD, Filled, Packing, Section, packing_of, unpacked
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Limits
from oci_builder.tree.tarstream import TarMember, TarStream

_MAX_LINKS = 40
_DEVICES = (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
_LIMITS = Limits(entries=20_000, names=8 << 20)
"""Of one archive; an image has a few hundred blobs at most."""


class Archive:
    """The files of an archive by name, to be read in threads too. ``remarks`` is what engines pass over in it."""

    def __init__(self, file: BinaryIO, indexed: _Indexed, findings: Findings) -> None:
        self._file, self._members, self._twice = file, indexed.members, indexed.twice
        self._findings = findings
        self._documents = DocumentBudget()
        self.remarks: Sequence[str] = indexed.remarks

    @property
    def names(self) -> Sequence[str]:
        """The names of all files and links, in the archive's order."""
        return [name for name, member in self._members.items() if member.type != tarfile.DIRTYPE]

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, or None if it is not there."""
        member = self._resolve(name)
        return member.size if member else None

    def open(self, name: str) -> ByteReader | None:
        """The content of a file, to be read while the archive is open; None if it is not there."""
        member = self._resolve(name)
        if member is None:
            return None
        if member.pieces is None:
            return Section(self._file, member.offset, member.size)
        return Filled(Section(self._file, member.offset, sum(length for _, length in member.pieces)), member)

    def document(self, name: str, findings: Findings) -> bytes | None:
        """The whole of a small file; None after saying that it is not there, or too large to be a document."""
        size = self.size(name)
        if size is None:
            findings.add(f"{name} is not in the archive")
            return None
        if not self._documents.fits(name, size, findings):
            return None
        section = self.open(name)
        return section.read(size) if section else None

    def _resolve(self, name: str) -> TarMember | None:
        """The file that a name leads to, links followed as if the archive were the whole file system."""
        if posixpath.normpath(name).startswith("../"):
            return None
        # docker before 25 writes a layer it has written already as a symbolic link.
        todo, here, links = list(reversed(name.split("/"))), "", 0
        while todo:
            part = todo.pop()
            if part in ("", ".", ".."):
                here = here.rpartition("/")[0] if part == ".." else here
                continue
            here = f"{here}/{part}" if here else part
            member = self._members.get(here)
            if member is not None and member.type == tarfile.SYMTYPE:
                links += 1
                if links > _MAX_LINKS:
                    return None
                todo.extend(reversed(member.target.split("/")))
                here = "" if member.target.startswith("/") else here.rpartition("/")[0]
        member = self._members.get(here)
        if here in self._twice:
            # Some engines take the first, some the last.
            self._findings.add(f"{self._twice[here]} is in the archive twice")
        return member if member and member.is_file else None


@contextlib.contextmanager
def open_archive(path: Path, findings: Findings) -> Iterator[Archive]:
    """Index the tar at ``path``; where it is damaged, say so and go on with what was found. Raises FileProblem."""
    with explained(path), open_regular(path) as raw, nameless() as scratch:
        file: BinaryIO = raw
        budget = Budget(_LIMITS)
        packing = packing_of(raw.read(HEAD))
        if packing is not Packing.NONE:
            raw.seek(0)
            packed = unpacked(raw, packing, what=path.name)
            size = os.fstat(raw.fileno()).st_size
            _inflate(budget.unpacking(packed, key=path, packed=size, what=path.name), scratch, findings)
            scratch.flush()
            file = scratch
        yield Archive(file, _index(file, path.name, findings, budget), findings)


def _inflate(source: ByteReader, plain: BinaryIO, findings: Findings) -> None:
    try:
        while data := source.read(CHUNK):
            plain.write(data)
    except Damaged as error:
        findings.add(str(error))


@dataclass
class _Indexed:
    """The members by the paths they are unpacked to; of those that come ``twice``, what to call them."""

    members: dict[str, TarMember]
    twice: dict[str, str]
    remarks: list[str]


def _index(file: BinaryIO, name: str, findings: Findings, budget: Budget) -> _Indexed:
    found = _Indexed({}, {}, [])
    remarks = Findings()
    # Contents are passed over here; each is read, and proved, where it is wanted.
    stream = TarStream(Section(file, 0, os.fstat(file.fileno()).st_size), what=name, budget=budget)
    try:
        for member in stream.members():
            _add(found, member, name, findings, remarks)
    except Damaged as error:
        findings.add(str(error))
    for line in (*stream.oddities, *([stream.unclosed] if stream.unclosed else [])):
        remarks.add(line)
    found.remarks = list(remarks.lines)
    return found


def _add(found: _Indexed, member: TarMember, name: str, findings: Findings, remarks: Findings) -> None:
    key = posixpath.normpath("/" + member.name.lstrip("/"))[1:]
    if ".." in member.name.split("/"):
        remarks.add(f"{name}: {shown(member.name)} leads out of the archive")
    if member.type == tarfile.LNKTYPE:
        target = found.members.get(posixpath.normpath("/" + member.target.lstrip("/"))[1:])
        if target is None or not target.is_file:
            findings.add(f"{name}: {shown(key)} is a hard link to {shown(member.target)}, no file that comes before it")
            return
        member = target
    elif member.type in _DEVICES:
        remarks.add(f"{name}: {shown(key)} is neither file, folder nor link")
    elif not (member.is_file or member.type in (tarfile.DIRTYPE, tarfile.SYMTYPE)):
        findings.add(f"{name}: {shown(key)} is neither file, folder nor link, and Docker 20.10 unpacks no such thing")
    if key in found.members and not (member.type == found.members[key].type == tarfile.DIRTYPE):
        found.twice[key] = f"{name}: {shown(key)}"
        remarks.add(f"{name}: {shown(key)} is in the archive twice")
    found.members[key] = replace(member, name=key, pax={})
