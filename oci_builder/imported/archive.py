"""The file an image comes in: a tar of named blobs, plain or compressed, read by name."""

from __future__ import annotations

import contextlib
import os
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from oci_builder.digest import CHUNK
from oci_builder.files import explained, nameless, open_regular
from oci_builder.imported.documents import DocumentBudget, Findings
from oci_builder.imported.unpacked import GZIP_MAGIC, Inflated, Section
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Limits
from oci_builder.tree.tarstream import TarMember, TarStream

_MAX_LINKS = 8
_LIMITS = Limits(entries=20_000, names=8 << 20)
"""Of one archive; an image has a few hundred blobs at most."""


class Archive:
    """The files of an archive by name; one is read at a time."""

    def __init__(self, file: BinaryIO, members: dict[str, TarMember]) -> None:
        self._file, self._members = file, members
        self._documents = DocumentBudget()

    @property
    def names(self) -> Sequence[str]:
        """The names of all files and links, in the archive's order."""
        return [name for name, member in self._members.items() if member.type != tarfile.DIRTYPE]

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, or None if it is not there."""
        member = self._resolve(name)
        return member.size if member else None

    def open(self, name: str) -> Section | None:
        """The content of a file, to be read before the next is opened; None if it is not there."""
        member = self._resolve(name)
        if member is None:
            return None
        self._file.seek(member.offset)
        return Section(self._file, member.size)

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
        # docker before 25 writes a layer it has written already as a symbolic link.
        for _ in range(_MAX_LINKS):
            member = self._members.get(name)
            if member is None or member.type != tarfile.SYMTYPE:
                return member if member and member.is_file else None
            name = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.target))
        return None


@contextlib.contextmanager
def open_archive(path: Path, findings: Findings) -> Iterator[Archive]:
    """Index the tar at ``path``; where it is damaged, say so and go on with what was found. Raises FileProblem."""
    with explained(path), open_regular(path) as raw, nameless() as scratch:
        file: BinaryIO = raw
        budget = Budget(_LIMITS)
        if raw.read(2) == GZIP_MAGIC:
            raw.seek(0)
            packed = Inflated(raw, what=path.name)
            size = os.fstat(raw.fileno()).st_size
            _inflate(budget.unpacking(packed, key=path, packed=size, what=path.name), scratch, findings)
            file = scratch
        file.seek(0)
        yield Archive(file, _index(file, path.name, findings, budget))


def _inflate(source: ByteReader, plain: BinaryIO, findings: Findings) -> None:
    try:
        while data := source.read(CHUNK):
            plain.write(data)
    except Damaged as error:
        findings.add(str(error))


def _index(file: BinaryIO, name: str, findings: Findings, budget: Budget) -> dict[str, TarMember]:
    members: dict[str, TarMember] = {}
    stream = TarStream(file, what=name, budget=budget)
    try:
        for member in stream.members():
            key = posixpath.normpath(member.name)
            if key in members and not (member.type == members[key].type == tarfile.DIRTYPE):
                findings.add(f"{name}: {key} is in the archive twice")
            if not (member.is_file or member.type in (tarfile.DIRTYPE, tarfile.SYMTYPE)):
                findings.add(f"{name}: {key} is neither file, folder nor symbolic link")
            if key.startswith(("/", "../")):
                findings.add(f"{name}: {member.name} lies outside the archive")
            members[key] = replace(member, name=key, pax={})
    except Damaged as error:
        findings.add(str(error))
    if stream.unclosed:
        findings.add(stream.unclosed)
    return members
