"""Dependencies, as ``apt-get install --no-install-recommends`` resolves them, less what is cut on purpose.

As in apt the packages asked for are there from the beginning, then each package's groups of alternatives are gone
through in order, depth first: a group that is met is let be, of another the first alternative that can be had is taken,
with all that it needs, but for what excludes a package that has to be there. What turned out not to be had is not tried
again, so that this always ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.control import Dependency
from oci_builder.errors import PackageError

_STEPS = 6
"""Steps of a chain of dependencies that an error shows."""

_HINT = "leave out one of them, or take a newer version of the base, or another one: what that has stays as it is"


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """``packages`` are what comes over the base, sorted by name; ``left_out`` has who depends on what was cut."""

    packages: tuple[BinaryPackage, ...]
    left_out: Mapping[str, tuple[str, ...]]


def resolve(
    archive: PackageIndex, present: Iterable[BinaryPackage], requested: Sequence[str], cut: Iterable[str] = ()
) -> Resolution:
    """What ``requested`` packages bring over those ``present``, none of ``cut`` among it unless it is requested.

    A package that is present stays as it is, also where it is requested. Raises PackageError, with the chain of
    dependencies, where something is not to be had or excludes something else.
    """
    return _Resolver(archive, present, frozenset(cut).difference(requested)).resolved(requested)


class _Present:
    """The packages that are there, or will be; by name, and by all that they stand in for or exclude."""

    def __init__(self, architecture: str) -> None:
        self._architecture = architecture
        self.packages: dict[str, BinaryPackage] = {}
        self._by_name: dict[str, list[BinaryPackage]] = {}
        self._excluding: dict[str, list[tuple[BinaryPackage, Dependency]]] = {}

    def add(self, package: BinaryPackage) -> None:
        self.packages[package.name] = package
        for name in _names(package):
            self._by_name.setdefault(name, []).append(package)
        for one in package.excluded:
            self._excluding.setdefault(one.name, []).append((package, one))

    def remove(self, package: BinaryPackage) -> None:
        del self.packages[package.name]
        for name in _names(package):
            self._by_name[name].remove(package)
        for one in package.excluded:
            self._excluding[one.name].remove((package, one))

    def meets(self, group: Iterable[Dependency]) -> bool:
        """Whether one of the alternatives is there."""
        return any(
            package.meets(wanted, self._architecture)
            for wanted in group
            for package in self._by_name.get(wanted.name, ())
        )

    def excludes(self, package: BinaryPackage) -> str:
        """The name of what is there and may not be beside ``package``; empty where there is none."""
        for name in _names(package):
            for other, one in self._excluding.get(name, ()):
                # Whoever excludes what it provides itself means the others (Debian policy 7.6.2).
                if other.name != package.name and package.meets(one, self._architecture):
                    return other.name
        for one in package.excluded:
            for other in self._by_name.get(one.name, ()):
                if other.name != package.name and other.meets(one, self._architecture):
                    return other.name
        return ""


def _names(package: BinaryPackage) -> Iterable[str]:
    return dict.fromkeys((package.name, *(virtual.name for virtual in package.provided)))


@dataclass
class _Frame:
    """One package on its way: the groups it still needs, the candidates for the one that is worked on."""

    package: BinaryPackage
    mark: int
    groups: Iterator[Sequence[Dependency]]
    group: Sequence[Dependency] = ()
    candidates: Iterator[BinaryPackage] | None = None
    why: str = ""
    by: str = ""
    """Why the last of the candidates was none; or its name, if that is because of what it needs itself."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A group of alternatives that a package needs, and why none is to be had, or by which other it failed."""

    wanted: str
    why: str
    by: str


