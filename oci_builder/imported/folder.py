"""An image in a folder: an OCI image layout, or a docker archive that somebody unpacked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from oci_builder import inputs
from oci_builder.files import explained, open_regular
from oci_builder.imported.documents import DocumentBudget, Findings
from oci_builder.tree.limits import ByteReader

_MAX_FILES = 20_000
_MAX_DEPTH = 16
"""Folders in each other; a layout has three."""


class LayoutFiles:
    """The files of a folder by name, read like those of an archive, and none outside the folder."""

    def __init__(self, files: dict[str, Path], stack: contextlib.ExitStack) -> None:
        self._files, self._stack = files, stack
        self._documents = DocumentBudget()

    @property
    def names(self) -> Sequence[str]:
        """The names of all files, sorted."""
        return list(self._files)

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, or None if it is not there."""
        path = self._files.get(name)
        return inputs.size_of(path) if path else None

    def open(self, name: str) -> ByteReader | None:
        """The content of a file, to be read while the folder is open; None if it is not there."""
        path = self._files.get(name)
        return _ClosedAtItsEnd(self._stack.enter_context(open_regular(path))) if path else None

    def document(self, name: str, findings: Findings) -> bytes | None:
        """The whole of a small file; None after saying that it is not there, or too large to be a document."""
        path, size = self._files.get(name), self.size(name)
        if path is None or size is None:
            findings.add(f"{name} is not in the folder")
            return None
        if not self._documents.fits(name, size, findings):
            return None
        with open_regular(path) as file:
            return file.read(size)


class _ClosedAtItsEnd:
    """A file, let go of when all of it was read: an image may have more of them than a process may hold open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""
        data = b"" if self._file.closed else self._file.read(size)
        if not data and size:
            self._file.close()
        return data


@contextlib.contextmanager
def open_folder(root: Path, findings: Findings) -> Iterator[LayoutFiles]:
    """The regular files of ``root``, and links to them; what leads out of it is said and left out.

    Raises FileProblem.
    """
    with explained(root), contextlib.ExitStack() as stack:
        yield LayoutFiles(dict(_regular(root, findings)), stack)


def _regular(root: Path, findings: Findings) -> Iterator[tuple[str, Path]]:
    real = inputs.real(root)
    found = list(islice(_files(root), _MAX_FILES + 1))
    if len(found) > _MAX_FILES:
        findings.add(f"{root}: more than {_MAX_FILES} files")
    for path in sorted(found)[:_MAX_FILES]:
        # Not path.resolve(): before Python 3.13 that raises RuntimeError for links in a circle.
        name, place = path.relative_to(root).as_posix(), inputs.real(path)
        # A link could lead to any file of this machine.
        if not place.is_relative_to(real):
            findings.add(f"{name} is a symbolic link to {path.readlink()}, out of the folder")
        elif inputs.is_file(place):
            yield name, place
        else:
            findings.add(f"{name} is neither file, folder nor a symbolic link to a file of the folder")


def _files(root: Path) -> Iterator[Path]:
    """All that is no folder; links to folders are not followed."""
    todo = [(root, 0)]
    while todo:
        folder, depth = todo.pop()
        inputs.note_names(folder)
        # What cannot be listed is missed when it is asked for.
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            for entry in found:
                if not entry.is_dir(follow_symlinks=False):
                    yield folder / entry.name
                elif depth < _MAX_DEPTH:
                    todo.append((folder / entry.name, depth + 1))
