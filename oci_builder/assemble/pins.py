"""Which wheels a build takes: those of its lock, or what pip resolves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from oci_builder import inputs
from oci_builder.assemble.carried_wheels import CarriedWheels
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.foreign_locks import ForeignLocks, check_lockable
from oci_builder.assemble.inputs import Inputs, with_backends
from oci_builder.assemble.local_projects import LocalProjects
from oci_builder.digest import Digest
from oci_builder.errors import FileProblem, OcibuildError, StaleLock
from oci_builder.files import is_closed, open_regular
from oci_builder.outputs import atomic
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.tree.limits import MAX_UNPACKED
from oci_builder.wheels import lock as locks
from oci_builder.wheels.closure import closure
from oci_builder.wheels.fetch import fetch_wheels
from oci_builder.wheels.lock import encode
from oci_builder.wheels.pins import LocalProject, LockedWheels, WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.requirements import fingerprint, read, scan, wheel_folders
from oci_builder.wheels.resolve import resolve
from oci_builder.wheels.target import Target
from oci_builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class LockChange:
    """What locking came to: the file, the text it should hold, and the moves from the old to the new in words.

    ``beside`` are files of constraints that are made with it, and their texts.
    """

    path: Path
    text: bytes
    changes: tuple[str, ...]
    beside: Mapping[Path, bytes] = field(default_factory=dict)

    @property
    def behind(self) -> tuple[Path, ...]:
        """The files that do not hold what they should."""
        files = {self.path: self.text, **self.beside}
        return tuple(path for path, text in files.items() if not inputs.is_file(path) or _content(path) != text)

    @property
    def current(self) -> bool:
        """Whether there is nothing to write."""
        return not self.behind

    def keep(self) -> None:
        """Make each file hold its text; it appears whole. Raises FileProblem."""
        files = {self.path: self.text, **self.beside}
        for path in self.behind:
            with atomic(path) as sink:
                sink.write(files[path])


@dataclass(frozen=True, kw_only=True)
class DownloadPins:
    """What belongs into a folder of wheels: the pins of each target, the names of all, and the folders of projects."""

    pins: Mapping[Target, tuple[WheelPin, ...]]
    names: Collection[str]
    projects: Collection[Path] = ()


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The wheels for one target, and the ``projects`` to build besides; ``lock`` is the digest of the lock that names
    them, None where none does."""

    pins: tuple[WheelPin, ...]
    lock: Digest | None = None
    projects: tuple[LocalProject, ...] = ()


def wheel_sources(source: ImageSource, context: BuildContext, policy: BuildPolicy) -> WheelSources:
    """Where wheels come from: a ``wheels/`` folder beside the recipe makes a build offline unless it is told not to."""
    folder = inputs.is_dir(source.wheels)
    offline = folder if policy.offline is None else policy.offline
    links: list[Path | str] = [source.wheels] if folder else []
    links += [source.folder / link if "://" not in link else link for link in source.recipe.python.find_links]
    return WheelSources(
        find_links=(*links, *policy.find_links),
        offline=offline,
        image=source.called,
        files=source.requirements,
        downloads=_downloads(source),
        build=frozenset(map(canonicalize_name, source.recipe.python.build)),
        environ=context.environ,
        most=max(source.recipe.max_unpacked_bytes, MAX_UNPACKED),
    )


def _downloads(source: ImageSource) -> tuple[Path, ...]:
    """The folders beside a recipe that hold what was downloaded for it: by that alone are they told from sources."""
    kinds = {source.wheels: ("*.whl",), source.debs: ("*.deb",), source.base_copy: ("index.json", "*.tar", "*.tar.gz")}
    found = [folder for folder, kind in kinds.items() if any(inputs.matching(folder, each) for each in kind)]
    return (*found, *([source.fetched] if source.recipe.fetch else []))


