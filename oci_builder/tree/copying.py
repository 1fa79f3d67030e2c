"""Files of this machine as entries of the image: what ``COPY`` is in a Dockerfile."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from oci_builder.errors import FileProblem, UnsafePath
from oci_builder.tree.entry import Entry, FileSlice, Kind, entry_path

_ORIGIN = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One thing to copy. ``source`` is a file or folder; ``dest`` is absolute, and ends in ``/`` to name a folder.

    Patterns are shell globs against the path below a source folder; ``*`` also matches slashes and ``**/`` any folders,
    none included. ``mode`` None keeps 0755 for what its owner may execute and 0644 for the rest: no umask gets in.
    """

    source: Path
    dest: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mode: int | None = None
    uid: int = 0
    gid: int = 0


def copied(copy: Copy) -> Iterator[Entry]:
    """The entries of one copy, by name; a folder's content lands in ``dest``, as with docker.

    Raises FileProblem for a source that is absent or is no file, folder or link, UnsafePath for a link that would
    leave the folder it is copied from.
    """
    try:
        info = copy.source.lstat()
    except OSError as error:
        raise FileProblem(str(copy.source), "there is nothing to copy here", hint="check [[copy]] src") from error
    dest = copy.dest.strip("/")
    if not stat.S_ISDIR(info.st_mode):
        name = f"{dest}/{copy.source.name}".lstrip("/") if copy.dest.endswith("/") else dest
        yield _entry(copy, copy.source, info, name)
        return
    if dest:
        yield _entry(copy, copy.source, info, dest)
    chosen = _Chosen(copy)
    for path, below, found in _walk(copy.source, ""):
        if chosen.takes(below, folder=stat.S_ISDIR(found.st_mode)):
            yield _entry(copy, path, found, f"{dest}/{below}".lstrip("/"))


class _Chosen:
    def __init__(self, copy: Copy) -> None:
        self._include, self._exclude = _pattern(copy.include), _pattern(copy.exclude)

    def takes(self, below: str, *, folder: bool) -> bool:
        if self._exclude is not None and any(self._exclude.match(part) for part in _prefixes(below)):
            return False
        # A folder comes with the files in it; alone it is kept only where nothing is asked for by name.
        return self._include is None or (not folder and any(self._include.match(part) for part in _prefixes(below)))


def _prefixes(below: str) -> Iterator[str]:
    parts = below.split("/")
    for depth in range(1, len(parts) + 1):
        yield "/".join(parts[:depth])


def _pattern(globs: Sequence[str]) -> re.Pattern[str] | None:
    if not globs:
        return None
    # "**/x" also means an x at the top.
    plain = [glob.rstrip("/") for glob in globs]
    return re.compile("|".join(translate(each) for glob in plain for each in {glob, glob.removeprefix("**/")}))


def _walk(folder: Path, below: str) -> Iterator[tuple[Path, str, os.stat_result]]:
    for path in sorted(folder.iterdir()):
        inner = f"{below}/{path.name}".lstrip("/")
        info = path.lstat()
        yield path, inner, info
        if stat.S_ISDIR(info.st_mode):
            yield from _walk(path, inner)


def _entry(copy: Copy, path: Path, info: os.stat_result, name: str) -> Entry:
    place = entry_path(name, origin=str(path))
    executable = bool(info.st_mode & stat.S_IXUSR)
    mode = copy.mode if copy.mode is not None else 0o755 if executable else 0o644
    if stat.S_ISDIR(info.st_mode):
        return _owned(copy, place, Kind.DIRECTORY, mode=0o755)
    if stat.S_ISLNK(info.st_mode):
        return _owned(copy, place, Kind.SYMLINK, mode=0o777, target=_link(copy, path))
    if not stat.S_ISREG(info.st_mode):
        raise FileProblem(str(path), "is neither a file nor a folder nor a link", hint="leave it out with exclude")
    content = FileSlice(path, 0, info.st_size)
    return _owned(copy, place, Kind.FILE, mode=mode, size=info.st_size, content=content)


def _owned(
    copy: Copy, path: str, kind: Kind, *, mode: int, size: int = 0, target: str = "", content: FileSlice | None = None
) -> Entry:
    return Entry(
        path=entry_path(path),
        kind=kind,
        mode=mode,
        uid=copy.uid,
        gid=copy.gid,
        size=size,
        target=target,
        content=content,
        origin=_ORIGIN,
    )


def _link(copy: Copy, path: Path) -> str:
    target = str(path.readlink())
    root = copy.source if copy.source.is_dir() and not copy.source.is_symlink() else copy.source.parent
    landing = Path(os.path.normpath(path.parent / target))
    if Path(target).is_absolute() or not landing.is_relative_to(root):
        raise UnsafePath(target, f"the link {path} leaves the folder that is copied", origin=_ORIGIN)
    return target
