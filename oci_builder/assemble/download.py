"""Everything an image is made from, put beside its recipe: what a machine without network builds the same file of."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeGuard

from oci_builder import inputs
from oci_builder.assemble.base import BaseResolver, Place
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.fetched import bring, digest_of, kept_name
from oci_builder.assemble.other_images import folder_of
from oci_builder.assemble.pins import Pinning
from oci_builder.assemble.planner import pinning_of
from oci_builder.bases import (
    Packages,
    Pulling,
    Supply,
    base_files,
    blobs_of,
    extra_files,
    fetch_base,
    fetch_copy,
    fetch_extras,
    find_copy,
    host_platform,
)
from oci_builder.debian.recipe import is_layer
from oci_builder.digest import Digest, digest_file
from oci_builder.errors import CorruptBlob, InvalidValue, PackageUnavailable
from oci_builder.files import explained, open_regular
from oci_builder.folders import Folder
from oci_builder.oci.layout import BLOBS
from oci_builder.outputs import atomic
from oci_builder.platforms import Platform
from oci_builder.recipes import BASE, COPIED, DEBS, FETCHED, WHEELS, ImageSource
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import BACKENDS
from oci_builder.wheels.target import Target


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """What lies in the folders now: files ``kept`` and ``added``, and ``strangers`` that no lock names."""

    kept: tuple[Path, ...]
    added: tuple[Path, ...]
    strangers: tuple[Path, ...]


def download(
    source: ImageSource,
    *,
    dest: Path,
    platforms: Sequence[Platform] = (),
    context: BuildContext,
    policy: BuildPolicy,
) -> Downloaded:
    """Fill ``wheels/``, ``debs/`` or ``base/``, ``copied/`` and ``fetched/`` of ``dest`` with all that is named.

    That is for ``platforms``, by default the recipe's. A base made of packages is in ``debs/``, an image that it stands
    on in ``base/``.

    A missing lock is made first, one that fell behind is brought up to date. Files that are there and are what the
    locks name are not fetched again; every other file of a locked name is replaced. The packages of this machine's own
    platform come too: its Python makes the bytecode of the others. Raises InvalidValue for a platform that the recipe
    does not have, and what locking and fetching raise.
    """
    wanted = tuple(platforms) or source.recipe.targets
    for platform in wanted:
        if platform not in source.recipe.targets:
            known = ", ".join(map(str, source.recipe.targets))
            why = f"{source.recipe.name} is for {known}"
            raise InvalidValue("platform of the image", str(platform), why, hint="add it to platforms in image.toml")
    # wheels/ would make it offline, and it is half full when a download goes on where another was interrupted.
    policy = replace(policy, offline=bool(policy.offline))
    work = _Work(BaseResolver(source, context, policy), dest)
    for last in (False, True):
        try:
            return work.done(wanted)
        except CorruptBlob as error:
            if last:
                raise
            context.reporter.note(f"{error.what} damaged; fetched again")
    raise AssertionError("the second round returns or raises")


@dataclass(frozen=True)
class _Work:
    bases: BaseResolver
    dest: Path
    kept: list[Path] = field(default_factory=list)
    added: list[Path] = field(default_factory=list)

    @property
    def source(self) -> ImageSource:
        return self.bases.source

    @property
    def context(self) -> BuildContext:
        return self.bases.context

    @property
    def reporter(self) -> Reporter:
        return self.context.reporter

    @property
    def store(self) -> Store:
        return self.context.store

    def done(self, platforms: Sequence[Platform]) -> Downloaded:
        self.kept.clear()
        self.added.clear()
        known: dict[Path, set[str]] = {self.dest / name: set() for name in (WHEELS, DEBS)}
        for folder in known:
            _make(folder)
        with self.reporter.stage("base"):
            place = self.bases.place
            if place is not None and not _is_layer(place):
                known |= self._image(place, platforms, self.dest / BASE, self.bases.pulling)
        if self.bases.others.places:
            known |= self._others(platforms)
        if self.source.has_python:
            known[self.dest / WHEELS] = self._all_wheels(platforms)
        if _is_layer(place):
            known[self.dest / DEBS] = self._all_packages(place, platforms)
        else:
            known[self.dest / DEBS] = self._all_extras(platforms)
            if self.source.has_python:
                known[self.dest / DEBS] |= self._compiler(platforms[0])
        if self.source.recipe.fetch:
            known[self.dest / FETCHED] = self._fetched()
        return Downloaded(
            kept=tuple(sorted(self.kept)),
            added=tuple(sorted(self.added)),
            strangers=tuple(path for folder in known for path in _strangers(folder, known[folder])),
        )

    def _fetched(self) -> set[str]:
        """Bring the files of [[fetch]]; their names."""
        folder, fetches = self.dest / FETCHED, self.source.recipe.fetch
        _make(folder)
        with self.reporter.stage("files"):
            bring(self.source, self.context, self.bases.policy)
        for fetch in fetches:
            self._place_blob(folder / kept_name(fetch), digest_of(fetch))
        return set(map(kept_name, fetches))

    def _others(self, platforms: Sequence[Platform]) -> dict[Path, set[str]]:
        """Bring the images that the recipe copies out of; by folder, the names of what belongs there."""
        known: dict[Path, set[str]] = {}
        others, below = self.bases.others, self.dest / COPIED
        with self.reporter.stage("images"):
            for place in others.places.values():
                folder = below if isinstance(place, Path) else folder_of(below, place)
                pulling = self.bases.pulling if isinstance(place, Path) else others.pulling(place)
                for each, names in self._image(place, platforms, folder, pulling).items():
                    known[each] = known.get(each, set()) | names
        return known

    def _image(
        self, place: Path | Reference, platforms: Sequence[Platform], folder: Path, pulling: Pulling
    ) -> dict[Path, set[str]]:
        """Bring an image into ``folder``; by folder, the names of what belongs there."""
        if isinstance(place, Path):
            return self._files(place, folder)
        pulling = replace(pulling, beside=folder, lazily=False)
        copy = fetch_copy(place, platforms, pulling=pulling, store=self.store, reporter=self.reporter)
        for name, digest in copy.blobs.items():
            _make((folder / name).parent)
            self._place_blob(folder / name, digest)
        for name, data in copy.documents.items():
            with atomic(folder / name) as sink:
                sink.write(data)
        # Those of a platform that was asked for another time belong there, too.
        others = [find_copy(folder, place, each) for each in self.source.recipe.targets if each not in platforms]
        digests = {*copy.blobs.values(), *(digest for other in others if other for digest in blobs_of(other))}
        return {folder: {*copy.documents}, folder / BLOBS: {digest.hex for digest in digests}}

    def _files(self, place: Path, folder: Path) -> dict[Path, set[str]]:
        """Bring an image's file or folder, unless it lies with the recipe as it is."""
        if inputs.real(place).is_relative_to(inputs.real(self.dest)):
            return {}
        files = [place] if inputs.is_file(place) else sorted(path for path in place.rglob("*") if inputs.is_file(path))
        for path in files:
            copy = folder / path.relative_to(place.parent)
            _make(copy.parent)
            with explained(path):
                digest, _ = digest_file(str(path))
            if not self._has(copy, digest):
                with explained(path), open_regular(path) as stream, atomic(copy) as sink:
                    shutil.copyfileobj(stream, sink)
                self.added.append(copy)
        return {folder: {place.name}}

    def _all_wheels(self, platforms: Sequence[Platform]) -> set[str]:
        """Fetch the wheels; the names of all that the lock has."""
        with self.reporter.stage("resolve"):
            pinning = pinning_of(self.bases, self.bases.target(platforms[0]))
            found = pinning.download_pins([*map(pinning.on, platforms)])
        with self.reporter.stage("fetch"):
            for target, pins in found.pins.items():
                self._wheels(pins, target, pinning)
            self._backends(pinning, found.projects)
        return set(found.names)

    def _compiler(self, platform: Platform) -> set[str]:
        """Fetch the packages of the base of ``layers/`` whose Python may have to compile here; their names."""
        layer = self.bases.compiler_layer(self.bases.target(platform))
        host = host_platform()
        if layer is None or host is None:
            return set()
        with self.reporter.stage("packages"):
            try:
                return {*base_files(layer, host), *self._packages(layer, host)}
            except PackageUnavailable as error:
                self.reporter.note(f"{error}; so where this machine compiles with {layer.name}, others may not")
                return set(base_files(layer, host))

    def _all_packages(self, layer: Path, platforms: Sequence[Platform]) -> set[str]:
        """Fetch the packages; the names of all that the base's locks have, also for platforms not asked for now."""
        known = {name for platform in self.source.recipe.targets for name in base_files(layer, platform)}
        with self.reporter.stage("packages"):
            for platform in _with_host(platforms):
                known |= self._packages(layer, platform)
        return known | self._all_extras(platforms)

    def _all_extras(self, platforms: Sequence[Platform]) -> set[str]:
        """Fetch those of ``base-packages`` and locales; the names of all that their locks have."""
        if not self.source.recipe.needs_packages:
            return set()
        known = {name for platform in platforms for name in self._extras(platform)}
        return known | {n for each in self.source.recipe.targets for n in extra_files(self.source.base_lock(each))}

    def _wheels(self, pins: Sequence[WheelPin], target: Target, pinning: Pinning) -> None:
        folder = self.dest / WHEELS
        missing = [pin for pin in pins if not self._has(folder / pin.filename, pin.sha256)]
        pinning.fetch(missing, target)
        for pin in missing:
            self._put(folder / pin.filename, pin.sha256)

    def _backends(self, pinning: Pinning, projects: Iterable[Path]) -> None:
        """Fetch what builds the projects that are built here: the recipe's own, and those that its lock names."""
        folders = [*([] if self.source.project is None else [self.source.project]), *sorted(projects)]
        if not folders:
            return
        # Loaded only where a project is built.
        from oci_builder.wheels.project import download_backend

        for folder in folders:
            download_backend(folder, self.dest / WHEELS / BACKENDS, sources=pinning.sources)

    def _packages(self, layer: Path, platform: Platform) -> set[str]:
        supply = replace(self._supply(), offline=bool(self.bases.policy.offline))
        return self._place(fetch_base(layer, platform, store=self.store, supply=supply, reporter=self.reporter))

    def _extras(self, platform: Platform) -> set[str]:
        """Those of ``base-packages``: opening the base with them writes the lock that names them."""
        with self.reporter.stage("base"):
            base = self.bases.open(platform)
        if not inputs.is_file(self.source.base_lock(platform)):
            # The base has the locales that are asked for.
            return set()
        archives = self.bases.archives(base)
        supply = self._supply()
        with self.reporter.stage("packages"):
            lock = self.source.base_lock(platform)
            return self._place(
                fetch_extras(archives, platform, lock=lock, supply=supply, store=self.store, reporter=self.reporter)
            )

    def _supply(self) -> Supply:
        return replace(self.bases.supply, debs=self.dest / DEBS)

    def _place(self, packages: Packages) -> set[str]:
        folder = self.dest / DEBS
        for name, pin in sorted(packages.files.items()):
            self._place_blob(folder / name, pin.digest)
        for name, data in packages.renewed.items():
            with atomic(folder / name) as sink:
                sink.write(data)
        return {*packages.files, *packages.renewed}

    def _place_blob(self, path: Path, digest: Digest) -> None:
        if not self._has(path, digest):
            self._put(path, digest)

    def _has(self, path: Path, digest: Digest) -> bool:
        if path in self.kept or path in self.added:
            return True
        with explained(path):
            if not inputs.is_file(path) or digest_file(str(path))[0] != digest:
                return False
        self.kept.append(path)
        return True

    def _put(self, path: Path, digest: Digest) -> None:
        with explained(path):
            size = inputs.size_of(self.store.path(digest))
        with atomic(path) as sink:
            for chunk in self.store.chunks(digest, size):
                sink.write(chunk)
        self.added.append(path)


def prune(downloaded: Downloaded) -> None:
    """Remove the strangers. Raises FileProblem."""
    for path in downloaded.strangers:
        with explained(path):
            # No link: what a checkout's wheels/ leads to elsewhere is none of ours.
            folder = Folder(path.parent, at=Folder(path.parent.parent))
            with suppress(FileNotFoundError):
                folder.remove(path.name)


def _make(folder: Path) -> None:
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _is_layer(place: Place) -> TypeGuard[Path]:
    return isinstance(place, Path) and is_layer(place)


def _with_host(platforms: Iterable[Platform]) -> tuple[Platform, ...]:
    host = host_platform()
    return tuple(dict.fromkeys((*platforms, *([host] if host is not None else []))))


def _strangers(folder: Path, known: Iterable[str]) -> Iterator[Path]:
    names = set(known)
    with explained(folder):
        files = [path for path in inputs.listing(folder) if path.is_symlink() or inputs.is_file(path)]
    return (path for path in files if path.name not in names and not path.name.startswith("."))
