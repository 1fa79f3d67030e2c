"""A base resolved anew: the newest signed version of every package on the recipe's list, and nothing left hanging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

from oci_builder.bounded import parse_decimal
from oci_builder.debian.control import Dependency, dependencies, provides, stanzas
from oci_builder.debian.lock import SCHEMA, Pin, RootfsLock, SuitePin, moment, problem_of
from oci_builder.debian.recipe import LayerRecipe, Suite
from oci_builder.debian.signed import Release
from oci_builder.debian.sources import ArchiveSource, reason, way_to_packages
from oci_builder.debian.trust import Trust
from oci_builder.debian.versions import satisfies, upstream, version_key
from oci_builder.errors import ArchiveIndexError, OcibuildError, PackageError, PackageUnavailable, StaleLock
from oci_builder.files import is_full
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter

Stanza = Mapping[str, str]

_MAX_VERSIONS = 100
"""Entries of one package in a suite's index; Debian's suites have one, and some a few."""


def update(
    recipe: LayerRecipe,
    platform: Platform,
    sources: Sequence[ArchiveSource],
    *,
    trust: Trust,
    reporter: Reporter,
) -> RootfsLock:
    """The recipe's packages in their newest versions, by the first of ``sources`` whose signed indexes hold.

    Raises ArchiveIndexError, TransportError or ToolFailed if the only source does not serve, PackageUnavailable if
    none of several does; PackageError when a package, or
    something one of them depends on, is not to be had.
    """
    tried: list[OcibuildError] = []
    for source in sources:
        reporter.advance(source.name, 0, None)
        try:
            indexes = _indexes(recipe, platform.architecture, source, trust)
        except OcibuildError as error:
            if is_full(error):
                raise
            tried.append(error)
            continue
        trust.remember(release for release, _ in indexes)
        return _locked(recipe, platform.architecture, indexes)
    if len(tried) == 1:
        raise tried[0]
    places = [f"{source.name}: {reason(error)}" for source, error in zip(sources, tried, strict=True)]
    hint = way_to_packages()
    raise PackageUnavailable("the signed indexes", tried=places or ["no source to take them from"], hint=hint)


Index = tuple[Release, list[tuple[Stanza, Pin]]]


def _indexes(recipe: LayerRecipe, architecture: str, source: ArchiveSource, trust: Trust) -> list[Index]:
    wanted = frozenset(recipe.source.packages)
    found: list[Index] = []
    for suite in recipe.source.suite_list():
        release = trust.release(source, suite)
        index = source.packages_index(release, architecture)
        found.append((release, list(entries_of(index, release, wanted, architecture))))
    return found


def _locked(recipe: LayerRecipe, architecture: str, indexes: Sequence[Index]) -> RootfsLock:
    chosen: dict[str, tuple[Stanza, Pin]] = {}
    for _, packages in indexes:
        for fields, pin in packages:
            present = chosen.get(pin.name)
            if present is None or version_key(pin.version) > version_key(present[1].version):
                chosen[pin.name] = (fields, pin)
    absent = [name for name in recipe.source.packages if name not in chosen]
    if absent:
        suites = ", ".join(recipe.source.suites)
        raise PackageError(absent[0], f"in none of {suites} for {architecture}", hint="check layer.toml's packages")
    _check_closure(recipe, {name: fields for name, (fields, _) in chosen.items()})
    lock = RootfsLock(
        schema=SCHEMA,
        architecture=architecture,
        suites=tuple(suite_pin(release) for release, _ in indexes),
        packages=tuple(chosen[name][1] for name in sorted(chosen)),
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
        for virtual in provides(fields):
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


def entries_of(
    index: bytes, release: Release, names: Container[str], architecture: str
) -> Iterator[tuple[Stanza, Pin]]:
    """The packages of these ``names`` in a verified index, as it has them and as a lock would.

    Raises PackageError for an entry that does not read, ArchiveIndexError for more entries of one name than an archive
    has.
    """
    counts: Counter[str] = Counter()
    for fields in stanzas(index, names):
        counts[fields["package"]] += 1
        if counts[fields["package"]] > _MAX_VERSIONS:
            why = f"it lists {fields['package']} more than {_MAX_VERSIONS} times"
            raise ArchiveIndexError(str(release.suite), why)
        if fields.get("architecture") in (architecture, "all"):
            yield fields, pin_of(fields, release.suite)


def pin_of(fields: Stanza, suite: Suite) -> Pin:
    """A package of an index as a lock has it. Raises PackageError for an entry that does not read."""
    try:
        pin = Pin(
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
    except KeyError as error:
        raise _unreadable(fields, f"it has no field {error}") from error
    except ValueError as error:
        raise _unreadable(fields, f"its size is {error}") from error
    if why := problem_of(pin):
        raise _unreadable(fields, why)
    return pin


def _unreadable(fields: Stanza, why: str) -> PackageError:
    name, hint = fields.get("package", "?"), "the mirror is broken or not Debian's"
    return PackageError(name, f"its entry in the index cannot be read: {why}", hint=hint)
