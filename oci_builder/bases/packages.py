"""More Debian packages over a base, for one image: one of ``layers/``, or any image with a list of dpkg's packages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from oci_builder import inputs
from oci_builder.bases.base import Base
from oci_builder.bases.glance import BaseGlance
from oci_builder.bases.layers import Packages
from oci_builder.debian.archives import Archives, layer_of
from oci_builder.debian.distribution import ADDED_BY, OsRelease, distribution_of, has_dpkg, packager_of
from oci_builder.debian.extralock import ExtraLock, read_extra_lock, write_extra_lock
from oci_builder.debian.installed import FOLDER
from oci_builder.debian.localenames import has_locale
from oci_builder.debian.locales import PACKAGE as LOCALES
from oci_builder.debian.sources import fetch_packages
from oci_builder.debian.supply import Supply
from oci_builder.debian.wanted import WantedPackages
from oci_builder.digest import Digest
from oci_builder.errors import FileProblem, InvalidValue, PackageError, StaleLock
from oci_builder.files import is_closed
from oci_builder.platforms import Platform
from oci_builder.reporter import Quiet, Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles

if TYPE_CHECKING:
    from oci_builder.debian.extras import Extras

_WITH_UTF8 = (2, 35)
"""The C library that has C.UTF-8 without a file."""

_OTHER_BASES = 'base = "python-3.11" of layers/, or an image of Debian such as docker.io/library/python:3.12-slim'


def archives_of(base: Base, layers: Iterable[Path], *, wanted: str) -> Archives:
    """Where packages over ``base`` come from: whence it is made itself, or one of ``layers`` of the same release.

    Raises PackageError, naming the ``wanted`` package, for a base without a list of dpkg's, or of a release that none
    of them is of.
    """
    if base.folder is not None:
        return Archives.of_layer(base.folder, base.platform)
    check_packaged(base, wanted)
    found = release_of(base)
    layer = layer_of(found, layers) if found is not None else None
    if layer is None:
        raise PackageError(wanted, f"{base.name} is {_release(found)}", hint=_how_to_name(found))
    return Archives.of_layer(layer, base.platform)


def check_packaged(base: Base, wanted: str) -> None:
    """``base`` says which packages of Debian's kind it has. Raises PackageError, naming the ``wanted`` one."""
    if is_packaged(base):
        return
    if not len(base.tree):
        why = f"{base.name} is empty, and packages of Debian go over a Debian"
        raise PackageError(wanted, why, hint=f"take {_OTHER_BASES}")
    packager = packager_of(base.tree)
    if packager:
        why = f"{base.name} is {_named(release_of(base))}, whose packages are {packager}'s, and this is one of Debian"
        hint = (
            f"have an image made with {ADDED_BY[packager]}, by a Dockerfile of its own, and name that as base; or take "
            f"{_OTHER_BASES}"
        )
        raise PackageError(wanted, why, hint=hint)
    why = f"{base.name} has no list of packages (/var/lib/dpkg/status, or status.d), so nobody knows what is missing"
    raise PackageError(wanted, why, hint=f"take {_OTHER_BASES}")


def is_packaged(base: Base) -> bool:
    """Whether ``base`` says which packages of Debian's kind it has."""
    return base.folder is not None or has_dpkg(base.tree) or any(path.startswith(FOLDER) for path in base.tree.paths)


def release_of(base: Base) -> OsRelease | None:
    """The distribution that a base says it is of."""
    with MappedFiles() as sources:
        return distribution_of(base.tree, sources)


def _named(found: OsRelease | None) -> str:
    return found.name if found is not None else "of an unnamed distribution"


def _release(found: OsRelease | None) -> str:
    if found is None:
        return "of no distribution that it names (/etc/os-release), so nobody knows whose packages fit"
    return f"{found.name}, and no base of layers/ is of it, which would say whose archive and keys that has"


def _how_to_name(found: OsRelease | None) -> str:
    archive, name = (found.id, found.codename) if found is not None and found.codename else ("debian", "bookworm")
    return (
        f'say in image.toml whose packages fit: [base-packages] suites = ["{archive}/{name}"] and '
        f'keys = ["{archive}-archive-keyring.gpg"], a copy of the file of its public keys (in most images that is '
        f"/usr/share/keyrings/{archive}-archive-keyring.gpg), and where its archive is, with --mirror; or take "
        f"{_OTHER_BASES}"
    )


