"""Foreign tar archives, opened without trusting them; the only importer of tarsafe."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import tarsafe

from oci_builder.digest import CHUNK
from oci_builder.errors import UnsafeArchive
from oci_builder.tree.limits import ByteReader
from oci_builder.xz import Unxz

_DATA_FILTER = getattr(tarfile, "data_filter", None)
_HEADERS = 4 << 10
"""Bytes of tar around one member (header, padding, a long name) that are no content."""


class _Guarded(tarsafe.TarSafe):  # type: ignore[misc]  # tarsafe has no types
    # TarSafe is escaped by a chain of symlinks, the data filter by PATH_MAX (CVE-2025-4517); nothing known passes both.
    if _DATA_FILTER is not None:
        extraction_filter = staticmethod(_DATA_FILTER)


_XZ_MEMORY = 256 << 20
"""Bytes that unpacking may take: xz -9 takes 65 MB."""


def extract_archive(path: Path, into: Path, *, max_members: int, max_bytes: int) -> Path:
    """Unpack the tar at ``path``, packed or not, into ``into``, which is made; the folder that all of it lies in.

    That is the one folder at its top, or ``into`` where there are more. Before anything is written it is known to have
    at most so many members and bytes, all of them inside. Raises UnsafeArchive.
    """
    with _explained(path):
        _check_size(path, max_bytes + max_members * _HEADERS)
        with _Guarded.open(path, "r:*") as archive:
            _check_members(path, archive, max_members, max_bytes)
        into.mkdir()
        with _Guarded.open(path, "r:*") as archive:
            archive.extractall(into)
        top = list(into.iterdir())
    return top[0] if len(top) == 1 and top[0].is_dir() and not top[0].is_symlink() else into


def _check_size(path: Path, limit: int) -> None:
    # First of all, and not member by member: tarfile holds an extended header in memory, however long it says it is.
    seen = 0
    with _opened(path) as stream:
        while piece := stream.read(CHUNK):
            seen += len(piece)
            if seen > limit:
                raise UnsafeArchive(path.name, f"it unpacks to more than {limit} bytes")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[ByteReader]:
    """The plain tar, as a stream: of the packings that tarfile knows, each is known by how it begins."""
    with path.open("rb") as packed:
        begin = packed.read(6)
        packed.seek(0)
        if begin.startswith(b"\x1f\x8b"):
            with gzip.open(packed) as stream:
                yield stream
        elif begin.startswith(b"BZh"):
            with bz2.open(packed) as stream:
                yield stream
        elif begin == b"\xfd7zXZ\0":
            yield Unxz(packed, memory=_XZ_MEMORY)
        else:
            yield packed


def _check_members(path: Path, archive: tarfile.TarFile, max_members: int, max_bytes: int) -> None:
    count = size = 0
    for member in archive:
        count, size = count + 1, size + member.size
        if count > max_members:
            raise UnsafeArchive(path.name, f"it has more than {max_members} members")
        if size > max_bytes:
            raise UnsafeArchive(path.name, f"it unpacks to more than {max_bytes} bytes")
        if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            raise UnsafeArchive(path.name, f"{member.name!r} is neither a file, a folder nor a link")
        if _DATA_FILTER is None and not (member.isfile() or member.isdir()):
            raise UnsafeArchive(path.name, f"{member.name!r} is a link, which this Python cannot unpack safely")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarsafe.TarSafeException, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise UnsafeArchive(path.name, str(error) or type(error).__name__) from error
