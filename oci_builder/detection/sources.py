"""The files of a project, by name and within limits; links are not followed out of it, and nothing in it is run."""

from __future__ import annotations

import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from oci_builder.confined import Found, Within
from oci_builder.errors import OcibuildError
from oci_builder.tree.patterns import Patterns

MOST_ENTRIES, DEEPEST = 20_000, 6
"""Files and folders that are looked at by name, and levels of folders."""

MOST_BYTES, LARGEST = 8 << 20, 256 << 10
"""Bytes of sources that are read: of all together, and of one. What people start is a page or two long."""

_PASSED_BY = frozenset(
    (
        *("test", "tests", "testing", "doc", "docs", "example", "examples", "sample", "samples", "benchmarks"),
        *("migrations", "alembic", "node_modules", "site-packages", "venv", "env", "build", "dist", "static"),
        *("notebooks", "frontend", "fixtures", "vendor", "third_party", "__pycache__", "htmlcov"),
    )
)
"""Folders that hold nothing that a container starts."""

_NOBODYS = re.compile(r"test_.*|.*_test|conftest|setup|noxfile|fabfile|dodo|versioneer|_version")
"""Modules that developers' tools start."""

_PROJECTS = ("pyproject.toml", "setup.py", "requirements.txt", "Pipfile", "image.toml")


class SourceTree:
    """The files below a folder that an image could have, each by its path from there.

    ``left_out`` are patterns of what is copied to no image: a program there could not be started. ``projects`` are
    folders below that are projects of their own: what lies in them is none of this one's. ``is_whole`` tells whether
    all of it was looked at. Raises FileProblem where the folder itself cannot be read.
    """

    def __init__(self, folder: Path, *, left_out: Sequence[str] = ()) -> None:
        self.folder = folder
        self._within = Within(folder, folder)
        self._left_out = Patterns(left_out)
        self._files: dict[str, Found] = {}
        self._bytes = 0
        self.projects: tuple[str, ...] = ()
        self.is_whole = True
        self._walk()
        self.paths = tuple(sorted(self._files, key=lambda path: (path.count("/"), path)))
        """All files, the nearest first and then by name."""

        self.modules = tuple(p for p in self.paths if p.endswith(".py") and not _NOBODYS.fullmatch(_stem(p)))
        """The Python files that somebody might start, or import from those, in the same order."""

        self._with_python = {above for p in self.paths if p.endswith(".py") for above in _above(p)}

    def __contains__(self, path: str) -> bool:
        return path in self._files

    @property
    def environments(self) -> tuple[str, ...]:
        """The virtual environments that lie directly in the folder, whatever they are called."""
        inside = self._within.find(".", follow=True).children(noted=False)
        return tuple(each.path.name for each in inside if each.kind == stat.S_IFDIR and self._has_environment(each))

    def _has_environment(self, folder: Found) -> bool:
        try:
            self._within.find(f"{folder.path.name}/pyvenv.cfg", follow=False)
        except (OcibuildError, OSError, ValueError):
            return False
        return folder.path.name.isprintable() and not set(folder.path.name) & set("*?[]\\!#")

    def has_folder(self, path: str) -> bool:
        """Whether there are Python files in the folder ``path``."""
        return path in self._with_python

    def beside(self, folder: str) -> tuple[str, ...]:
        """The files that lie directly in ``folder``, "" being the project's own."""
        return tuple(path for path in self.paths if path.rpartition("/")[0] == folder)

    def read(self, path: str) -> bytes | None:
        """What is in a file; None for one that is too large or cannot be read, and after too many."""
        found = self._files.get(path)
        if found is None or found.info.st_size > LARGEST or self._bytes > MOST_BYTES:
            self.is_whole = self.is_whole and (found is None or not path.endswith(".py"))
            return None
        try:
            with found.open() as stream:
                data = stream.read(LARGEST + 1)
        except (OcibuildError, OSError):
            return None
        self._bytes += len(data)
        return data if len(data) <= LARGEST else None

    def text(self, path: str) -> str | None:
        """The same as text, whatever its letters are written in."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8-sig", errors="replace")

    def hidden(self, path: str) -> str:
        """The text of a file that no program is, such as a tool's settings; "" where there is none."""
        try:
            found = self._within.find(path, follow=True)
            if found.kind == stat.S_IFREG:
                with found.open() as stream:
                    return stream.read(LARGEST).decode("utf-8-sig", errors="replace")
        except (OcibuildError, OSError, ValueError):
            pass
        return ""

    def _walk(self) -> None:
        waiting: deque[tuple[str, Found]] = deque([("", self._within.find(".", follow=True))])
        projects, met = [], 0
        while waiting:
            folder, found = waiting.popleft()
            try:
                inside = list(self._inside(folder, found))
            except OcibuildError:
                if not folder:
                    raise
                continue  # of a folder that nobody lets us into, whoever copies it speaks
            if folder and any(path.rpartition("/")[2] in _PROJECTS for path, _ in inside):
                projects.append(folder)
                continue
            if folder and any(path.endswith("/pyvenv.cfg") for path, _ in inside):
                continue
            for path, each in inside:
                met += 1
                if each.kind == stat.S_IFREG:
                    self._files[path] = each
                elif each.kind == stat.S_IFDIR and path.count("/") < DEEPEST:
                    waiting.append((path, each))
            if met > MOST_ENTRIES:
                self.is_whole = False
                break
        self.projects = tuple(projects)

    def _inside(self, folder: str, found: Found) -> Iterator[tuple[str, Found]]:
        # Not noted: whoever copies the folder notes its names, but for those that are left out here as well.
        for each in found.children(noted=False):
            name = each.path.name
            path = f"{folder}/{name}" if folder else name
            # A name that cannot be shown cannot stand in a recipe, either.
            if self._left_out.match(path) or not name.isprintable():
                continue
            if each.kind == stat.S_IFLNK:
                yield from self._behind(path)
            elif each.kind != stat.S_IFDIR or not (name in _PASSED_BY or name.startswith(".")):
                yield path, each

    def _behind(self, path: str) -> Iterator[tuple[str, Found]]:
        """The file that a link leads to, where that is one of the project's; folders behind links are not gone into."""
        try:
            found = self._within.find(path, follow=True)
        except (OcibuildError, OSError, ValueError):
            return
        if found.kind == stat.S_IFREG:
            yield path, found


def _above(path: str) -> Iterator[str]:
    """All folders that a file lies in."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".py")
