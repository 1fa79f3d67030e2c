"""A root filesystem as maintainer scripts find and change it: a tree below, and what was written, in memory."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from oci_builder.errors import UnsafePath
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, EntryPath, Inline, Kind, directory, entry_path, file, symlink
from oci_builder.tree.tree import Tree, follow

MAX_FILE = 1 << 20
"""Bytes of a file that a script may read or write."""

MAX_WRITTEN = 5000
"""Changes that all scripts together may make."""

MAX_PATH = 4096
"""Letters of a path, as Linux has it."""

MAX_FOUND = 10_000
"""Paths that a pattern may stand for."""

MAX_LOOKED = 1_500_000
_LONG = 32
"""Folders that are looked into for all scripts together; so many letters of a path or bytes of a file are one more."""

_NOT_OURS = re.compile(r"(?:proc|dev|sys|run|var/run|var/lock)(?:/|\Z)")
"""What an engine mounts, or what is empty when a machine starts."""

_STANDARD = frozenset(("etc/default", "etc/skel", "usr/games", "usr/include", "usr/src"))
"""Folders that every Debian has, though a base may have dropped all that was in them."""

_RUN = re.compile(r"run/")
"""Folders there are made: engines leave it, and services have their sockets in them."""

_SCRATCH = re.compile(r"(?:tmp|var/tmp)(?:/|\Z)")
"""Where scripts put what only they need: they find it again, and no image gets it."""


class Unwritable(Exception):
    """A change that cannot be made, with the words for it."""


class ScriptTree:
    """``below`` with what scripts have made of it; a path is absolute, or below ``cwd``, which ``cd`` changes.

    What ``fixed`` has stays: an image's layer takes nothing away from its base. ``mask`` is umask's; ``packages`` are
    those that were added, with their paths; ``diversions`` say where what others bring at a path goes, and who said so;
    ``lacking`` are words for what an installation would make, and nobody has to have.
    """

    def __init__(
        self,
        below: Tree,
        sources: MappedFiles,
        numbers: Mapping[str, Mapping[str, int]] | None = None,
        *,
        fixed: Tree | None = None,
    ) -> None:
        self._below, self._sources = below, sources
        self._fixed = below if fixed is None else fixed
        self.numbers = numbers or {}
        """By file of /etc (passwd, group) and name the numbers that accounts are to have, if they are made."""
        self._over: dict[EntryPath, Entry | None] = {}
        self._folders: dict[str, set[str]] = {}
        self._changes = self._looked = 0
        self.made: dict[str, Entry] = {}
        self.gone: set[EntryPath] = set()
        self.packages: Mapping[str, Sequence[str]] = {}
        self.diversions: dict[str, tuple[str, str]] = {}
        self.lacking: dict[str, None] = {}
        self.origin = ""
        self.cwd = "/"
        self.mask = 0o022

    def __len__(self) -> int:
        return len(self._below) + len(self._over)

    def get(self, path: str, *, follow: bool = True) -> Entry | None:
        """What is at ``path``; links are followed, the last one too unless ``follow`` is false."""
        try:
            return self._at(self._resolved(path, last=follow))
        except UnsafePath:
            return None

    def real(self, path: str) -> str:
        """``path`` with its links followed, absolute. Raises UnsafePath."""
        return f"/{self._resolved(path)}"

    def absolute(self, path: str) -> str:
        """``path`` from the root, without ``.`` and ``..``."""
        return posixpath.normpath(posixpath.join(self.cwd, path))

    def has(self, path: str) -> bool:
        """Whether anything is at ``path``, as ``test -e`` says; folders need not be listed."""
        return self.is_folder(path) or self.get(path) is not None

    def is_folder(self, path: str) -> bool:
        """Whether a folder is at ``path``."""
        if path.strip("/") in ("", "tmp", "var/tmp") and (path or self.cwd == "/"):
            return True
        found = self.get(path)
        return found is not None and found.kind is Kind.DIRECTORY

    def is_link(self, path: str) -> bool:
        """Whether a symbolic link is at ``path``."""
        found = self.get(path, follow=False)
        return found is not None and found.kind is Kind.SYMLINK

    def children(self, path: str) -> list[str]:
        """The names in a folder, sorted."""
        names = self._index().get(self._resolved(path), ())
        self._look(len(names))
        return sorted(names)

    def matching(self, pattern: str) -> list[str]:
        """The paths that a pattern of a shell stands for, sorted; none where it fits nothing. Raises Unwritable."""
        found = ["/" if pattern.startswith("/") else ""]
        for part in pattern.strip("/").split("/"):
            # Links to folders above them multiply with each part.
            found = list(islice((path for above in found for path in self._step(above, part)), MAX_FOUND + 1))
            if len(found) > MAX_FOUND:
                raise Unwritable(f"{pattern[:80]} fits more than {MAX_FOUND} paths")
        return sorted(f"{path}/" if pattern.endswith("/") else path for path in found)

    def _step(self, above: str, part: str) -> Iterator[str]:
        if not re.search(r"[*?\[]", part):
            path = posixpath.join(above, part)
            if self.get(path, follow=False) is not None or self.is_folder(path):
                yield path
            return
        if self.is_folder(above or "."):
            names = self.children(above)
            self._look(len(names) * (1 + len(part) // _LONG))
            for name in names:
                if fnmatch.fnmatchcase(name, part) and not (name.startswith(".") and not part.startswith(".")):
                    yield posixpath.join(above, name)

    def data(self, path: str) -> bytes:
        """The bytes of a file. Raises Unwritable for what is none, or too large."""
        if path == "/dev/null":
            return b""
        entry = self.get(path)
        if entry is None or entry.content is None:
            raise Unwritable(f"{path} is no file")
        if entry.size > MAX_FILE:
            raise Unwritable(f"{path} has more than {MAX_FILE} bytes")
        self._look(entry.size // _LONG)
        return self._sources.read(entry.content, what=path)

    def read(self, path: str) -> str:
        """The text of a file. Raises Unwritable for what is none, or too large."""
        return self.data(path).decode("utf-8", "surrogateescape")

    def write(self, path: str, text: str | bytes) -> None:
        """Put ``text`` at ``path``, or in place of what the file there holds. Raises Unwritable."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        if len(data) > MAX_FILE:
            raise Unwritable(f"{path} would have more than {MAX_FILE} bytes")
        real = self._resolved(path)
        present = self._at(real)
        if present is None:
            self._put(file(entry_path(real), data, mode=0o666 & ~self.mask, origin=self.origin))
        elif present.kind is Kind.FILE:
            self._put(replace(present, content=Inline(data), size=len(data), sha256="", origin=self.origin))
        else:
            raise Unwritable(f"{path} is no file")

    def folder(self, path: str) -> None:
        """Make a folder at ``path``. Raises Unwritable."""
        self._put(directory(entry_path(self._resolved(path, last=False)), mode=0o777 & ~self.mask, origin=self.origin))

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link. Raises Unwritable."""
        self._put(symlink(entry_path(self._resolved(path, last=False)), target, origin=self.origin))

    def change(
        self,
        path: str,
        *,
        mode: int | None = None,
        owner: tuple[int | None, int | None] = (None, None),
        attributes: tuple[tuple[str, str], ...] | None = None,
        follow: bool = True,
    ) -> None:
        """Change mode, user, group and extended attributes of what is at ``path``. Raises Unwritable."""
        entry = self.get(path, follow=follow)
        if entry is None:
            raise Unwritable(f"{path} is not there")
        uid = entry.uid if owner[0] is None else owner[0]
        gid = entry.gid if owner[1] is None else owner[1]
        changed = replace(entry, mode=entry.mode if mode is None else mode, uid=uid, gid=gid)
        self._put(changed if attributes is None else replace(changed, attributes=attributes))

    def copy(self, entry: Entry, path: str) -> None:
        """Put the file or link ``entry`` at ``path`` too. Raises Unwritable."""
        self._put(replace(entry, path=entry_path(self._resolved(path, last=False)), origin=self.origin))

    def remove(self, path: str) -> None:
        """Take away the file, link or empty folder at ``path``. Raises Unwritable where it is of the base."""
        real = self._resolved(path, last=False)
        if real in self._fixed:
            raise Unwritable(f"it would take away {path}, which is of the base")
        if self._index().get(real):
            raise Unwritable(f"it would take away {path}, which is no empty folder")
        self._count()
        self.made.pop(real, None)
        if real in self._below:
            self.gone.add(real)
        self._over[real] = None
        above, _, name = real.rpartition("/")
        self._index().get(above, set()).discard(name)

    def show(self, entry: Entry) -> None:
        """Have scripts find ``entry``, which is in no image: what another base would have there."""
        self._over[entry.path] = entry
        above, _, name = entry.path.rpartition("/")
        self._index().setdefault(above, set()).add(name)

    def make_room(self, path: str) -> None:
        """Take away the file or link at ``path`` that something else comes in place of. Raises Unwritable."""
        entry = self.get(path, follow=False)
        if entry is not None and entry.kind is not Kind.DIRECTORY and entry.path not in self._fixed:
            self.remove(path)

    def check_removable(self, path: str) -> None:
        """Raise Unwritable where any of the folder at ``path`` is of the base."""
        for each in (path, *self.below(path)):
            if self._resolved(each, last=False) in self._fixed:
                raise Unwritable(f"it would take away {each}, which is of the base")

    def below(self, path: str) -> Iterator[str]:
        """The paths in the folder at ``path``, links not followed: each after those in it."""
        for name in self.children(path):
            inner = posixpath.join(path, name)
            found = self.get(inner, follow=False)
            if found is not None and found.kind is Kind.DIRECTORY:
                yield from self.below(inner)
            yield inner

    def _put(self, entry: Entry) -> None:
        if _NOT_OURS.match(entry.path) and not (entry.kind is Kind.DIRECTORY and _RUN.match(entry.path)):
            raise Unwritable(f"it would make /{entry.path}, which is no part of an image")
        self._count()
        parent, _, name = entry.path.rpartition("/")
        if parent in _STANDARD and self.get(f"/{parent}") is None:
            self.folder(f"/{parent}")
        if parent and not self.is_folder(f"/{parent}"):
            raise Unwritable(f"/{parent}, where it would make something, is no folder")
        present = self._at(entry.path)
        if present is not None and (present.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
            raise Unwritable(f"/{entry.path} is {'a' if present.kind is Kind.DIRECTORY else 'no'} folder")
        self._over[entry.path] = entry
        self._index().setdefault(parent, set()).add(name)
        if not _SCRATCH.match(entry.path):
            self.made[entry.path] = entry
            self.gone.discard(entry.path)

    def _count(self) -> None:
        self._changes += 1
        if self._changes > MAX_WRITTEN:
            raise Unwritable(f"it would change more than {MAX_WRITTEN} files and folders")

    def _at(self, real: EntryPath) -> Entry | None:
        return self._over[real] if real in self._over else self._below.get(real)

    def _resolved(self, path: str, *, last: bool = True) -> EntryPath:
        if len(path) > MAX_PATH:
            raise Unwritable(f"a path has more than {MAX_PATH} letters")
        return follow(posixpath.join(self.cwd, path), self._target, last=last)

    def _target(self, path: str) -> str | None:
        self._look(1 + len(path) // _LONG)
        entry = self._at(EntryPath(path))
        if entry is None or entry.kind is not Kind.SYMLINK:
            return None
        self._look(len(entry.target) // _LONG)
        return entry.target

    def _look(self, places: int) -> None:
        """Count what is looked at: links lead through links, and scripts ask again and again. Raises Unwritable."""
        self._looked += places
        if self._looked > MAX_LOOKED:
            raise Unwritable("what it looks for takes too long to find")

    def _index(self) -> dict[str, set[str]]:
        if not self._folders:
            for each in self._below.paths:
                above, _, name = each.rpartition("/")
                self._folders.setdefault(above, set()).add(name)
        return self._folders