@dataclass
class _Resolver:
    archive: PackageIndex
    base: Iterable[BinaryPackage]
    cut: frozenset[str]
    trail: list[BinaryPackage] = field(default_factory=list)
    failed: dict[str, _Failure] = field(default_factory=dict)
    left_out: dict[str, dict[str, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.present = _Present(self.archive.architecture)
        self.certain = _Present(self.archive.architecture)
        for package in self.base:
            self.present.add(package)

    def resolved(self, requested: Sequence[str]) -> Resolution:
        """All of ``requested`` with what they need. Raises PackageError."""
        added = [self._asked_for(name) for name in dict.fromkeys(requested) if name not in self.present.packages]
        for package in self._certain(added):
            self.certain.add(package)
        for package in added:
            self._complete(package)
        names = {package.name for package in self.trail}
        left_out = {
            name: tuple(sorted(kept)) for name, by in sorted(self.left_out.items()) if (kept := names & by.keys())
        }
        packages = tuple(sorted(self.trail, key=lambda package: package.name))
        return Resolution(packages=packages, left_out={n: by for n, by in left_out.items() if n not in names})

    def _certain(self, added: Iterable[BinaryPackage]) -> Iterable[BinaryPackage]:
        """Those ``added`` and what they need where there is no choice: what excludes one of them is never taken."""
        found = {package.name: package for package in added}
        todo = list(found.values())
        while todo:
            for group in todo.pop().needs:
                if self.present.meets(group) or any(one.name in self.cut for one in group):
                    continue
                candidates = list(islice(self._candidates(group), 2))
                if len(candidates) == 1 and candidates[0].name not in {*found, *self.cut}:
                    found[candidates[0].name] = candidates[0]
                    todo += candidates
        return found.values()

    def _asked_for(self, name: str) -> BinaryPackage:
        package = self.archive.newest(name)
        if package is None:
            raise PackageError(name, f"in none of {self.archive.suite_names}", hint=self._hint_for(name))
        if other := self.present.excludes(package):
            raise PackageError(
                str_of(package), f"it cannot be beside {other}: one of them excludes the other", hint=_HINT
            )
        self._add(package)
        return package

    def _hint_for(self, name: str) -> str:
        providers = [package.name for package in self.archive.providers(name)]
        if providers:
            return f"{name} is a virtual package; name one that provides it: {', '.join(providers[:5])}"
        return "check base-packages in image.toml"

    def _complete(self, asked: BinaryPackage) -> None:
        """Bring all that ``asked``, which is there, depends on. Raises PackageError."""
        stack = [_Frame(asked, len(self.trail), iter(asked.needs))]
        while stack:
            frame = stack[-1]
            if frame.candidates is None:
                if self._is_finished(frame):
                    stack.pop()
                    if stack:
                        stack[-1].candidates = None
                continue
            candidate = next(frame.candidates, None)
            if candidate is not None:
                if self._is_possible(candidate, frame):
                    mark = len(self.trail)
                    self._add(candidate)
                    stack.append(_Frame(candidate, mark, iter(candidate.needs)))
                continue
            stack.pop()
            self._give_up(frame)
            if not stack:
                raise PackageError(str_of(asked), self._chain(asked.name), hint=_HINT)
            stack[-1].by = frame.package.name

    def _is_finished(self, frame: _Frame) -> bool:
        """Go on to the next group of ``frame`` that is not met; false when there is none."""
        for group in frame.groups:
            if self.present.meets(group) or self._is_cut(group, frame.package):
                continue
            frame.group, frame.candidates, frame.why, frame.by = group, self._candidates(group), "", ""
            return False
        return True

    def _is_cut(self, group: Sequence[Dependency], owner: BinaryPackage) -> bool:
        """Whether what would be taken for ``group`` is cut, which is noted."""
        # What was left out is as good as there: apt would have it by now.
        name = next((one.name for one in group if one.name in self.left_out), group[0].name)
        if name not in self.cut:
            # Of a virtual package, or where the first alternative is not to be had, who would come.
            likely = (package.name for package in self._candidates(group) if package.name not in self.failed)
            name = next(likely, "")
        if name not in self.cut:
            return False
        self.left_out.setdefault(name, {})[owner.name] = None
        return True

    def _candidates(self, group: Sequence[Dependency]) -> Iterator[BinaryPackage]:
        architecture = self.archive.architecture
        for wanted in group:
            real = self.archive.newest(wanted.name)
            if real is not None and real.meets(wanted, architecture):
                yield real
            for package in self.archive.providers(wanted.name):
                if package is not real and package.meets(wanted, architecture):
                    yield package

    def _is_possible(self, candidate: BinaryPackage, frame: _Frame) -> bool:
        if candidate.name in self.present.packages:
            # Another version than is there: that stays.
            frame.why = f"{candidate.name} {self.present.packages[candidate.name].version} is there already"
            return False
        if candidate.name in self.failed:
            frame.by = candidate.name
            return False
        if other := self.present.excludes(candidate) or self.certain.excludes(candidate):
            frame.why = f"{candidate.name}, which cannot be beside {other}"
            return False
        return True

    def _add(self, package: BinaryPackage) -> None:
        self.present.add(package)
        self.trail.append(package)

    def _give_up(self, frame: _Frame) -> None:
        """Take back ``frame``'s package and all that came by it."""
        wanted = " | ".join(map(str, frame.group))
        self.failed[frame.package.name] = _Failure(wanted, frame.why or self._absent(frame.group), frame.by)
        while len(self.trail) > frame.mark:
            self.present.remove(self.trail.pop())

    def _absent(self, group: Sequence[Dependency]) -> str:
        known = (self.present.packages.get(one.name) or self.archive.newest(one.name) for one in group)
        found = [f"{package.name} is {package.version} there" for package in known if package is not None]
        return ", ".join(found[:3]) or f"in none of {self.archive.suite_names}"

    def _chain(self, name: str) -> str:
        """Why ``name`` is not to be had, from dependency to dependency; of a long way its beginning and its end."""
        steps: list[str] = []
        failure = self.failed[name]
        while failure.by:
            steps.append(f"{failure.wanted}, which needs ")
            failure = self.failed[failure.by]
        if len(steps) > _STEPS:
            steps[_STEPS // 2 : -_STEPS // 2] = ["… "]
        return f"it needs {''.join(steps)}{failure.wanted}: {failure.why}"


def str_of(package: BinaryPackage) -> str:
    """A package as messages call it."""
    return f"{package.name} {package.version}"
