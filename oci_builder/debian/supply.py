"""Where Debian's packages may come from: a folder beside a recipe, this machine's apt-get, mirrors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.debian.apt import Apt
from oci_builder.debian.recipe import Suite
from oci_builder.debian.running import FindPython, no_python
from oci_builder.debian.sources import ArchiveSource, DebFolder, Mirror
from oci_builder.platforms import Platform
from oci_builder.store import Store


@dataclass(frozen=True, kw_only=True)
class Supply:
    """Where packages may come from, and the clock that judges signatures (seconds since 1970).

    ``mirrors`` are addresses of mirrors, tried after this machine's apt-get and before the recipe's; ``debs`` is a
    folder of .deb files looked in first, which may hold the lock they follow (``renewed_name``). ``locked`` forbids any
    other version than the lock's; without ``writes_locks`` no lock is written. ``jobs`` is how many may
    work on them at once. ``host_python`` finds this machine's interpreter that compiles where a base's own does not
    start. ``image`` is how a command line calls the image that is built.
    """

    now: int
    mirrors: Sequence[str] = ()
    debs: Path | None = None
    offline: bool = False
    locked: bool = False
    jobs: int = 1
    writes_locks: bool = True
    host_python: FindPython = no_python
    image: str = "NAME"

    @contextlib.contextmanager
    def sources(
        self, suites: Sequence[Suite], mirrors: Sequence[str], platform: Platform, store: Store
    ) -> Iterator[list[ArchiveSource]]:
        """Where packages of ``suites`` may come from, in the order in which they are asked; ``mirrors`` come last."""
        found: list[ArchiveSource] = [DebFolder(self.debs)] if self.debs is not None else []
        if self.offline:
            yield found
            return
        archives = sorted({suite.archive for suite in suites})
        with store.scratch() as folder:
            found.append(Apt(suites, platform.architecture, folder))
            found += [Mirror(url, archives) for url in (*self.mirrors, *mirrors)]
            yield found
