"""Knowing that there is nothing to make: all that went into an image is as it was when its file was written.

As make and git know it: by what the file system says of each file (its inode, size and times), not by its content.
See docs/decisions/unchanged.md. Imports nothing heavy, for it must cost less than what it saves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_builder.errors import FileProblem
from oci_builder.export.output import stream_of
from oci_builder.files import open_regular
from oci_builder.version import __version__

if TYPE_CHECKING:
    from oci_builder.cli.result import Result
    from oci_builder.recipes import ImageSource
    from oci_builder.store import Store

_KIND = "unchanged"
_FORMAT = 3
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
        "load",
        "project_dir",
        "cache_from",
        "cache_to",
    }
)
"""Flags that name inputs or outputs nobody looks at here."""

_NOISE = frozenset({"_", "COLUMNS", "LINES", "OLDPWD", "SHLVL", "WINDOWID"})

_COMMENT = re.compile(r"(?:^|\s)#.*")
_CONSTRAINTS = re.compile(r"-c ([\w-][\w.-]*)\Z", re.ASCII)
_ELSEWHERE_IN_A_LINE = re.compile(r"^-|[/:\\\0]")

_TICK, _COARSE = 50_000_000, 2_000_000_000
"""Nanoseconds in which a file system may give two changes one time; the second where it counts in whole seconds."""

_Seen = list[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousBuild:
    """What the same command made before, from what is still as it was: what it said, as text, as JSON and as notes.

    ``intact`` tells that its file is as it was left, so that there is nothing to do. ``references``, ``manifest`` and
    ``config`` are what the file is written from.
    """

    summary: str
    document: dict[str, Any]
    notes: list[str]
    intact: bool
    references: list[str]
    manifest: str
    config: str


def find(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str]) -> PreviousBuild | None:
    """What the same command made, if it would make the same again."""
    known = _record(store, flags, environ)
    if known is None:
        return None
    try:
        if any(_seen(path) != seen for path, seen in known["inputs"].items()):
            return None
        intact = _seen(known["file"]) == known["seen"]
        return PreviousBuild(intact=intact, **known["told"])
    except (KeyError, TypeError, AttributeError):
        return None


def refresh(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """The file has been written again, and is remembered as it is now."""
    known = _record(store, flags, environ)
    if known is not None:
        _remember(store, flags, environ, {**known, "seen": _seen(known["file"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What some files and folders were like at a moment, in nanoseconds since 1970."""

    seen: dict[str, _Seen]
    moment: int


def glance(folder: Path) -> Looked | None:
    """What the recipe's folder is like, to be taken before the recipe is read; None where it holds too much."""
    return _look_at(lambda: _below(folder))


def look(flags: Mapping[str, Any], source: ImageSource, base: Path | None, glanced: Looked) -> Looked | None:
    """All that a build is about to depend on, as it is; None where something of it cannot be looked at.

    ``base`` is the folder of the base's recipe, None for a base that is an image: its tag may move. The recipe is as it
    was ``glanced`` at before it was read.
    """
    if base is None or any(flags.get(name) for name in _ELSEWHERE) or not _is_simple(flags, source):
        return None
    looked = _look_at(lambda: _inputs(source, base))
    if looked is None or not all(_holds_its_own(folder) for folder in (source.folder, base)):
        return None
    return Looked(seen={**looked.seen, **glanced.seen}, moment=glanced.moment)


def keep(
    store: Store,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    looked: Looked | None,
    result: Result,
    notes: list[str],
) -> None:
    """Remember a finished build, if what it depends on is as it ``looked`` before."""
    # A lock that was written meanwhile, or a recipe somebody edited: the next build is remembered.
    if looked is None or any(_seen(path) != seen for path, seen in looked.seen.items()):
        return
    # A folder is more than can be told from its own times; what went to our stdout is written anew every time.
    if result.path is None or not result.path.is_file() or stream_of(result.path):
        return
    program = {str(path.absolute()): _seen(path) for path in _program()}
    if any(_is_recent(seen, looked.moment) for seen in program.values()):
        return
    image = result.image
    told = {
        "summary": result.brief,
        "document": result.document(),
        "notes": notes,
        "references": [str(reference) for reference in result.references],
        "manifest": image.manifest.decode(),
        "config": image.config.decode(),
    }
    file = str(result.path.absolute())
    _remember(
        store, flags, environ, {"inputs": {**looked.seen, **program}, "file": file, "seen": _seen(file), "told": told}
    )


def _record(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any] | None:
    data = store.record(_KIND, _key(flags, environ))
    try:
        known = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return known if isinstance(known, dict) else None


