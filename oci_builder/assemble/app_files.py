"""The recipe's own files, folders and links, as entries of the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from oci_builder import inputs
from oci_builder.assemble.image_copies import Taken
from oci_builder.errors import PathConflict
from oci_builder.recipes import BASE, COPIED, DEBS, FETCHED, FILE, IMAGES_LOCK, WHEELS, CopyRecipe, ImageSource
from oci_builder.tree.copying import Copy, copied, expect_readable
from oci_builder.tree.entry import Entry, Kind, directory, entry_path
from oci_builder.tree.tree import Tree, same_place

ORIGIN = "image.toml"

LEFT_OUT = (
    *("**/.git", "**/.hg", "**/.svn", "**/.env", "**/.venv", "**/.tox", "**/.nox", "**/.DS_Store"),
    *("**/__pycache__", "**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache", "**/.ipynb_checkpoints"),
)
"""What no [[copy]] of a folder takes, unless its exclude takes it back with ``!``."""

_OF_RECIPES = (FILE, f"{WHEELS}/", f"{DEBS}/", f"{BASE}/", f"{FETCHED}/", f"{COPIED}/", "base.lock.*.json", IMAGES_LOCK)
"""Files of a recipe's folder that an image is made from."""


def check_copies(source: ImageSource) -> None:
    """See that what the recipe copies is there and can be read, before anything is made.

    Raises OutsideProject, FileProblem.
    """
    for copy in source.recipe.copy:
        # What the recipe has fetched comes later, and what is in an image is seen when that is opened.
        if copy.image is None and (not source.recipe.fetch or PurePosixPath(copy.src).parts[:1] != (FETCHED,)):
            expect_readable(_copy(source, copy, (0, 0)))


def recipe_files(source: ImageSource, owner: tuple[int, int], taken: Taken) -> list[tuple[int | None, Entry]]:
    """What the recipe's tables put into the image, in their order: copies, links, folders; ``owner`` is who runs.

    With each comes the number of the [[copy]] that it is of, None for what is of none.

    A later one replaces an earlier one's file, as in a Dockerfile, also where it is ``taken`` out of another image; and
    of a folder that is there already a [[folder]] says owner and mode. Raises FileProblem, OutsideProject and
    UnsafePath for what cannot be copied, PathConflict where one wants a folder and another something else.
    """
    found: dict[str, tuple[int | None, Entry]] = {}
    for what, number, entry in _all(source, owner, taken):
        if isinstance(entry, frozenset):
            found = {path: kept for path, kept in found.items() if taken.below.place(path) not in entry}
            continue
        _, present = found.get(entry.path, (None, None))
        if present is not None and (present.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
            raise PathConflict(f"/{entry.path}", "one table of image.toml", f"a {what}")
        if present is None or what == "[[folder]]" or not same_place(present, entry):
            found[entry.path] = number, entry
    return list(found.values())


def owned_folders(source: ImageSource, owner: tuple[int, int], below: Tree) -> list[Entry]:
    """The [[folder]]s that ``below`` has already, where they really lie: they get another owner or mode."""
    wanted = ((below.resolve(entry.path), entry) for entry in _folders(source, owner))
    return [replace(entry, path=path) for path, entry in wanted if path in below]


def _all(
    source: ImageSource, owner: tuple[int, int], taken: Taken
) -> Iterator[tuple[str, int | None, Entry | frozenset[str]]]:
    """What each table puts there; of one that takes files out of an image, the paths of these."""
    for number, copy in enumerate(source.recipe.copy):
        if copy.image is not None:
            yield "[[copy]]", number, taken.paths[number]
            continue
        for entry in copied(_copy(source, copy, owner)):
            yield "[[copy]]", number, entry
    for link in source.recipe.link:
        path = entry_path(link.path.strip("/"), origin=ORIGIN)
        yield "[[link]]", None, Entry(path=path, kind=Kind.SYMLINK, mode=0o777, target=link.target, origin=ORIGIN)
    for entry in _folders(source, owner):
        yield "[[folder]]", None, entry


def _folders(source: ImageSource, owner: tuple[int, int]) -> Iterator[Entry]:
    for folder in source.recipe.folder:
        uid, gid = folder.ids(owner)
        mode = 0o755 if folder.permissions is None else folder.permissions
        path = entry_path(folder.path.strip("/"), origin=ORIGIN)
        yield directory(path, mode=mode, uid=uid, gid=gid, origin=ORIGIN)


def _copy(source: ImageSource, copy: CopyRecipe, owner: tuple[int, int]) -> Copy:
    uid, gid = copy.ids(owner)
    return Copy(
        source=copy.src,
        folder=source.folder,
        within=None if copy.outside else source.within,
        dest=copy.dest,
        include=copy.include,
        exclude=(*LEFT_OUT, *_own(source, copy), *copy.exclude),
        mode=copy.permissions,
        uid=uid,
        gid=gid,
    )


def _own(source: ImageSource, copy: CopyRecipe) -> Iterator[str]:
    """Patterns for the files that the recipe itself is made of, where they lie in what is copied."""
    folder, copied_folder = inputs.real(source.folder), inputs.real(source.folder / copy.src)
    if folder.is_relative_to(copied_folder):
        below = folder.relative_to(copied_folder)
        for name in _OF_RECIPES:
            yield f"{_literal(below)}/{name}"


def _literal(path: Path) -> str:
    """A pattern that matches ``path`` alone."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in path.as_posix())
