"""Wheels that were built on this machine, made to tell nothing of it; the only importer of wheel."""

from __future__ import annotations

import contextlib
import csv
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wheel.wheelfile

from oci_builder.errors import WheelError

MAX_BYTES = 4 << 30
"""What a wheel may unpack to. Its files are in memory one after the other."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_RECORD = ".dist-info/RECORD"
_SIGNATURES = (f"{_RECORD}.jws", f"{_RECORD}.p7s")
_BROKEN = (
    wheel.wheelfile.WheelError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    csv.Error,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What reading a wheel raises that is none, or whose files are not those of its RECORD."""


class _Normal(wheel.wheelfile.WheelFile):  # type: ignore[misc]  # wheel has no types
    """A wheel whose members have one time, and modes that say executable or not."""

    def writestr(self, zinfo_or_arcname: Any, data: Any, compress_type: int | None = None) -> None:
        """Write a member; RECORD, which the library names by text alone, would have the time of the clock."""
        given = zinfo_or_arcname
        header = zipfile.ZipInfo(given if isinstance(given, str) else given.filename, _EPOCH)
        mode = 0 if isinstance(given, str) else given.external_attr >> 16
        # As pip reads it: what is no file of its own is written as one that nobody executes.
        runs = stat.S_ISREG(mode) and mode & 0o111
        header.external_attr = (stat.S_IFREG | (0o755 if runs else 0o644)) << 16
        # A zip says which system made it, and readers look for modes where it was a Unix.
        header.create_system = 3
        header.compress_type = zipfile.ZIP_DEFLATED
        super().writestr(header, data, compress_type)


def normalise(path: Path, what: str) -> None:
    """Write the wheel at ``path`` anew: the same files give the same bytes, whoever built it and when.

    Each file has been compared with RECORD; times, order, modes and RECORD's lines are then the same everywhere. A
    signature of the old RECORD is left out. Raises WheelError, which names ``what`` it was built from.
    """
    with _explained(path.name, what):
        stem = _stem(path)
        # The library looks for the .dist-info of a wheel's own name, and backends spell that in two ways.
        name = f"{stem}-py3-none-any.whl"
        for folder in ("read", "written"):
            (path.parent / folder).mkdir()
        read, written = path.parent / "read" / name, path.parent / "written" / name
        path.replace(read)
        with wheel.wheelfile.WheelFile(read) as source, _Normal(written, "w") as target:
            # Its own folder last, as the specification would have it.
            for member in sorted(_members(source), key=lambda each: (each.startswith(f"{stem}.dist-info/"), each)):
                target.writestr(source.getinfo(member), source.read(member))
        written.replace(path)


def _stem(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        found = [name.removesuffix(_RECORD) for name in names if name.endswith(_RECORD) and name.count("/") == 1]
        size = sum(info.file_size for info in archive.infolist())
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} files RECORD")
    if len(set(names)) != len(names):
        raise ValueError("it has two files of one name")
    if size > MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    return found[0]


def _members(source: wheel.wheelfile.WheelFile) -> list[str]:
    return [name for name in source.namelist() if not name.endswith(("/", _RECORD, *_SIGNATURES))]


@contextlib.contextmanager
def _explained(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        said = str(error) or type(error).__name__
        raise WheelError(name, f"built from {what}, it is not a wheel that can be read: {said}") from error
