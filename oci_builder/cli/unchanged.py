"""Knowing that there is nothing to make: all that went into an image is as it was when its file was written.

As make and git know it: by what the file system says of each file (its inode, size and times), not by its content.
See docs/decisions/unchanged.md. Imports nothing heavy, for it must cost less than what it saves.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_builder import __version__

if TYPE_CHECKING:
    from oci_builder.cli.result import Result
    from oci_builder.recipes import ImageSource
    from oci_builder.store import Store

_KIND = "unchanged"
_FORMAT = 2
"""Raised when the records hold something else than before."""

_MOST = 5_000
"""Files that are looked at; a recipe with more is built, which then costs little beside."""

_ELSEWHERE = frozenset(
    {
        "pushes",
        "sbom",
        "verify",
        "base",
        "requirements",
        "find_links",
        "layers",
        "mirrors",
        "out_format",
        "project_dir",
        "cache_from",
        "cache_to",
    }
)
"""Flags that name inputs or outputs nobody looks at here."""

_NOISE = frozenset({"_", "COLUMNS", "LINES", "OLDPWD", "SHLVL", "WINDOWID"})

_Seen = list[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the same command made before, from what is still as it was: what it said, as text, as JSON and as notes.

    ``intact`` tells that its file is as it was left, so that there is nothing to do. ``references``, ``manifest`` and
    ``config`` are what the file is written from; empty for what is no file.
    """

    summary: str
    document: dict[str, Any]
    notes: list[str]
    intact: bool
    references: list[str]
    manifest: str
    config: str


def find(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Before | None:
    """What the same command made, if it would make the same again."""
    known = _record(store, flags, environ)
    if known is None:
        return None
    try:
        if any(_seen(path) != seen for path, seen in known["inputs"].items()):
            return None
        intact = _seen(known["file"]) == known["seen"]
        return Before(intact=intact, **known["told"])
    except (KeyError, TypeError, AttributeError):
        return None


def refresh(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """The file has been written again, and is remembered as it is now."""
    known = _record(store, flags, environ)
    if known is not None:
        _remember(store, flags, environ, {**known, "seen": _seen(known["file"])})


def look(flags: Mapping[str, Any], source: ImageSource, base: Path | None) -> dict[str, _Seen] | None:
    """All that a build is about to depend on, as it is; None where something of it cannot be looked at.

    ``base`` is the folder of the base's recipe, None for a base that is an image: its tag may move.
    """
    if base is None or any(flags.get(name) for name in _ELSEWHERE) or not _is_simple(source):
        return None
    paths = list(_inputs(source, base))
    return {str(path.absolute()): _seen(path) for path in paths} if len(paths) <= _MOST else None


def keep(
    store: Store,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    looked: dict[str, _Seen] | None,
    result: Result,
    notes: list[str],
) -> None:
    """Remember a finished build, if what it depends on is as it ``looked`` before."""
    # A lock that was written meanwhile, or a recipe somebody edited: the next build is remembered.
    if looked is None or result.path is None or any(_seen(path) != seen for path, seen in looked.items()):
        return
    image, is_file = result.image, result.path.is_file()
    told = {
        "summary": result.brief,
        "document": result.document(),
        "notes": notes,
        "references": [str(reference) for reference in result.references],
        "manifest": image.manifest.decode() if is_file else "",
        "config": image.config.decode() if is_file else "",
    }
    inputs = {**looked, **{str(path.absolute()): _seen(path) for path in _program()}}
    file = str(result.path.absolute())
    _remember(store, flags, environ, {"inputs": inputs, "file": file, "seen": _seen(file), "told": told})


def _record(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any] | None:
    data = store.record(_KIND, _key(flags, environ))
    try:
        known = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return known if isinstance(known, dict) else None


def _remember(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str], known: Mapping[str, object]) -> None:
    store.put_record(_KIND, _key(flags, environ), json.dumps(known).encode())


def _key(flags: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    # A digest, for the environment may hold what should not lie about.
    world = {name: value for name, value in environ.items() if name not in _NOISE}
    said = [_FORMAT, __version__, sys.version, str(Path.cwd()), sorted(world.items()), sorted(flags.items())]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()


def _is_simple(source: ImageSource) -> bool:
    """Whether the recipe's folder and its base's hold all that decides the image."""
    if not source.lock.is_file() or source.project is not None or source.pyprojects:
        return False
    if source.recipe.python.find_links or not _lies_in(source.lock, source.folder):
        return False
    return all(_lies_in(path, source.folder) and _stands_alone(path) for path in source.requirements)


def _lies_in(path: Path, folder: Path) -> bool:
    # Resolved: "folder/../x.txt" begins with the folder and lies outside.
    return path.resolve().is_relative_to(folder.resolve())


def _stands_alone(path: Path) -> bool:
    # A file that is included, or a wheel or project that is named, may lie anywhere.
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    return not any(line.startswith("-") or "/" in line.partition("#")[0] for line in lines)


def _inputs(source: ImageSource, base: Path) -> Iterator[Path]:
    yield from _below(source.folder)
    yield from _below(base)
    # A layer or an image of the same name would be found here first.
    for root in (Path(), source.folder.parent.parent):
        yield from (root / "layers", root / "layers" / base.name, root / "build")


def _below(folder: Path) -> Iterator[Path]:
    yield folder
    for here, folders, files in os.walk(folder):
        yield from (Path(here, name) for name in (*folders, *files))


def _program() -> Iterator[Path]:
    """The files of ocibuild as loaded, and the folders of what it imports."""
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] == "oci_builder":
            yield Path(file)
        elif file and name in ("click", "deflate", "installer", "msgspec", "packaging"):
            yield Path(file).parent.parent


def _seen(path: str | Path) -> _Seen:
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return [*_numbers(info), *_numbers(Path(path).stat())]
    except OSError:
        return None
    return _numbers(info)


def _numbers(info: os.stat_result) -> list[int]:
    # The inode's own time moves with every change, also where somebody sets the other one back.
    if stat.S_ISDIR(info.st_mode):
        return [info.st_dev, info.st_ino, info.st_mode, info.st_mtime_ns]
    return [info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
