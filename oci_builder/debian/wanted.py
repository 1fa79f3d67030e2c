"""What a recipe wants of Debian packages over its base."""

from __future__ import annotations

from dataclasses import dataclass

from oci_builder.debian.archives import Archives


@dataclass(frozen=True, kw_only=True)
class WantedPackages:
    """Packages that a recipe names, and globs of what stays and of what goes too; ``keep`` is the stronger.

    Without ``archives`` they come from those that the base is made from.
    """

    names: tuple[str, ...]
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    archives: Archives | None = None