@dataclass(frozen=True, kw_only=True)
class Pinning:
    """The choice of wheels for one recipe, built now for ``target``.

    ``elsewhere`` opens the same base on another platform, which only those ask for who need it. ``base`` is the image
    of a registry that it stands on, with its digest; empty for bases that have their own locks. ``images`` are those
    that it copies out of, with theirs.
    """

    source: ImageSource
    inputs: Inputs
    target: Target
    elsewhere: Callable[[Platform], Target]
    context: BuildContext
    policy: BuildPolicy
    base: str = ""
    images: tuple[str, ...] = ()

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """Those that the recipe's lock speaks for, and the one built now."""
        return tuple(dict.fromkeys((*self.source.recipe.targets, self.target.platform)))

    def on(self, platform: Platform) -> Target:
        """What the base promises on ``platform``. Raises what opening it there raises."""
        return self.target if platform == self.target.platform else self.elsewhere(platform)

    @property
    def sources(self) -> WheelSources:
        """Where the resolver finds wheels."""
        return wheel_sources(self.source, self.context, self.policy)

    @property
    def fetch_sources(self) -> WheelSources:
        """The same for pins, which no longer say what the requirements say of indexes and of local wheels."""
        sources = self.sources
        try:
            asked = read(self.inputs.requirements, environ=self.context.environ)
        except OcibuildError:
            if self.policy.frozen:
                return sources  # a lock taken unseen holds whatever the requirements have become
            raise
        return replace(sources, find_links=(*sources.find_links, *wheel_folders(asked.lines)), options=asked.where)

    def fetch(self, pins: Sequence[WheelPin], target: Target) -> Mapping[str, Path]:
        """The files of ``pins`` by digest, verified and in the store. Raises what fetching raises."""
        context = self.context
        return fetch_wheels(
            pins,
            target,
            sources=self.fetch_sources,
            store=context.store,
            jobs=context.jobs,
            reporter=context.reporter,
        )

    def choose(self, target: Target) -> Chosen:
        """The wheels for ``target``. Without a lock pip resolves; one that fell behind is brought up to date, in file.

        Where there is a folder ``wheels/`` what it holds decides, for ``target`` alone: the lock as far as the folder
        has it, and what differs is told. Raises StaleLock where ``locked`` or ``frozen`` ask for a lock that is not
        there or does not hold, and what resolving raises.
        """
        if self._foreign.decide:
            found = self._foreign.choose(target, self.fetch_sources)
            return Chosen(pins=found.pins, lock=found.digest, projects=found.projects)
        lock = self._current()
        if self._carries_wheels and (lock is None or not self._shelf(target).holds(lock, target)):
            return self._carried(target, current=lock is not None)
        if lock is not None:
            selected = self._selected(lock, target)
            digest = Digest.of(_content(self.source.lock))
            if self.source.borrowed_lock is not None:
                self.context.reporter.note(f"{lock.path.name} decides: {counted(selected.count, 'package')}")
            return Chosen(pins=selected.pins, lock=digest, projects=self._local.take(selected))
        if not inputs.is_file(self.source.lock):
            return Chosen(pins=self._resolved(target, preferred=()))
        if not self.policy.update_lock:
            return Chosen(pins=self._resolved(target, preferred=_known(locks.read(self.source.lock), target)))
        text = self._brought_up_to_date()
        return Chosen(pins=locks.parse(text, path=self.source.lock).select(target), lock=Digest.of(text))

    @property
    def _foreign(self) -> ForeignLocks:
        return ForeignLocks(source=self.source, context=self.context, policy=self.policy)

    def build(self, projects: Sequence[LocalProject]) -> tuple[WheelPin, ...]:
        """The wheels of what is to be built, in the store, for the target built now. Raises what building raises."""
        local = self._foreign.local if self._foreign.decide else self._local
        return local.build(projects, self.target, with_backends(self.source, self.sources))

    @property
    def _local(self) -> LocalProjects:
        """What another tool's pylock.toml names on this machine."""
        return LocalProjects(source=self.source, lock=self.source.lock, context=self.context, policy=self.policy)

    def download_pins(self, targets: Sequence[Target]) -> DownloadPins:
        """The wheels for each target, the names of all that belong into a folder of them, and the folders of projects
        that are built here. Raises as ``choose``."""
        if self._foreign.decide:
            every = {target: self.choose(target) for target in (*targets, *map(self.on, self.platforms))}
            return DownloadPins(
                pins={target: every[target].pins for target in targets},
                names={pin.filename for found in every.values() for pin in found.pins},
                projects={each.folder for found in every.values() for each in found.projects},
            )
        lock = self.locked()
        selected = {target: self._selected(lock, target) for target in targets}
        return DownloadPins(
            pins={target: found.pins for target, found in selected.items()},
            names={wheel.filename for package in lock.document.packages for wheel in package.wheels or ()}
            | {pin.filename for found in selected.values() for pin in found.pins},
            projects={each.folder for found in selected.values() for each in self._local.take(found)},
        )

    def _selected(self, lock: locks.WheelLock, target: Target) -> LockedWheels:
        """What a lock has for a target; of another tool's, with the extras and groups that are wanted."""
        python = self.source.recipe.python
        # Beside a project they are that project's, for which whoever exported the lock has chosen.
        if lock.fingerprint or not self.source.borrowed_lock or self.source.project is not None:
            return lock.choose(target)
        extras, groups = map(canonicalize_name, python.extras), map(canonicalize_name, python.groups)
        return lock.choose(target, extras=tuple(extras), groups=tuple(groups))

    def locked(self) -> locks.WheelLock:
        """The lock, made or brought up to date, in file, where that is needed. Raises as ``choose``."""
        lock = self._current()
        if lock is not None:
            return lock
        return locks.parse(self._brought_up_to_date(), path=self.source.lock)

    def relock(self, *, upgrade: bool = False, upgrade_packages: Collection[str] = ()) -> LockChange:
        """Resolve for every target, keeping what the lock holds but for what is to be upgraded. Writes nothing.

        Raises RecipeError where the recipe names a lock instead of requirements, and as ``resolve``.
        """
        source = self.source
        check_lockable(source)
        old = locks.read(source.lock) if inputs.is_file(source.lock) else None
        pins: dict[Target, tuple[WheelPin, ...]] = {}
        for target in map(self.on, self.platforms):
            known = _known(old, target) if old is not None and not upgrade else ()
            preferred = [pin for pin in known if pin.name not in upgrade_packages]
            pins[target] = self._resolved(target, preferred=preferred)
        text = encode(
            pins, fingerprint=self._fingerprint([str(target) for target in pins]), base=self.base, images=self.images
        )
        new = locks.parse(text, path=source.lock)
        return LockChange(
            path=source.lock,
            text=text,
            changes=tuple(locks.changes(old, new)),
            beside=self._constraints(pins),
        )

    def recheck(self) -> LockChange:
        """Hold another tool's lock to what it was made from, for every target; there is nothing to write.

        Raises StaleLock where it does not hold, and as ``choose``.
        """
        path = self.source.borrowed_lock or self.source.foreign_locks[0]
        for target in map(self.on, self.platforms):
            if self.source.borrowed_lock is not None:
                self._selected(locks.read(path), target)
            else:
                self._foreign.check(target, self.fetch_sources)
        return LockChange(path=path, text=_content(path), changes=())

    def _constraints(self, pins: Mapping[Target, Sequence[WheelPin]]) -> dict[Path, bytes]:
        asked = read(self.inputs.requirements, environ=self.context.environ)
        if not asked.made:
            return {}
        wanted = [(line.name, line.specifier) for line in asked.lines if not line.constraint]
        return dict.fromkeys(asked.made, closure(pins, asked=wanted))

    def _current(self) -> locks.WheelLock | None:
        """The lock as far as it holds; None where it does not, or is not there."""
        source, policy = self.source, self.policy
        hint = f"ocibuild lock {source.called}"
        if not inputs.is_file(source.lock):
            if policy.locked or policy.frozen:
                raise StaleLock(str(source.lock), "there is no lock", hint=f"write it: {hint}")
            return None
        lock = locks.read(source.lock)
        # A lock of another tool says nothing of what it was made from; it is taken as it is.
        if policy.frozen or source.borrowed_lock or not lock.fingerprint:
            return lock
        images = (lock.base, lock.images) == (self.base, self.images)
        if images and lock.fingerprint == self._fingerprint(self._targets(lock)):
            return lock
        if policy.locked:
            why = "the requirements, the base or the platforms have changed since"
            online = f" ({hint} --online, where wheels/ does not have all)" if inputs.is_dir(source.wheels) else ""
            raise StaleLock(str(source.lock), why, hint=f"bring it up to date: {hint}{online}")
        return None

    def _brought_up_to_date(self) -> bytes:
        """What the lock says now; where its folder is closed to us, what it would say."""
        path = self.source.lock
        was = (
            "was behind and has been brought up to date" if inputs.is_file(path) else "was missing and has been written"
        )
        change = self.relock()
        try:
            change.keep()
        except FileProblem as error:
            if not is_closed(error):
                raise
            self.context.reporter.note(f"{path} could not be written, {error.why}; this run goes by what it would say")
        else:
            self.context.reporter.note(f"{path.name} {was}: {', '.join(change.changes) or 'no version moved'}")
        return change.text

    @property
    def _carries_wheels(self) -> bool:
        """Whether what lies in ``wheels/`` decides, and no lock that has to be held to or was made elsewhere."""
        source, policy = self.source, self.policy
        held = policy.locked or policy.frozen or source.borrowed_lock is not None
        return inputs.is_dir(source.wheels) and policy.offline is not False and not held

    def _shelf(self, target: Target) -> CarriedWheels:
        sources = self.fetch_sources
        return CarriedWheels(
            folder=self.source.wheels,
            folders=sources.folders(),
            target=target,
            store=self.context.store,
            image=sources.image,
            bring=sources.bring(),
        )

    def _carried(self, target: Target, *, current: bool) -> Chosen:
        """What the folder has of what is asked for, as near to the lock as it can be; tells where it is not that."""
        shelf = self._shelf(target)
        lock = locks.read(self.source.lock) if inputs.is_file(self.source.lock) else None
        known = _known(lock, target) if lock is not None else ()
        with shelf.filled(known) as links:
            sources = self.sources
            sources = replace(sources, find_links=(*sources.find_links, *links))
            pins = self._resolved(target, preferred=shelf.near(known), sources=sources)
        said = shelf.differences(pins, known, lock=lock.path, current=current) if lock is not None else ""
        if said:
            self.context.reporter.note(said)
        same = lock is not None and current and not said
        return Chosen(pins=known, lock=Digest.of(_content(self.source.lock))) if same else Chosen(pins=pins)

    def _resolved(
        self, target: Target, *, preferred: Sequence[WheelPin], sources: WheelSources | None = None
    ) -> tuple[WheelPin, ...]:
        return resolve(
            self.inputs.requirements,
            target,
            sources=sources or self.sources,
            preferred=preferred,
            store=self.context.store,
            reporter=self.context.reporter,
        )

    def _targets(self, lock: locks.WheelLock) -> list[str]:
        """The targets in words, those of platforms not built now as ``lock`` has them: its base has not moved since."""
        said = {text.rpartition(", ")[2]: text for text in lock.targets}
        return [
            # A platform that the lock does not have need not be asked for to know that.
            said.get(str(platform), "") if self.base and platform != self.target.platform else str(self.on(platform))
            for platform in self.platforms
        ]

    def _fingerprint(self, targets: Sequence[str]) -> str:
        lines = scan(self.inputs.requirements, environ=self.context.environ)
        return fingerprint(lines, build=self.source.recipe.python.build, targets=targets, project=self.inputs.watched)


def _known(lock: locks.WheelLock, target: Target) -> tuple[WheelPin, ...]:
    try:
        return lock.select(target)
    except StaleLock:
        return ()  # made before this platform was asked for


def _content(path: Path) -> bytes:
    with open_regular(path) as stream:
        return stream.read()
