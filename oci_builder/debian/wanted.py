"""What a recipe wants of Debian packages over its base."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WantedPackages:
    """Packages that a recipe names, and globs of what stays and of what goes too; ``keep`` is the stronger."""

    names: tuple[str, ...]
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
