"""The archives that packages over a base come from: which suites, and by whose keys they are believed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from oci_builder.debian.distribution import OsRelease
from oci_builder.debian.lock import SuitePin, lock_path, read_lock
from oci_builder.debian.recipe import Suite, key_files, load_layer
from oci_builder.debian.sonames import libraries_path, read_libraries
from oci_builder.errors import FileProblem, RecipeError, StaleLock
from oci_builder.platforms import Platform


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Suites, the keys that sign them, and addresses of mirrors that are asked last.

    No index is believed that is older than one ``locked``. ``libraries`` maps sonames to packages, as far as is known.
    """

    suites: tuple[Suite, ...]
    keys: tuple[Path, ...]
    mirrors: tuple[str, ...] = ()
    locked: tuple[SuitePin, ...] = ()
    libraries: Path | None = None

    @classmethod
    def of_layer(cls, folder: Path, platform: Platform) -> Archives:
        """Those that a base of ``layers/`` is made from. Raises RecipeError, FileProblem."""
        source = load_layer(folder).source
        locked: tuple[SuitePin, ...] = ()
        with contextlib.suppress(StaleLock):
            locked = read_lock(lock_path(folder, platform)).suites
        return cls(
            suites=tuple(source.suite_list()),
            keys=tuple(key_files(folder)),
            mirrors=source.mirrors,
            locked=locked,
            libraries=libraries_path(folder, platform),
        )

    def suppliers(self) -> Mapping[str, str]:
        """Which package brings which library; empty where nobody knows."""
        return read_libraries(self.libraries) if self.libraries is not None else {}


def layer_of(distribution: OsRelease, layers: Iterable[Path]) -> Path | None:
    """The first of ``layers``, folders of bases, that is made of this distribution's packages; None where none is."""
    for folder in layers:
        with contextlib.suppress(RecipeError, FileProblem):
            if str(distribution.suite) in load_layer(folder).source.suites:
                return folder
    return None