def with_packages(
    base: Base, wanted: WantedPackages, *, lock: Path, supply: Supply, store: Store, reporter: Reporter
) -> Base:
    """``base`` with more Debian packages over it, as a layer of their own, and the locales that it has not, as another.

    What was left out is said.

    ``lock`` is the file that says which; one that is not there, or is for other packages, is written, unless
    ``supply`` is locked. Raises StaleLock, PackageError for a package that is not there or has a script that would
    have to run, or for a base that has none, PackageUnavailable.
    """
    wanted = replace(wanted, locales=absent_locales(base, wanted.locales))
    if not wanted.names and not wanted.locales:
        return base
    extras = _extras(base, wanted, supply, store, reporter)
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
    if known.requested and not known.packages:
        reporter.note(f"{base.name}: has {', '.join(known.requested)} already, as it is")
    layers = extras.layers(known)
    tree = base.tree.overlaid(entry for layer in layers for entry in layer.tree(store))
    return replace(base, layers=(*base.layers, *layers), tree=tree, skipped_scripts=skipped)


def absent_locales(base: Base, names: Sequence[str]) -> tuple[str, ...]:
    """Those of ``names`` that containers of ``base`` would not have."""
    glibc = base.promise.glibc if base.promise is not None else (0, 0)
    modern = glibc == (0, 0) or glibc >= _WITH_UTF8
    with MappedFiles() as sources:
        return tuple(name for name in names if not has_locale(base.tree, name, sources, speaks_utf8=modern))


def check_localizable(base: Base, name: str) -> None:
    """Locales can be put over ``base``. Raises InvalidValue, for the locale ``name``, where that is none of Debian."""
    if base.promise is not None and base.promise.musl != (0, 0):
        why = f"the C library of {base.name} is musl, which reads no locales from files"
        raise InvalidValue("locale", name, why, hint='write locale = "C.UTF-8", or take a base of Debian')
    if not is_packaged(base):
        why = f"{base.name} has it not, and is not made of packages that ocibuild could add to"
        raise InvalidValue("locale", name, why, hint="build on a base of Debian, or on an image that has it")


def glance_packages(base: Base, wanted: WantedPackages, *, lock: Path, supply: Supply, store: Store) -> BaseGlance:
    """What is here of the layer of packages over ``base``, without fetching or making anything of it.

    Raises PackageError for a base that has none, StaleLock.
    """
    wanted = replace(wanted, locales=absent_locales(base, wanted.locales))
    extras = _extras(base, wanted, supply, store, Quiet())
    known = read_extra_lock(lock) if inputs.is_file(lock) else None
    name = f"packages: {', '.join((*wanted.names, *wanted.locales))}"
    if known is None or not extras.fits(known):
        why = f"{lock.name} is for other packages or another base" if known else f"there is no {lock.name} yet"
        return BaseGlance(name=name, there=False, why=why)
    there = extras.are_made(known)
    absent = sum(pin.size for pin in known.files.values() if not store.has(pin.digest, pin.size))
    return BaseGlance(
        name=name, there=there, why="" if there else "it was not made here yet", fetch=0 if there else absent
    )


def _extras(base: Base, wanted: WantedPackages, supply: Supply, store: Store, reporter: Reporter) -> Extras:
    first = (*wanted.names, LOCALES)[0]
    if not wanted.names:
        check_localizable(base, wanted.locales[0])
    check_packaged(base, first)
    # Loaded only where packages are added.
    from oci_builder.debian.extras import Extras
    from oci_builder.debian.ground import Ground

    ours = base.folder is not None
    identity = _identity(base)
    ground = Ground(
        name=base.name if ours else identity,
        identity=identity,
        tree=base.tree,
        platform=base.platform,
        archives=wanted.archives or archives_of(base, (), wanted=first),
        is_ours=ours,
    )
    return Extras(ground, wanted, supply, store, reporter)


def _identity(base: Base) -> str:
    """What names the bytes below: the layer's own digest, or that of the digests of all of them."""
    diff_ids = [str(layer.diff_id) for layer in base.layers]
    return diff_ids[0] if len(diff_ids) == 1 else str(Digest.of(" ".join(diff_ids).encode()))


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
    archives: Archives, platform: Platform, *, lock: Path, supply: Supply, store: Store, reporter: Reporter
) -> Packages:
    """The packages that ``lock`` puts over a base, from ``archives``, are in ``store`` afterwards.

    Raises StaleLock, PackageUnavailable.
    """
    files = read_extra_lock(lock).files
    with supply.sources(archives.suites, archives.mirrors, platform, store) as sources:
        fetch_packages(tuple(files.values()), sources, store=store, reporter=reporter)
    return Packages(files=files, renewed={})


def extra_files(lock: Path) -> frozenset[str]:
    """The names of the files ``fetch_extras`` gives; none without a lock. Raises StaleLock."""
    if not inputs.is_file(lock):
        return frozenset()
    return frozenset(read_extra_lock(lock).files)
