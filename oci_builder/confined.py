"""Files that are found without leaving a folder, and opened as no other than those that were found.

A path that was checked and is then opened may have become another's meanwhile: somebody swaps a folder for a link. So
paths are followed here one name at a time, each from the open folder before it, and what is opened later has to be the
very thing that was seen, by device and inode.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from oci_builder import inputs, machine
from oci_builder.errors import FileProblem, OutsideProject
from oci_builder.files import explained, trouble

_LINKS = 40
"""Links that one path may lead through, as in Linux."""

_OUTSIDE = "if that is meant, write outside = true beside it in image.toml"

_READ = os.O_RDONLY | machine.AS_IT_IS | machine.AT_ONCE | machine.CLOSED_ON_EXEC


class _Folder:
    """An open folder, closed when nobody needs it any more."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.close = weakref.finalize(self, os.close, handle)


@dataclass(frozen=True, slots=True)
class Found:
    """Something on this machine's disk. ``path`` is where it was found, for people; ``info`` is what it was then."""

    path: Path
    info: os.stat_result
    _anchor: _Folder = field(repr=False)
    _name: str = field(repr=False)

    @property
    def kind(self) -> int:
        """The file type bits of its mode."""
        return stat.S_IFMT(self.info.st_mode)

    def open(self) -> BinaryIO:
        """The content of a file. Raises FileProblem where it cannot be read, or is not what was found."""
        inputs.note_file(self.path, self.info)
        with explained(self.path):
            return os.fdopen(self._opened(_READ), "rb")

    def target(self) -> str:
        """Where a link points. Raises FileProblem."""
        inputs.note_file(self.path, self.info)
        with explained(self.path):
            return os.readlink(self._name, dir_fd=self._anchor.handle)

    def children(self, *, below: str = "", without: Sequence[str] = (), noted: bool = True) -> Iterator[Found]:
        """What is in a folder, by name; the caller takes nothing that is as ``inputs.note_names`` understands this.

        A caller that has the names ``noted`` by somebody else says so. Raises FileProblem.
        """
        if noted:
            inputs.note_names(self.path, below=below, without=without)
        with explained(self.path):
            handle = self._opened(_READ | machine.FOLDER)
            try:
                # All at once: no folder stays open while those in it are walked, however deep they are.
                with os.scandir(handle) as listing:
                    seen = [(entry.name, entry.stat(follow_symlinks=False)) for entry in listing]
            finally:
                os.close(handle)
        for name, info in sorted(seen, key=lambda pair: pair[0]):
            yield Found(self.path / name, info, self._anchor, f"{self._name}/{name}")

    def check(self, stream: BinaryIO) -> None:
        """Make sure that the file is still as it was found, after it was read. Raises FileProblem."""
        now = os.fstat(stream.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.info.st_size, self.info.st_mtime_ns):
            raise self._changed()

    def _opened(self, flags: int) -> int:
        # One call for the whole path: if a folder in it was swapped for a link, what is behind that is not this inode.
        handle = os.open(self._name, flags, dir_fd=self._anchor.handle)
        now = os.fstat(handle)
        if not os.path.samestat(now, self.info) or stat.S_IFMT(now.st_mode) != self.kind:
            os.close(handle)
            raise self._changed()
        return handle

    def _changed(self) -> FileProblem:
        return FileProblem(str(self.path), "it was changed while it was read", hint="build again")


class Within:
    """A ``folder`` to find things from without leaving ``root``, which is opened here and now: once for all of them.

    What takes the place of either afterwards is another. Raises OutsideProject, OSError.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = inputs.real(root)
        self._folder = folder
        # Where the folder lies was said by whoever runs us; only what a recipe adds to that is held to the root.
        real = inputs.real(folder)
        if not real.is_relative_to(self.root):
            raise OutsideProject(str(folder), str(self.root))
        self._steps = real.relative_to(self.root).parts
        self._top = _Folder(os.open(self.root, machine.PASSED))

    def find(self, name: str, *, follow: bool) -> Found:
        """What has this name, through links that stay within, and through one at its end if asked; noted as an input.

        Raises OutsideProject, OSError.
        """
        inputs.note_file(self._folder / name)
        walk = _Walk(self._top, self.root, self._folder / name)
        steps = walk.absolute(name) if name.startswith("/") else (*self._steps, *_steps(name))
        return walk.run(steps, follow=follow)


def find(name: str, *, folder: Path, within: Within | None, follow: bool = False) -> Found:
    """What ``name`` leads to from ``folder``, not leaving a root by ".." or by a link; without one, anywhere.

    A link at the end is what is found, unless it is to be ``follow``ed. Raises OutsideProject, OSError.
    """
    if within is not None:
        return within.find(name, follow=follow)
    place = folder / name
    inputs.note_file(place)
    return _anywhere(Path(os.path.realpath(place)) if follow else place, place)


class _Walk:
    """One path from a root, followed as the kernel would, but for what leads out."""

    def __init__(self, top: _Folder, root: Path, place: Path) -> None:
        self._root, self._place, self._links = root, place, 0
        self._open = [top]

    def run(self, steps: Sequence[str], *, follow: bool) -> Found:
        left = deque(steps)
        while left:
            name, here = left.popleft(), self._open[-1]
            if name == "..":
                self._up()
                continue
            info = os.stat(name, dir_fd=here.handle, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode) and (left or follow):
                left.extendleft(reversed(self._led(name)))
            elif left:
                self._open.append(_Folder(os.open(name, machine.PASSED | machine.AS_IT_IS, dir_fd=here.handle)))
            else:
                return Found(self._place, info, here, name)
        return Found(self._place, os.fstat(self._open[-1].handle), self._open[-1], ".")

    def absolute(self, path: str) -> Sequence[str]:
        """The steps from the root to what has a full path."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._root):
            raise OutsideProject(str(self._place), str(self._root), hint=_OUTSIDE)
        del self._open[1:]
        return real.relative_to(self._root).parts

    def _up(self) -> None:
        if len(self._open) == 1:
            raise OutsideProject(str(self._place), str(self._root), hint=_OUTSIDE)
        self._open.pop()

    def _led(self, name: str) -> Sequence[str]:
        self._links += 1
        if self._links > _LINKS:
            raise trouble(errno.ELOOP, self._place)
        target = os.readlink(name, dir_fd=self._open[-1].handle)
        return self.absolute(target) if target.startswith("/") else _steps(target)


def _anywhere(path: Path, place: Path) -> Found:
    anchor = _Folder(os.open(path.parent, machine.PASSED))
    name = path.name or "."
    return Found(place, os.stat(name, dir_fd=anchor.handle, follow_symlinks=False), anchor, name)


def _steps(path: str) -> Sequence[str]:
    return PurePosixPath(path).parts
