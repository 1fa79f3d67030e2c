"""What the user who runs us has on this machine: a place for a cache, and an environment that pip can do with."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from oci_builder import machine
from oci_builder.errors import FileProblem
from oci_builder.files import explained
from oci_builder.folders import make_folder


def with_home(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """``environ`` with a HOME, which pip asks for: ``folder``, where whoever runs us has none."""
    # A folder that is ours alone: settings of others in it would be obeyed.
    return dict(environ) if _has_home(environ) else {**environ, "HOME": str(folder)}


def _has_home(environ: Mapping[str, str]) -> bool:
    home = environ.get("HOME")
    if home is not None:
        return home.startswith("/")
    try:
        return Path("~").expanduser().is_absolute()  # by /etc/passwd
    except RuntimeError:
        return False


def with_temporary(environ: Mapping[str, str], folder: Path) -> tuple[dict[str, str], bool]:
    """``environ`` with a folder of temporary things: ``folder``, made for it, where this machine has none to write to.

    Whether it is that is said, too. Raises FileProblem.
    """
    if _can_be_written(environ.get("TMPDIR") or "/tmp"):
        return dict(environ), False
    # Loads a lot, and makes a file to see whether it can: where what is usual will not do.
    import tempfile

    try:
        tempfile.gettempdir()
    except OSError:
        with explained(folder):
            make_folder(folder, mode=0o700)
        tempfile.tempdir = str(folder)
        return {**environ, "TMPDIR": str(folder)}, True
    return dict(environ), False


def _can_be_written(folder: str) -> bool:
    """Whether files can be made there, as far as can be told without making one."""
    place = Path(folder)
    with suppress(OSError, ValueError):
        return place.is_absolute() and machine.has_room(place) and machine.may(place, os.W_OK | os.X_OK)
    return False


def default_cache() -> tuple[Path, bool]:
    """The user's cache folder, or else a private one in the temporary folder, and whether it is that.

    Raises FileProblem where neither can be had.
    """
    from platformdirs import user_cache_path

    # Without HOME and without a line in /etc/passwd: RuntimeError, or "~/.cache" as it is written.
    with suppress(RuntimeError):
        cache = user_cache_path("ocibuild")
        if cache.is_absolute() and _can_be_made(cache):
            return cache, False
    return _temporary_cache(), True


def _can_be_made(folder: Path) -> bool:
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
    return there.is_dir() and machine.may(there, os.W_OK | os.X_OK)


def _temporary_cache() -> Path:
    """A folder that nobody but us can have made, or look into. Raises FileProblem."""
    import tempfile

    hint = "name a folder with --cache-dir or OCIBUILD_CACHE_DIR"
    try:
        parent = Path(tempfile.gettempdir())
    except OSError as error:
        raise FileProblem("TMPDIR", "there is no temporary folder to write to", hint=hint) from error
    folder = parent / f"ocibuild-{os.geteuid()}"
    with explained(folder):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        info, above = folder.lstat(), parent.stat()
    is_ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o077
    if not is_ours:
        raise FileProblem(str(folder), "it is not a folder of this user alone, so no cache can be in it", hint=hint)
    if above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX:
        raise FileProblem(str(parent), "others may exchange what is in it, so no cache can be there", hint=hint)
    return folder
