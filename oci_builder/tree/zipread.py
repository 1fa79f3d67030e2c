"""Foreign zip archives, unpacked without trusting them."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from oci_builder.errors import UnsafeArchive
from oci_builder.tree.entry import entry_path

_UNIX = 3
_CHUNK = 1 << 20


def extract_zip(path: Path, into: Path, *, max_members: int, max_bytes: int) -> None:
    """Unpack the zip file at ``path`` into ``into``, which is made: files and folders, whose modes may say that a file
    can be executed. Everything stays inside, and what is written is at most so many members and bytes.

    Raises UnsafeArchive, also for links and for what is encrypted.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(path, members, max_members, max_bytes)
            into.mkdir()
            for member in members:
                _extract(archive, member, into, path)
    # RuntimeError is what zipfile says of encryption, NotImplementedError of a compression that it does not know, and
    # ValueError of names and dates that cannot be.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise UnsafeArchive(path.name, str(error) or type(error).__name__) from error


def _check(path: Path, members: list[zipfile.ZipInfo], max_members: int, max_bytes: int) -> None:
    if len(members) > max_members:
        raise UnsafeArchive(path.name, f"it has more than {max_members} members")
    if sum(member.file_size for member in members) > max_bytes:
        raise UnsafeArchive(path.name, f"it unpacks to more than {max_bytes} bytes")
    for member in members:
        kind = stat.S_IFMT(_mode(member))
        if kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(path.name, f"{member.filename!r} is neither a file nor a folder")


def _mode(member: zipfile.ZipInfo) -> int:
    return member.external_attr >> 16 if member.create_system == _UNIX else 0


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, path: Path) -> None:
    # entry_path refuses what leads out; a link that could lead elsewhere is never made.
    place = into / entry_path(member.filename.rstrip("/"), origin=path.name)
    if member.filename.endswith("/"):
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # zipfile gives no more than the size that the directory promised, which was counted.
    with archive.open(member) as stream, place.open("xb") as sink:
        shutil.copyfileobj(stream, sink, _CHUNK)
    place.chmod(0o755 if _mode(member) & stat.S_IXUSR else 0o644)
