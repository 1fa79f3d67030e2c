"""A base resolved anew: the newest signed version of every package on the recipe's list, and nothing left hanging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from oci_builder.bounded import parse_decimal
from oci_builder.debian.control import Dependency, dependencies, stanzas
from oci_builder.debian.lock import SCHEMA, Pin, RootfsLock, SuitePin, moment
from oci_builder.debian.recipe import LayerRecipe, Suite
from oci_builder.debian.signed import Release, verify_release
from oci_builder.debian.sources import ArchiveSource, reason
from oci_builder.debian.versions import satisfies, upstream, version_key
from oci_builder.errors import ArchiveIndexError, OcibuildError, PackageError, PackageUnavailable, StaleLock
from oci_builder.listener import Listener
from oci_builder.platforms import Platform

Stanza = Mapping[str, str]


def update(
    recipe: LayerRecipe,
    platform: Platform,
    sources: Sequence[ArchiveSource],
    *,
    keys: Sequence[Path],
    now: int,
    listener: Listener,
    after: RootfsLock | None = None,
) -> RootfsLock:
    """The recipe's packages in their newest versions, by the first of ``sources`` whose signed indexes hold.

    ``now`` is in seconds since 1970. An index older than the one ``after`` was made from does not hold: an old
    signature stays good for ever, and whoever replays it brings back what was repaired since. Raises
    ArchiveIndexError, TransportError or ToolFailed if no source serves; PackageError when a package, or something one
    of them depends on, is not to be had.
    """
    tried: list[OcibuildError] = []
    for source in sources:
        listener.advance(source.name, 0, None)
        try:
            indexes = _indexes(recipe, platform.architecture, source, keys=keys, now=now)
            _check_no_older([release for release, _ in indexes], after)
        except OcibuildError as error:
            tried.append(error)
            continue
        return _locked(recipe, platform.architecture, indexes)
    if len(tried) == 1:
        raise tried[0]
    places = [f"{source.name}: {reason(error)}" for source, error in zip(sources, tried, strict=True)]
    hint = "name a mirror of Debian's archives with --mirror"
    raise PackageUnavailable("the signed indexes", tried=places or ["no source to take them from"], hint=hint)


Index = tuple[Release, list[Stanza]]


def _indexes(
    recipe: LayerRecipe, architecture: str, source: ArchiveSource, *, keys: Sequence[Path], now: int
) -> list[Index]:
    wanted = frozenset(recipe.source.packages)
    found: list[Index] = []
    for suite in recipe.source.suite_list():
        release = verify_release(source.inrelease(suite), suite, keys=keys, now=now)
        index = source.packages_index(release, architecture)
        found.append((release, [fields for fields in stanzas(index, wanted) if _fits(fields, architecture)]))
    return found


def _check_no_older(releases: Sequence[Release], after: RootfsLock | None) -> None:
    dates = {(pin.archive, pin.suite): int(pin.date.timestamp()) for pin in after.suites} if after else {}
    for release in releases:
        locked = dates.get((release.suite.archive, release.suite.name), 0)
        if release.date < locked:
            why = f"signed {moment(release.date):%Y-%m-%d}, before the lock's own index of {moment(locked):%Y-%m-%d}"
            raise ArchiveIndexError(str(release.suite), why, hint="the mirror is behind; take another one")


def _fits(fields: Stanza, architecture: str) -> bool:
    return fields.get("architecture") in (architecture, "all")


def _locked(recipe: LayerRecipe, architecture: str, indexes: Sequence[Index]) -> RootfsLock:
    chosen: dict[str, tuple[Stanza, Suite]] = {}
    for release, packages in indexes:
        for fields in packages:
            present = chosen.get(fields["package"])
            if present is None or version_key(fields["version"]) > version_key(present[0]["version"]):
                chosen[fields["package"]] = (fields, release.suite)
    absent = [name for name in recipe.source.packages if name not in chosen]
    if absent:
        suites = ", ".join(recipe.source.suites)
        raise PackageError(absent[0], f"in none of {suites} for {architecture}", hint="check layer.toml's packages")
    _check_closure(recipe, {name: fields for name, (fields, _) in chosen.items()})
    lock = RootfsLock(
        schema=SCHEMA,
        architecture=architecture,
        suites=tuple(suite_pin(release) for release, _ in indexes),
        packages=tuple(pin_of(fields, suite) for _, (fields, suite) in sorted(chosen.items())),
    )
    check_promise(recipe, lock)
    return lock


def check_promise(recipe: LayerRecipe, lock: RootfsLock) -> None:
    """The locked packages are of the versions that the recipe promises. Raises PackageError."""
    promises = (
        (f"python{recipe.python.minor}", recipe.python.version, "version"),
        ("libc6", recipe.python.glibc, "glibc"),
    )
    for package, promised, key in promises:
        locked = lock.version(package)
        if upstream(locked) != promised:
            why = f"{locked or 'not'} locked, and layer.toml promises {promised}"
            raise PackageError(package, why, hint=f"make python.{key} in layer.toml what the packages are")


def check_lock(recipe: LayerRecipe, lock: RootfsLock, *, path: Path) -> None:
    """``lock``, which is at ``path``, was made of ``recipe`` as it is now. Raises StaleLock, PackageError."""
    listed, locked = set(recipe.source.packages), {pin.name for pin in lock.packages}
    if listed != locked:
        odd = min(listed ^ locked)
        why = f"layer.toml lists {odd}, the lock does not" if odd in listed else f"layer.toml does not list {odd}"
        raise StaleLock(str(path), why, hint=f"generate it anew: ocibuild base update {path.parent.name}")
    check_promise(recipe, lock)


def _check_closure(recipe: LayerRecipe, chosen: Mapping[str, Stanza]) -> None:
    provided: dict[str, list[str]] = {}
    for fields in chosen.values():
        for (virtual,) in dependencies(fields, "provides"):
            provided.setdefault(virtual.name, []).append(virtual.version)
    for name, fields in chosen.items():
        for alternatives in dependencies(fields, "pre-depends", "depends"):
            if not any(_met(wanted, recipe, chosen, provided) for wanted in alternatives):
                raise PackageError(
                    name,
                    f"depends on {' | '.join(map(str, alternatives))}, which is neither listed nor cut",
                    hint="add it to packages in layer.toml, or to [source.cut] with the reason",
                )


def _met(
    wanted: Dependency, recipe: LayerRecipe, chosen: Mapping[str, Stanza], provided: Mapping[str, Sequence[str]]
) -> bool:
    if wanted.name in recipe.source.cut:
        return True
    fields = chosen.get(wanted.name)
    if fields is not None and satisfies(fields["version"], wanted.relation, wanted.version):
        return True
    versions = provided.get(wanted.name, ())
    return any(not wanted.relation or (v and satisfies(v, wanted.relation, wanted.version)) for v in versions)


def suite_pin(release: Release) -> SuitePin:
    """A verified index as a lock has it."""
    return SuitePin(
        archive=release.suite.archive,
        suite=release.suite.name,
        date=moment(release.date),
        inrelease=release.inrelease.hex,
        signers=release.signers,
    )


def pin_of(fields: Stanza, suite: Suite) -> Pin:
    """A package of an index as a lock has it. Raises PackageError for an entry that does not read."""
    try:
        return Pin(
            name=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            # "glibc (2.36-9)" where source and binary differ in version.
            source=fields.get("source", fields["package"]).partition(" ")[0],
            archive=suite.archive,
            suite=suite.name,
            path=fields["filename"],
            size=parse_decimal(fields["size"]),
            sha256=fields["sha256"],
        )
    except (KeyError, ValueError) as error:
        raise PackageError(fields.get("package", "?"), f"its entry in the index cannot be read: {error}") from error
