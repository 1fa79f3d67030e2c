"""Keeping a store small: what was used last stays, what nobody finished goes."""

from __future__ import annotations

from dataclasses import dataclass

from oci_builder import bounded
from oci_builder.errors import InvalidValue
from oci_builder.files import explained
from oci_builder.store import Store

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went: so many files of so many bytes; ``left`` bytes stay. Not ``done``: somebody else used the store."""

    files: int = 0
    size: int = 0
    left: int = 0
    done: bool = True


def parse_size(text: str) -> int:
    """``20GB``, ``20G`` or ``512MiB`` in bytes. Raises InvalidValue, for a number without its unit too."""
    try:
        return bounded.parse_size(text)
    except ValueError as error:
        bare = text.isascii() and text.isdigit()
        hint = f"write {text[:15]}MB or {text[:15]}GB" if bare else "write it as in 500MB or 20GB"
        why = f"{error}: expected a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"
        raise InvalidValue("size", text, why, hint=hint) from error


def prune(store: Store, *, now: int, max_size: int | None = None, max_age: int | None = None) -> Pruned:
    """Remove what was not used for ``max_age`` seconds, then what was used least recently until ``max_size`` bytes
    are left; and what was left half-written more than a day ago.

    ``now`` is in seconds since 1970. While somebody else uses the store nothing is removed: any of it may be his.
    Raises FileProblem.
    """
    with store.alone() as alone, explained(store.root):
        if not alone:
            return Pruned(done=False)
        _sweep(store, now)
        # By use, then by name: as one always does when several are as old.
        kept = sorted(store.kept(), key=lambda item: (item[1].st_atime, str(item[0])))
        left = sum(info.st_size for _, info in kept)
        files = size = 0
        for path, info in kept:
            too_old = max_age is not None and info.st_atime < now - max_age
            if not too_old and (max_size is None or left <= max_size):
                continue
            store.remove(path)
            files, size, left = files + 1, size + info.st_size, left - info.st_size
        return Pruned(files=files, size=size, left=left)


def _sweep(store: Store, now: int) -> None:
    for name, info in store.leftovers():
        if info.st_mtime <= now - DAY:
            store.discard(name)
