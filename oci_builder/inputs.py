"""What a build depends on, told by whoever reads it: files, names in folders, what is not there, variables.

Files are known as make and git know them: by what the file system says of each (inode, size, times), not by content.
Whoever reads an input reads it through a door (``files.open_regular``, ``confined``, the functions here), and each door
notes it in every recording that is going on; see docs/decisions/unchanged.md. Imports nothing heavy, for whether an
image is up to date has to be told faster than it could be made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oci_builder.values import Value

MOST = 10_000
"""Files and folders that are looked at: to look at as many takes 40 ms, and a build that reads more is hardly slower
than such a look."""

NOISE = frozenset({"_", "COLUMNS", "LINES", "OLDPWD", "SHLVL", "WINDOWID"})
"""Variables that tell of a terminal, and say something else in each."""

_TICK, _COARSE = 50_000_000, 2_000_000_000
"""Nanoseconds in which a file system may give two changes one time; the second where it counts in whole seconds."""

_WAITS = 4
"""Ticks that one build waits for: what was written just before it, what it writes itself, and some more."""

_Seen = list[int] | None


class InputSet(Value):
    """All that decided something, as it was when it was read.

    ``files`` are what the file system says of each path, None where nothing is there; ``kinds`` the same where nothing
    but the kind decides (0: nothing); ``listings`` a digest of the names in a folder, and patterns of those that do not
    count; ``places`` where a path leads through links; ``tags`` the digests that names of registries had. ``names`` are
    the variables that were asked for, None for all, and ``environ`` is a digest of what they say. ``unwatched`` is why
    nobody can know that all is as it was.
    """

    files: Mapping[str, _Seen]
    kinds: Mapping[str, int]
    listings: Mapping[str, tuple[str, str, Sequence[str]]]
    places: Mapping[str, str]
    tags: Mapping[str, str]
    names: Sequence[str] | None
    environ: str
    unwatched: Sequence[str] = ()

    def is_current(self, environ: Mapping[str, str], served: Callable[[Mapping[str, str]], bool]) -> bool:
        """Whether all of it is as it was, as far as the file system can tell, and whoever is asked for ``tags``."""
        if self.unwatched or any(True for _ in self.moved(environ)):
            return False
        return not self.tags or served(self.tags)

    def moved(self, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """What is not as it was, and how, in words; of ``tags`` and of what is ``unwatched`` nothing is said."""
        if self.environ != _digest_of(self.names, environ):
            yield "the environment" if self.names is None else f"one of {', '.join(self.names)}", "says something else"
        for path, kind in self.kinds.items():
            if (now := _kind(path)) != kind:
                yield path, _how(kind, now)
        for path, place in self.places.items():
            if os.path.realpath(path) != place:
                yield path, "leads elsewhere"
        for path, seen in self.files.items():
            if (found := look(path)) != seen:
                yield path, _how(seen, found)
        for folder, (names, below, without) in self.listings.items():
            if _listed(folder, below, without) != names:
                yield folder, "holds other names"

    def document(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return dict(vars(self))


class Recording:
    """The inputs of one build while they are read, from any of its threads.

    ``apart`` are folders that hold none: the cache, above all. ``clock`` gives nanoseconds since 1970; it tells which
    files are so young that they might change once more without a trace. ``moment`` is when it began.
    """

    # No dataclass: making one takes a millisecond at every start.
    def __init__(self, *, clock: Callable[[], int], apart: Sequence[Path] = ()) -> None:
        self.clock, self.moment = clock, clock()
        self.files: dict[str, _Seen] = {}
        self.kinds: dict[str, int] = {}
        self.listings: dict[str, tuple[str, str, Sequence[str]]] = {}
        self.places: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.names: set[str] = set()
        self.every_name = False
        self.unwatched: list[str] = []
        self._waits = 0
        self._apart = tuple(
            dict.fromkeys(f"{place}/" for path in apart for place in (path.absolute(), os.path.realpath(path)))
        )

    def found(self, environ: Mapping[str, str]) -> InputSet:
        """What was read until now; ``environ`` is what variables were asked of."""
        names = None if self.every_name else sorted(self.names)
        return InputSet(
            files=dict(self.files),
            kinds=dict(self.kinds),
            listings=dict(self.listings),
            places=dict(self.places),
            tags=dict(self.tags),
            names=names,
            environ=_digest_of(names, environ),
            unwatched=tuple(self.unwatched),
        )

    def unwatch(self, why: str) -> None:
        """Something decides of which nobody can know that it is as it was."""
        if why not in self.unwatched:
            self.unwatched.append(why)

    def note_file(self, path: str, info: os.stat_result | None) -> None:
        """A file is about to be read; ``info`` is what it was when it was found, by whoever found it before."""
        if path in self.files or not self._takes(path):
            return
        seen = look(path) if info is None else _look_from(path, info)
        self.files[path] = seen
        if is_recent(seen, self.clock()):
            # A script that writes a file and builds at once is no reason to forget what it built.
            self._waits += 1
            if self._waits <= _WAITS:
                time.sleep(_TICK / 10**9)
            if self._waits > _WAITS or look(path) != seen or is_recent(seen, self.clock()):
                self.unwatch(f"{path} was changing while it was read")

    def note_kind(self, path: str) -> None:
        """What is at ``path`` is asked for."""
        if path not in self.kinds and self._takes(path):
            self.kinds[path] = _kind(path)

    def note_names(self, folder: str, below: str = "", without: Sequence[str] = ()) -> None:
        """The names in ``folder`` are about to be read."""
        if folder not in self.listings and self._takes(folder):
            self.listings[folder] = (_listed(folder, below, without), below, without)

    def note_place(self, path: str) -> None:
        """Where ``path`` leads to is asked for."""
        if path not in self.places and self._takes(path):
            self.places[path] = os.path.realpath(path)

    def _takes(self, path: str) -> bool:
        if self.unwatched or path.startswith(self._apart):
            return False
        if len(self.files) + len(self.kinds) + len(self.listings) >= MOST:
            self.unwatch(f"more than {MOST} files decide")
            return False
        return True


_ACTIVE: list[Recording] = []
"""Those that are going on. Not a ContextVar: a thread that is started does not inherit one, and what it reads would be
missing. Who builds in several threads at once gets more noted than was read, which costs a build and no truth."""


@contextlib.contextmanager
def recording(into: Recording | None) -> Iterator[None]:
    """Have all that is read meanwhile noted in ``into``."""
    if into is None:
        yield
        return
    _ACTIVE.append(into)
    try:
        yield
    finally:
        _ACTIVE.remove(into)


def note_file(path: str | Path, info: os.stat_result | None = None) -> None:
    """A file is about to be read, or found not to be there."""
    for each in _ACTIVE:
        each.note_file(_absolute(path), info)


def is_file(path: Path) -> bool:
    """Whether there is a file, as ``Path.is_file`` says it."""
    for each in _ACTIVE:
        each.note_kind(_absolute(path))
    return path.is_file()


def is_dir(path: Path) -> bool:
    """Whether there is a folder, as ``Path.is_dir`` says it."""
    for each in _ACTIVE:
        each.note_kind(_absolute(path))
    return path.is_dir()


def exists(path: Path) -> bool:
    """Whether there is anything, as ``Path.exists`` says it."""
    for each in _ACTIVE:
        each.note_kind(_absolute(path))
    return path.exists()


def mode_of(path: Path) -> int:
    """What is at ``path``, through links, and who may do what with it. Raises OSError, ValueError."""
    for each in _ACTIVE:
        each.note_kind(_absolute(path))
    return path.stat().st_mode


def owner_of(path: Path) -> int:
    """The user whose something is, through links. Raises OSError."""
    note_file(path)
    return path.stat().st_uid


def size_of(path: Path) -> int:
    """How long a file is. Raises OSError."""
    note_file(path)
    return path.stat().st_size


def listing(folder: Path) -> list[Path]:
    """What is in a folder, by name. Raises OSError."""
    note_names(folder)
    return sorted(folder.iterdir())


def matching(folder: Path, pattern: str) -> list[Path]:
    """What in a folder has a name of that pattern, by name; nothing where there is no folder."""
    note_names(folder)
    return sorted(folder.glob(pattern))


def note_names(folder: Path, *, below: str = "", without: Iterable[str] = ()) -> None:
    """The names in a folder are about to be read.

    Those that, behind what they are ``below``, match regular expressions of ``without`` do not count; a folder's name
    has a slash at its end.
    """
    for each in _ACTIVE:
        each.note_names(_absolute(folder), below, tuple(without))


def real(path: Path) -> Path:
    """Where ``path`` leads to, through links."""
    for each in _ACTIVE:
        each.note_place(_absolute(path))
    return Path(os.path.realpath(path))


def without_detours(path: Path) -> Path:
    """The same place without ``FOLDER/..`` on the way, as a person writes it; as it is, where a link forbids that."""
    plain = Path(os.path.normpath(path))
    return plain if plain == path or (".." in path.parts and real(plain) == real(path)) else path


def variable(environ: Mapping[str, str], name: str) -> str | None:
    """What ``environ`` says under ``name``."""
    for each in _ACTIVE:
        each.names.add(name)
    return environ.get(name)


def note_tag(name: str, digest: str) -> None:
    """A registry has said which digest the tag ``name`` has today."""
    for each in _ACTIVE:
        each.tags[name] = digest


def all_variables() -> None:
    """A program is about to be given the environment, and nobody knows what it asks for."""
    for each in _ACTIVE:
        each.every_name = True


def unwatched(why: str) -> None:
    """Something decides of which nobody can know that it is as it was: an index, a clock."""
    for each in _ACTIVE:
        each.unwatch(why)


def look(path: str | Path) -> _Seen:
    """What the file system says of ``path``: of a link, and of what it leads to; of a folder only that it is one."""
    try:
        return _look_from(path, os.lstat(path))
    except (OSError, ValueError):
        return None


def is_recent(seen: _Seen, moment: int) -> bool:
    """Whether something changed so shortly before ``moment`` that one more change could have the same time.

    As git's index does it (Documentation/technical/racy-git.txt): what is as young as the look at it may have been
    written to behind its back.
    """
    left = seen or []
    while left:
        length = 1 if stat.S_ISDIR(left[0]) else 6
        if length == 6:
            changed = left[5]
            if changed > moment - (_TICK if changed % 1_000_000_000 else _COARSE):
                return True
        left = left[length:]
    return False


def _how(before: object, now: object) -> str:
    if not now:
        return "is gone"
    return "has changed" if before else "is new"


def _look_from(path: str | Path, info: os.stat_result) -> list[int]:
    numbers = _numbers(info)
    if stat.S_ISLNK(info.st_mode):
        # One that leads nowhere is known by itself.
        with contextlib.suppress(OSError):
            numbers += _numbers(Path(path).stat())
    return numbers


def _numbers(info: os.stat_result) -> list[int]:
    if stat.S_ISDIR(info.st_mode):
        return [stat.S_IFDIR]
    # The inode's own time moves with every change, also where somebody sets the other one back.
    return [info.st_mode, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def _kind(path: str) -> int:
    try:
        return stat.S_IFMT(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return 0


def _listed(folder: str, below: str, without: Sequence[str]) -> str:
    try:
        with os.scandir(folder) as found:
            # A link is another thing than what it leads to, also where nothing behind it differs.
            names = sorted(
                (f"{entry.name}/" if _leads_to_folder(entry) else entry.name, entry.is_symlink()) for entry in found
            )
    except (OSError, ValueError):
        return ""
    counts_not = re.compile("|".join(without), re.DOTALL).fullmatch if without else None
    counted = [[name, link] for name, link in names if counts_not is None or counts_not(f"{below}{name}") is None]
    return hashlib.sha256(json.dumps(counted).encode()).hexdigest()


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _absolute(path: str | Path) -> str:
    # Not os.path.abspath, which takes a/../b for b: where a is a link, it is not.
    return str(Path(path).absolute())


def _digest_of(names: Collection[str] | None, environ: Mapping[str, str]) -> str:
    """A digest of what all of ``names`` say: an environment may hold what should not lie about, not even by itself."""
    wanted = [name for name in environ if name not in NOISE] if names is None else names
    said = [[name, environ[name]] for name in sorted(wanted) if name in environ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
