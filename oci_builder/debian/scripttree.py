"""A root filesystem as maintainer scripts find and change it: a tree below, and what was written, in memory."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from bisect import insort
from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from oci_builder.errors import UnsafePath
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Inline, Kind, directory, entry_path, file, symlink
from oci_builder.tree.tree import Tree, walked

MAX_FILE = 1 << 20
"""Bytes of a file that a script may read or write."""

MAX_WRITTEN = 1000
"""Changes that all scripts together may make."""

MAX_PATH = 4096
"""Letters of a path, as Linux has it."""

MAX_FOUND = 10_000
"""Paths that a pattern may stand for."""

MAX_WALKED = 2_000_000
_LONG = 64
"""Folders that are looked into for all scripts together; so many letters of a path, or bytes read, count as one more."""

_NOT_OURS = re.compile(r"(?:proc|dev|sys|run|tmp|var/run|var/lock|var/tmp)(?:/|\Z)")
"""What an engine mounts, or what is empty when a container starts."""


_TOOLS = frozenset(
    (
        *("addgroup", "adduser", "awk", "bash", "cat", "chmod", "chown", "cp", "deb-systemd-helper", "find", "getent"),
        *("deb-systemd-invoke", "deluser", "dpkg", "dpkg-divert", "dpkg-maintscript-helper", "dpkg-query", "grep"),
        *("dpkg-statoverride", "dpkg-trigger", "groupadd", "gzip", "id", "install", "invoke-rc.d", "ldconfig", "ln"),
        *("mkdir", "mv", "perl", "readlink", "rm", "sed", "service", "sh", "start-stop-daemon", "tar", "ucf", "ucfr"),
        *("update-alternatives", "update-rc.d", "useradd", "usermod", "which", "xargs"),
        *("update-dictcommon-hunspell", "update-dictcommon-aspell"),
    )
)
"""Programs that whoever installs packages has, though the image need not: essential ones, and those that are cut."""

_PROGRAM = re.compile(r"(?:/usr)?/s?bin/([^/]+)\Z")


def is_tool(path: str) -> bool:
    """Whether a script finds something at ``path`` that belongs to who installs packages, not to the image."""
    program = _PROGRAM.match(path)
    return path == "/usr/share/debconf/confmodule" or (program is not None and program[1] in _TOOLS)


class Unwritable(Exception):
    """A change that cannot be made, with the words for it."""


class ScriptTree:
    """``below`` with what scripts have made of it; a path is absolute, or below the root.

    Whatever is asked of it is bounded by counts, for links lead through links, and scripts ask again and again.
    """

    def __init__(self, below: Tree, sources: MappedFiles) -> None:
        self._below, self._sources = below, sources
        self._folders: dict[str, list[str]] = {}
        self.made: dict[str, Entry] = {}
        self._changes = self._walked = 0
        self.origin = ""

    def __len__(self) -> int:
        return len(self._below) + len(self.made)

    def _at(self, real: str) -> Entry | None:
        return self.made.get(real) or self._below.get(real)

    def _target(self, path: str) -> str | None:
        self._walked += 1 + len(path) // _LONG
        if self._walked > MAX_WALKED:
            raise Unwritable("looking for paths takes too long")
        found = self._at(path)
        if found is None or found.kind is not Kind.SYMLINK:
            return None
        self._walked += len(found.target) // _LONG
        return found.target

    def _walk(self, path: str, *, follow: bool) -> EntryPath:
        if len(path) > MAX_PATH:
            raise Unwritable(f"a path has more than {MAX_PATH} letters")
        return walked(path, self._target, follow_last=follow)

    def get(self, path: str, *, follow: bool = True) -> Entry | None:
        """What is at ``path``; links are followed, the last one too unless ``follow`` is false.

        Raises Unwritable where it is too far to look.
        """
        try:
            real = self._walk(path, follow=follow)
        except UnsafePath:
            return None
        return self._at(real)

    def real(self, path: str) -> str:
        """``path`` with its links followed, absolute. Raises UnsafePath, Unwritable."""
        return f"/{self._walk(path, follow=True)}"

    def has(self, path: str) -> bool:
        """Whether anything is at ``path``, as ``test -e`` says; folders need not be listed."""
        return self.is_folder(path) or self.get(path) is not None

    def is_folder(self, path: str) -> bool:
        """Whether a folder is at ``path``."""
        if path.strip("/") == "":
            return True
        found = self.get(path)
        return found is not None and found.kind is Kind.DIRECTORY

    def children(self, path: str) -> Sequence[str]:
        """The names in a folder, sorted. Raises UnsafePath, Unwritable."""
        if not self._folders:
            for each in (*self._below.paths, *(path for path in self.made if path not in self._below)):
                self._name(each)
            for names in self._folders.values():
                names.sort()
        return self._folders.get(self._walk(path, follow=True), ())

    def _name(self, path: str) -> None:
        above, _, name = path.rpartition("/")
        self._folders.setdefault(above, []).append(name)

    def matching(self, pattern: str) -> list[str]:
        """The paths that a pattern of a shell stands for, sorted; none where it fits nothing. Raises Unwritable."""
        found = ["/" if pattern.startswith("/") else ""]
        for part in pattern.strip("/").split("/"):
            # Links to folders above them multiply with each part.
            found = list(islice((path for above in found for path in self._step(above, part)), MAX_FOUND + 1))
            if len(found) > MAX_FOUND:
                raise Unwritable(f"{pattern[:80]} fits more than {MAX_FOUND} paths")
        return sorted(found)

    def _step(self, above: str, part: str) -> Iterator[str]:
        if not re.search(r"[*?\[]", part):
            path = posixpath.join(above, part)
            if self.get(path, follow=False) is not None or self.is_folder(path):
                yield path
            return
        if self.is_folder(above):
            names = self.children(above)
            self._walked += len(names) * (1 + len(part) // _LONG)
            for name in names:
                if fnmatch.fnmatchcase(name, part) and (not name.startswith(".") or part.startswith(".")):
                    yield posixpath.join(above, name)

    def read(self, path: str) -> str:
        """The text of a file. Raises Unwritable for what is none, or too large."""
        entry = self.get(path)
        if entry is None or entry.content is None:
            raise Unwritable(f"{path} is no file")
        if entry.size > MAX_FILE:
            raise Unwritable(f"{path} has more than {MAX_FILE} bytes")
        self._walked += entry.size // _LONG
        return self._sources.read(entry.content, what=path).decode("utf-8", "surrogateescape")

    def write(self, path: str, text: str) -> None:
        """Put ``text`` at ``path``, or in place of what the file there holds. Raises Unwritable."""
        data = text.encode("utf-8", "surrogateescape")
        if len(data) > MAX_FILE:
            raise Unwritable(f"{path} would have more than {MAX_FILE} bytes")
        real = self._walk(path, follow=True)
        present = self._at(real)
        if present is None:
            self._put(file(entry_path(real), data, origin=self.origin))
        elif present.kind is Kind.FILE:
            self._put(replace(present, content=Inline(data), size=len(data), sha256="", origin=self.origin))
        else:
            raise Unwritable(f"{path} is no file")

    def folder(self, path: str) -> None:
        """Make a folder at ``path``. Raises Unwritable."""
        self._put(directory(entry_path(self._walk(path, follow=False)), origin=self.origin))

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link. Raises Unwritable."""
        self._put(symlink(entry_path(self._walk(path, follow=False)), target, origin=self.origin))

    def change(
        self, path: str, *, mode: int | None = None, owner: tuple[int | None, int | None] = (None, None)
    ) -> None:
        """Change mode, user and group of what is at ``path``. Raises Unwritable."""
        entry = self.get(path)
        if entry is None:
            raise Unwritable(f"{path} is not there")
        uid = entry.uid if owner[0] is None else owner[0]
        gid = entry.gid if owner[1] is None else owner[1]
        self._put(replace(entry, mode=entry.mode if mode is None else mode, uid=uid, gid=gid))

    def copy(self, entry: Entry, path: str) -> None:
        """Put the file or link ``entry`` at ``path`` too. Raises Unwritable."""
        self._put(replace(entry, path=entry_path(self._walk(path, follow=False)), origin=self.origin))

    def remove(self, path: str) -> None:
        """Take away the file or link at ``path``. Raises Unwritable where it is of a package."""
        real = self._walk(path, follow=False)
        if real not in self.made or real in self._below:
            raise Unwritable(f"it would take away {path}, which is of a package")
        del self.made[real]
        if self._folders:
            above, _, name = real.rpartition("/")
            self._folders[above].remove(name)

    def _put(self, entry: Entry) -> None:
        if _NOT_OURS.match(entry.path):
            raise Unwritable(f"it would make /{entry.path}, which is no part of an image")
        self._changes += 1
        if self._changes > MAX_WRITTEN:
            raise Unwritable(f"it would change more than {MAX_WRITTEN} files and folders")
        parent = entry.path.rpartition("/")[0]
        if parent and not self.is_folder(parent):
            raise Unwritable(f"/{parent}, where it would make something, is no folder")
        present = self._at(entry.path)
        if present is not None and (present.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
            raise Unwritable(f"/{entry.path} is {'a' if present.kind is Kind.DIRECTORY else 'no'} folder")
        if self._folders and present is None:
            above, _, name = entry.path.rpartition("/")
            insort(self._folders.setdefault(above, []), name)
        self.made[entry.path] = entry