def _remember(store: Store, flags: Mapping[str, Any], environ: Mapping[str, str], known: Mapping[str, object]) -> None:
    # What was made stands; that the next build will not know it is no failure of this one.
    with contextlib.suppress(FileProblem):
        store.put_record(_KIND, _key(flags, environ), json.dumps(known).encode())


def _key(flags: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    # A digest, for the environment may hold what should not lie about.
    world = {name: value for name, value in environ.items() if name not in _NOISE}
    said = [_FORMAT, __version__, sys.version, str(Path.cwd()), sorted(world.items()), sorted(flags.items())]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()


def _is_simple(flags: Mapping[str, Any], source: ImageSource) -> bool:
    """Whether the recipe's folder, its base's and what it copies hold all that decides the image."""
    if source.project is not None or source.pyprojects or source.recipe.python.find_links:
        return False
    if not all(lock.is_file() and _lies_in(lock, source.folder) for lock in _locks(source)):
        return False
    # A lock that fell behind and cannot be written is made anew every time, from what the indexes then say.
    if not (flags["locked"] or flags["frozen"] or os.access(source.folder, os.W_OK)):
        return False
    return all(_lies_in(path, source.folder) and _stands_alone(path) for path in source.requirements)


def _locks(source: ImageSource) -> Iterator[Path]:
    yield source.lock
    if source.recipe.base_packages:
        yield from map(source.base_lock, source.recipe.targets)


def _lies_in(path: Path, folder: Path) -> bool:
    # Resolved: "folder/../x.txt" begins with the folder and lies outside.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _stands_alone(path: Path, *, deep: bool = False) -> bool:
    # A file that is included, or a wheel or project that is named, may lie anywhere; constraints beside it do not.
    try:
        with open_regular(path) as stream:
            lines = stream.read().decode().splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    plain = [_COMMENT.sub("", line).strip().lstrip("\ufeff") for line in lines]
    beside = [found for line in plain if (found := _CONSTRAINTS.match(line))]
    rest = [line for line in plain if not _CONSTRAINTS.match(line)]
    if any(_ELSEWHERE_IN_A_LINE.search(line) for line in rest) or (deep and beside):
        return False
    return all(_stands_alone(path.parent / found[1], deep=True) for found in beside)


def _holds_its_own(folder: Path) -> bool:
    """Whether no link in it leads to a folder elsewhere, which is not looked into."""
    for here, folders, _ in os.walk(folder):
        for path in (Path(here, name) for name in folders):
            if path.is_symlink() and not _lies_in(path, folder):
                return False
    return True


def _inputs(source: ImageSource, base: Path) -> Iterator[Path]:
    yield from _below(source.folder)
    yield from _below(base)
    for copy in source.recipe.copy:
        yield from _below(source.folder / copy.src)
    # A layer or an image of the same name would be found here first.
    for root in (Path(), source.folder.parent.parent):
        yield from (root / "layers", root / "layers" / base.name, root / "build")


def _below(folder: Path) -> Iterator[Path]:
    """A folder and all that is in it; a file is itself alone."""
    yield folder
    for here, folders, files in os.walk(folder):
        yield from (Path(here, name) for name in (*folders, *files))


def _look_at(paths: Callable[[], Iterator[Path]]) -> Looked | None:
    """What the paths are like; None where there are too many, or where one has changed just now."""
    for _ in range(2):
        moment = time.time_ns()
        found = list(islice(paths(), _MOST + 1))
        if len(found) > _MOST:
            return None
        seen = {str(path.absolute()): _seen(path) for path in found}
        if not any(_is_recent(each, moment) for each in seen.values()):
            return Looked(seen=seen, moment=moment)
        # A script that writes a file and builds at once is no reason to forget what it built.
        time.sleep(_TICK / 10**9)
    return None


def _is_recent(seen: _Seen, moment: int) -> bool:
    """Whether something changed so shortly before ``moment`` that one more change could have the same time.

    As git's index does it (Documentation/technical/racy-git.txt): what is as young as the look at it may have been
    written to behind its back.
    """
    left = seen or []
    while left:
        length = 4 if stat.S_ISDIR(left[2]) else 6
        changed = left[length - 1]
        if changed > moment - (_TICK if changed % 1_000_000_000 else _COARSE):
            return True
        left = left[length:]
    return False


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
    except OSError:
        return None
    numbers = _numbers(info)
    if stat.S_ISLNK(info.st_mode):
        # One that leads nowhere is known by itself.
        with contextlib.suppress(OSError):
            numbers += _numbers(Path(path).stat())
    return numbers


def _numbers(info: os.stat_result) -> list[int]:
    # The inode's own time moves with every change, also where somebody sets the other one back.
    if stat.S_ISDIR(info.st_mode):
        return [info.st_dev, info.st_ino, info.st_mode, info.st_mtime_ns]
    return [info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
