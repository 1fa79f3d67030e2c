"""A project's tree, copied for its build backend: what belongs to it and not to a machine, and all of that noted."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from oci_builder import inputs
from oci_builder.file_digests import FileDigests
from oci_builder.files import explained
from oci_builder.machine import give_mode

_NEVER = frozenset(
    {".venv", "venv", ".tox", ".nox", ".eggs", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache"}
    | {".pytest_cache", ".hypothesis", ".hg", ".svn"}
)
_MADE = (".tar", ".tar.gz", ".tgz", ".cdx.json", ".spdx.json")
"""Images and their bills, as builds leave them at its top."""

_DOWNLOADED = ("wheels", "debs", "base", "fetched")
"""What ``ocibuild download`` puts beside a recipe."""

_GIT = ".git"
_POINTER = 4096
"""Bytes of a file that says where a repository is."""


def copy_tree(folder: Path, dest: Path, *, without: Collection[Path]) -> None:
    """Copy a project's tree, with modes that say executable or not and nothing of the machine's umask.

    Left out is what belongs to a machine: environments, caches, what earlier builds left, images and bills, what was
    downloaded for them, and the folders ``without``, one of which the copy may lie in. Raises FileProblem.
    """
    with explained(folder):
        dest.mkdir()
        for place, folders, files in _walked(folder, without):
            copied = dest / place.relative_to(folder)
            for name in (*folders, *files):
                _place(place / name, copied / name, folder)


def tree_rows(folder: Path, digests: FileDigests, *, without: Collection[Path]) -> list[list[str]] | None:
    """A row for each thing that ``copy_tree`` copies, which says all of it that a copy says but for a repository.

    None where a link leads out of the tree, for whatever is there may be read too. Raises FileProblem.
    """
    rows: list[list[str]] = []
    with explained(folder):
        for place, folders, files in _walked(folder, without):
            for path in (place / name for name in (*folders, *files) if name != _GIT):
                name, info = str(path.relative_to(folder)), path.lstat()
                if stat.S_ISLNK(info.st_mode):
                    inputs.note_file(path, info)
                    target = path.readlink()
                    if target.is_absolute() or not inputs.real(path).is_relative_to(folder):
                        return None
                    rows.append([name, "link", str(target)])
                elif stat.S_ISREG(info.st_mode):
                    inputs.note_file(path, info)
                    mode = "755" if info.st_mode & 0o111 else "644"
                    rows.append([name, mode, digests.of(path, info).hex])
                elif stat.S_ISDIR(info.st_mode):
                    rows.append([name, "folder"])
    return sorted(rows)


def _walked(folder: Path, without: Collection[Path]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """The folders of a tree, with the names in each that belong to it; all of them noted."""
    _note_names(folder, folder)
    for here, folders, files in os.walk(folder):
        place = Path(here)
        folders[:] = sorted(
            name for name in folders if place / name not in without and not _left_out(place / name, folder)
        )
        for name in folders:
            # Before it is listed, which the walk does next: what is added meanwhile is missed by both or by none.
            _note_names(place / name, folder)
        yield place, list(folders), [name for name in files if place != folder or not name.endswith(_MADE)]
        folders[:] = [name for name in folders if name != _GIT and not (place / name).is_symlink()]


def _left_out(path: Path, root: Path) -> bool:
    if path.name in _NEVER or path.name.endswith(".egg-info") or inputs.is_file(path / "pyvenv.cfg"):
        return True
    match path.relative_to(root).parts:
        case ("build", name):
            # What setuptools left there it would take into the next wheel.
            return name == "lib" or name.startswith(("lib.", "bdist.", "temp."))
        case ("build", _, name):
            return name in _DOWNLOADED
        case ("dist",):
            return True
    return False


def _note_names(folder: Path, root: Path) -> None:
    """Note what is in a folder, but for what ``_left_out`` leaves out whatever it is."""
    if folder.name == _GIT:
        return
    without = [*(f"{name}/" for name in sorted(_NEVER)), "*.egg-info/"]
    match folder.relative_to(root).parts:
        case ():
            without += [*(f"*{ending}" for ending in _MADE), "dist/"]
        case ("build",):
            without += ["lib/", "lib.*/", "bdist.*/", "temp.*/"]
        case ("build", _):
            without += [f"{name}/" for name in _DOWNLOADED]
    inputs.note_names(folder, without=[fnmatch.translate(each) for each in without])


def _place(source: Path, dest: Path, root: Path) -> None:
    if source.name == _GIT:
        # Backends ask it for the version; it can be larger than all the rest.
        _note_repository(source)
        dest.symlink_to(source)
        return
    if not source.is_dir() or source.is_symlink():
        inputs.note_file(source)
    if source.is_symlink():
        if source.is_dir():
            _note_below(inputs.real(source), root)
        dest.symlink_to(source.readlink())
    elif source.is_dir():
        dest.mkdir()
    elif source.is_file():
        shutil.copyfile(source, dest)
        give_mode(dest, 0o755 if source.stat().st_mode & 0o111 else 0o644)


def _note_below(folder: Path, root: Path) -> None:
    """Note all in a folder that a link leads to, unless the project has it: a copy of a link may lead there, too."""
    todo = [] if folder.is_relative_to(root) else [folder]
    known = set(todo)
    for here in todo:
        inputs.note_names(here)
        with contextlib.suppress(OSError), os.scandir(here) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                inputs.note_file(entry.path)
                place = inputs.real(Path(entry.path)) if entry.is_symlink() else Path(entry.path)
                if entry.is_dir() and place not in known:
                    known.add(place)
                    todo.append(place)
        if len(todo) > inputs.MOST:
            inputs.unwatched(f"what {folder} holds is more than can be watched")
            return


def _note_repository(path: Path) -> None:
    """Note what git tells a version from: heads, tags and the index. Objects do not change, and logs tell nothing."""
    todo = [path]
    if path.is_file():
        # That of a work tree or submodule, which says where it is; and that one, where what it shares is.
        inputs.note_file(path)
        todo = [path.parent / _pointed(path).removeprefix("gitdir:").strip()]
        if inputs.is_file(todo[0] / "commondir"):
            todo.append(todo[0] / _pointed(todo[0] / "commondir"))
    while todo:
        here = todo.pop()
        with contextlib.suppress(OSError), os.scandir(here) as found:
            entries = sorted(found, key=lambda entry: entry.name)
            names = {entry.name for entry in entries}
            is_top = "HEAD" in names and bool(names & {"config", "commondir"})
            ignored = ("objects", "logs", "worktrees") if is_top else ()
            inputs.note_names(here, without=[f"{name}/" for name in ignored])
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    inputs.note_file(entry.path)
                elif entry.name not in ignored:
                    todo.append(Path(entry.path))


def _pointed(path: Path) -> str:
    with path.open("rb") as stream:
        return os.fsdecode(stream.read(_POINTER).strip())
