"""Files of this machine as entries of the image: what ``COPY`` is in a Dockerfile."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from oci_builder import machine
from oci_builder.confined import Found, Within, find
from oci_builder.errors import FileProblem, UnsafePath
from oci_builder.files import explained, in_words, kind_of, trouble
from oci_builder.tree.entry import Entry, Kind, Whole, entry_path
from oci_builder.tree.patterns import Patterns

_ORIGIN = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One thing to copy, as ``source`` leads to it from ``folder``; ``within`` what root, if there is one.

    ``dest`` is absolute, and ends in ``/`` to name a folder.

    Patterns are those of ``.dockerignore``, against the path below a source folder. ``mode`` None keeps 0755 for what
    its owner may execute and 0644 for the rest: no umask gets in.
    """

    source: str
    folder: Path
    within: Within | None
    dest: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mode: int | None = None
    uid: int = 0
    gid: int = 0


_ELSEWHERE = "make it, or name another src in [[copy]]"


def source_of(copy: Copy) -> Found:
    """What is to be copied. Raises OutsideProject, and FileProblem where there is nothing."""
    place = copy.folder / copy.source
    try:
        return find(copy.source, folder=copy.folder, within=copy.within)
    except FileNotFoundError as error:
        raise FileProblem(str(place), "there is nothing to copy here", hint=_ELSEWHERE) from error
    except OSError as error:
        raise FileProblem(str(place), in_words(error), hint=_ELSEWHERE) from error


def copied(copy: Copy) -> Iterator[Entry]:
    """The entries of one copy, by name; a folder's content lands in ``dest``, as with docker.

    Raises OutsideProject for a source that is not within it, FileProblem for one that is absent or is no file,
    folder or link, UnsafePath for a link that would leave the folder it is copied from.
    """
    place, source = copy.folder / copy.source, source_of(copy)
    dest = copy.dest.strip("/")
    if source.kind != stat.S_IFDIR:
        name = f"{dest}/{place.name}".lstrip("/") if copy.dest.endswith("/") else dest
        yield _entry(copy, source, name, root=place.parent)
        return
    if dest:
        yield _entry(copy, source, dest, root=place)
    chosen = _Chosen(copy)
    for found, below in _walk(source, "", chosen):
        if chosen.takes(below, folder=found.kind == stat.S_IFDIR):
            yield _entry(copy, found, f"{dest}/{below}".lstrip("/"), root=place)


def expect_readable(copy: Copy) -> None:
    """See that all that is to be copied can be read, without reading it. Raises what ``copied`` raises of it."""
    source, chosen = source_of(copy), _Chosen(copy)
    places = [(source, "")] if source.kind == stat.S_IFREG else []
    if source.kind == stat.S_IFDIR:
        places += _walk(source, "", chosen, noted=False)
    for found, below in places:
        taken = not below or chosen.takes(below, folder=found.kind == stat.S_IFDIR)
        if found.kind == stat.S_IFREG and taken and not machine.may(found.path, os.R_OK):
            with explained(found.path):
                raise trouble(errno.EACCES, found.path)


class _Chosen:
    def __init__(self, copy: Copy) -> None:
        self._include, self.exclude = Patterns(copy.include), Patterns(copy.exclude)
        self._all = not copy.include
        # As inputs.note_names wants them: a folder has a slash at its end.
        self.left_out = (f"(?:{self.exclude.expression})/?",) if self.exclude.expression else ()

    def takes(self, below: str, *, folder: bool) -> bool:
        # A folder comes with the files in it; alone it is kept only where nothing is asked for by name.
        return self._all or (not folder and self._include.match(below))


def _walk(folder: Found, below: str, chosen: _Chosen, *, noted: bool = True) -> Iterator[tuple[Found, str]]:
    """What is in a folder, and below it; what is excluded is not looked into, unless a pattern takes something back."""
    for found in folder.children(below=f"{below}/" if below else "", without=chosen.left_out, noted=noted):
        inner = f"{below}/{found.path.name}".lstrip("/")
        if not chosen.exclude.match(inner):
            yield found, inner
            if found.kind == stat.S_IFDIR:
                yield from _walk(found, inner, chosen, noted=noted)
        elif chosen.exclude.takes_back and found.kind == stat.S_IFDIR:
            taken_back = _walk(found, inner, chosen, noted=noted)
            for first in taken_back:
                yield found, inner
                yield first
                yield from taken_back


def _entry(copy: Copy, found: Found, name: str, *, root: Path) -> Entry:
    place, info = entry_path(name, origin=str(found.path)), found.info
    executable = bool(info.st_mode & stat.S_IXUSR)
    mode = copy.mode if copy.mode is not None else 0o755 if executable else 0o644
    if found.kind == stat.S_IFDIR:
        return _owned(copy, place, Kind.DIRECTORY, mode=0o755)
    if found.kind == stat.S_IFLNK:
        return replace(_owned(copy, place, Kind.SYMLINK, mode=0o777), target=_link(found, root))
    if found.kind != stat.S_IFREG:
        why = f"{kind_of(info)}, and neither a file nor a folder nor a link"
        raise FileProblem(str(found.path), why, hint="leave it out with exclude")
    file = _owned(copy, place, Kind.FILE, mode=mode)
    return replace(file, size=info.st_size, content=Whole(found, info.st_size))


def _owned(copy: Copy, path: str, kind: Kind, *, mode: int) -> Entry:
    return Entry(path=entry_path(path), kind=kind, mode=mode, uid=copy.uid, gid=copy.gid, origin=_ORIGIN)


def _link(found: Found, root: Path) -> str:
    target = found.target()
    landing = Path(os.path.normpath(found.path.parent / target))
    if Path(target).is_absolute() or not landing.is_relative_to(os.path.normpath(root)):
        raise UnsafePath(target, f"the link {found.path} leaves the folder that is copied", origin=_ORIGIN)
    return target
