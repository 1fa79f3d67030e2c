"""Open folders: what is made, renamed and removed in one stays in it, whatever its path leads to by then.

Between two calls somebody may swap a folder for a link. A name that is looked up from an open folder does not care.
"""

from __future__ import annotations

import contextlib
import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path

from oci_builder import machine
from oci_builder.errors import FileProblem

_FOLDER = os.O_RDONLY | machine.FOLDER | machine.CLOSED_ON_EXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | machine.CLOSED_ON_EXEC
_OPEN_TO_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Folder:
    """A folder that is open until nobody needs the object; ``path`` is where it was found, for people.

    Methods raise OSError.
    """

    def __init__(self, path: Path, *, at: Folder | None = None) -> None:
        """Open ``path``, through links; or, ``at`` another folder, what has its name there and is no link."""
        self.path = path
        if at is None:
            self.handle = os.open(path, _FOLDER)
        else:
            self.handle = os.open(path.name, _FOLDER | machine.AS_IT_IS, dir_fd=at.handle)
        weakref.finalize(self, os.close, self.handle)

    def inner(self, name: str, *, mode: int = 0o777) -> Folder:
        """The folder ``name`` in this one, made if it is not there."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=self.handle)
        return Folder(self.path / name, at=self)

    def create(self, name: str, *, mode: int = 0o666) -> int:
        """A descriptor that writes a new file, and can read it back; the umask has its say."""
        return os.open(name, _NEW, mode, dir_fd=self.handle)

    def rename(self, name: str, to: Folder, new: str) -> None:
        """Have a file be ``new`` in another folder, in place of what was there."""
        os.rename(name, new, src_dir_fd=self.handle, dst_dir_fd=to.handle)

    def stat(self, name: str) -> os.stat_result:
        """What is called so; a link is itself."""
        return os.stat(name, dir_fd=self.handle, follow_symlinks=False)

    def listing(self) -> Iterator[tuple[str, os.stat_result]]:
        """What is in it, by name, but for what goes meanwhile."""
        with os.scandir(self.handle) as found:
            names = sorted(entry.name for entry in found)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield name, self.stat(name)

    def remove(self, name: str) -> None:
        """Remove a file or link by its name in this folder. Raises OSError."""
        os.unlink(name, dir_fd=self.handle)

    def forget(self, name: str) -> None:
        """Remove a file or link, if that can be done."""
        # Another's cache may be readable and no more: then it stays, and what is made anew goes elsewhere or says so.
        with contextlib.suppress(OSError):
            self.remove(name)

    def discard(self, name: str) -> None:
        """Remove whatever is called so, or as much of it as can be; links in it are not followed."""
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(self.stat(name).st_mode):
                import shutil  # which loads all that packs archives

                shutil.rmtree(name, ignore_errors=True, dir_fd=self.handle)
            else:
                self.remove(name)

    def expect_ours(self, *, hint: str, shared: bool = False) -> None:
        """Make sure that nobody but us, and root, decides what is in it. Raises FileProblem.

        A ``shared`` one may be as /tmp is, where everybody makes files and nobody exchanges those of others.
        """
        info = os.fstat(self.handle)
        if info.st_uid not in (os.geteuid(), 0):
            why = f"it belongs to another user (uid {info.st_uid}), who could put anything into it"
            raise FileProblem(str(self.path), why, hint=hint)
        if info.st_mode & _OPEN_TO_OTHERS and not (shared and info.st_mode & stat.S_ISVTX):
            mode = f"{stat.S_IMODE(info.st_mode):04o}"
            why = f"others may write to it (mode {mode}), and put anything into it"
            mend = f"if you trust what is in it, chmod -R go-w {self.path}; else {hint}"
            raise FileProblem(str(self.path), why, hint=mend)


def make_folder(path: Path, *, mode: int) -> None:
    """Have a folder, and those above it, made with ``mode`` where they are not there. Raises OSError."""
    # Path.mkdir gives its mode to the last alone: what is above would be open to all under a umask of 0.
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent, mode=mode)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
