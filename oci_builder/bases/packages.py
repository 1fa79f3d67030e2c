"""More Debian packages over a base of ``layers/``, for one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from oci_builder import inputs
from oci_builder.bases.base import Base
from oci_builder.bases.layers import Packages
from oci_builder.debian.extralock import ExtraLock, read_extra_lock, write_extra_lock
from oci_builder.debian.localenames import has_locale
from oci_builder.debian.opening import Opening, Supply
from oci_builder.debian.recipe import load_layer
from oci_builder.debian.sonames import libraries_path, read_libraries
from oci_builder.debian.sources import fetch_packages
from oci_builder.debian.wanted import WantedPackages
from oci_builder.errors import FileProblem, InvalidValue, PackageError, StaleLock
from oci_builder.files import is_closed
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles

_WITH_UTF8 = (2, 35)
"""The C library that has C.UTF-8 without a file."""


def with_packages(
    base: Base, wanted: WantedPackages, *, lock: Path, supply: Supply, store: Store, reporter: Reporter
) -> Base:
    """``base`` with more Debian packages over it, as a layer of their own, and the locales that it has not, as another.

    What was left out is said.

    ``lock`` is the file that says which; one that is not there, or is for other packages, is written, unless
    ``supply`` is locked. Raises StaleLock, PackageError for a package that is not there or has a script that would
    have to run, PackageUnavailable.
    """
    wanted = replace(wanted, locales=_absent_locales(base, wanted.locales))
    if not wanted.names and not wanted.locales:
        return base
    if base.folder is None and not wanted.names:
        raise _no_locale(base, wanted.locales[0])
    if base.folder is None:
        hint = "take them out, or build on a base of layers/"
        raise PackageError(
            wanted.names[0], f"{base.name} is not made of packages that ocibuild could add to", hint=hint
        )
    # Loaded only where packages are added.
    from oci_builder.debian.extras import Extras

    opening = Opening(base.folder, base.platform, store, supply, reporter)
    libraries = read_libraries(libraries_path(base.folder, base.platform))
    extras = Extras(opening, base.tree, base.layers[-1].diff_id, wanted, libraries)
    known = read_extra_lock(lock) if supply.locked or inputs.is_file(lock) else None
    if known is None or not extras.fits(known):
        if supply.locked:
            raise StaleLock(str(lock), "it is for other packages or another base", hint="build once without --locked")
        inputs.unwatched("packages over the base were chosen from what its archives list")
        known = extras.resolve(known)
        if supply.writes_locks:
            _write(known, lock, reporter)
    elif known.skipped != wanted.skipped:
        # Another reason is no reason to choose other packages.
        known = msgspec.structs.replace(known, skipped=dict(sorted(wanted.skipped.items())))
        if supply.writes_locks and not supply.locked:
            _write(known, lock, reporter)
    skipped = tuple(str(pin) for pin in known.packages if pin.name in known.skipped)
    for name, left_out in known.left_out.items():
        reporter.note(f"{base.name}: {left_out.line(name)}")
    for name, why in known.skipped.items():
        reporter.note(f"{base.name}: {name} is without what its maintainer scripts would do: {why}")
    layers = extras.layers(known)
    tree = base.tree.overlaid(entry for layer in layers for entry in layer.tree(store))
    return replace(base, layers=(*base.layers, *layers), tree=tree, skipped_scripts=skipped)


def _absent_locales(base: Base, names: Sequence[str]) -> tuple[str, ...]:
    """Those of ``names`` that containers of ``base`` would not have."""
    glibc = base.promise.glibc if base.promise is not None else (0, 0)
    modern = glibc == (0, 0) or glibc >= _WITH_UTF8
    with MappedFiles() as sources:
        return tuple(name for name in names if not has_locale(base.tree, name, sources, speaks_utf8=modern))


def _no_locale(base: Base, name: str) -> InvalidValue:
    """The error for a locale that cannot be put over a base made elsewhere."""
    if base.promise is not None and base.promise.musl != (0, 0):
        why = f"the C library of {base.name} is musl, which reads no locales from files"
        return InvalidValue("locale", name, why, hint='write locale = "C.UTF-8", or take a base of Debian')
    why = f"{base.name} has it not, and is not made of packages that ocibuild could add to"
    return InvalidValue("locale", name, why, hint="build on a base of layers/, or on an image that has it")


def _write(known: ExtraLock, lock: Path, reporter: Reporter) -> None:
    try:
        write_extra_lock(known, lock)
    except FileProblem as error:
        if not is_closed(error):
            raise
        reporter.note(f"{lock} could not be written, {error.why}; this run goes by what it would say")
    else:
        reporter.note(f"{lock}: written")


def fetch_extras(
    folder: Path, platform: Platform, *, lock: Path, supply: Supply, store: Store, reporter: Reporter
) -> Packages:
    """The packages that ``lock`` puts over the base in ``folder`` are in ``store`` afterwards.

    Raises StaleLock, PackageUnavailable.
    """
    files = read_extra_lock(lock).files
    opening = Opening(folder, platform, store, supply, reporter)
    with opening.sources(load_layer(folder)) as sources:
        fetch_packages(tuple(files.values()), sources, store=store, reporter=reporter)
    return Packages(files=files, renewed={})


def extra_files(lock: Path) -> frozenset[str]:
    """The names of the files ``fetch_extras`` gives; none without a lock. Raises StaleLock."""
    if not inputs.is_file(lock):
        return frozenset()
    return frozenset(read_extra_lock(lock).files)
