"""Pins that pip would choose again, told without it: nothing is resolved where every project has one version to be.

pip is given the versions of the lock as constraints. So where each project that is reached from what is asked for has
one wheel that these, the requirements and the constraints allow, and where that wheel's own metadata is satisfied by
all the others, the first way that pip tries is one without a conflict, and its answer. That is proved here, of folders
of wheels and by pip's own rules (``packaging``): markers of the target, extras, Requires-Python, hashes. Whatever may
be otherwise is left to pip.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from oci_builder import inputs
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError
from oci_builder.file_digests import FileDigests
from oci_builder.files import expect_files, explained
from oci_builder.store import Store
from oci_builder.wheels.needs import WheelNeeds, needs_of
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.project_requirements import ProjectRequirements
from oci_builder.wheels.requirements import RequirementLine, Requirements
from oci_builder.wheels.target import Target

_IDLE = frozenset({"--index-url", "--extra-index-url", "--no-index", "--prefer-binary", "--trusted-host"})
"""Options that change nothing where no index is asked and nothing but wheels is taken."""

_PAGES = (".htm", ".shtm", ".xhtm")
"""In the names of what pip may take for a page with links."""


@dataclass(frozen=True, kw_only=True)
class StandingPins:
    """What is asked for on ``target``, and where its wheels are; ``project`` is the one that is built, if any.

    ``kept`` are the pins that pip would be told to prefer, ``sizes`` what is known of wheels by their digests.
    """

    asked: Requirements
    target: Target
    sources: WheelSources
    store: Store
    kept: Mapping[str, WheelPin]
    sizes: Mapping[Digest, int | None]
    project: ProjectRequirements | None = None

    def find(self) -> tuple[WheelPin, ...] | None:
        """What pip would choose, by name, or None where only pip can say."""
        if not self.sources.offline or self.sources.build:
            return None
        # Whatever is odd about any of it is pip's affair, which says it in its words.
        try:
            folders = self._folders()
            lasting = sorted(str(folder) for folder in folders if not folder.is_relative_to(self.store.root.absolute()))
            with FileDigests(self.store, f"wheels {lasting}") as digests:
                return _Closure(self, _listed(folders, self.target), digests).pins()
        except (ValueError, OcibuildError, OSError, RecursionError):
            return None

    def _folders(self) -> tuple[Path, ...]:
        """All folders that pip would look into. Raises ValueError where it would look elsewhere, or by other rules."""
        places: list[Path | str] = [*self.sources.find_links]
        for option in self.asked.options:
            name, *values = shlex.split(option)
            if name == "--find-links" and len(values) == 1:
                places.append(values[0])
            elif name not in _IDLE:
                raise ValueError(f"{name} changes what is chosen")
        for place in places:
            if "://" in str(place) or not inputs.is_dir(Path(place)):
                raise ValueError(f"{place} is no folder")
        return tuple(dict.fromkeys(Path(place).absolute() for place in places))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    version: Version
    paths: tuple[Path, ...]
    """Where files of its name are: in one folder, or in several."""


@dataclass(frozen=True)
class _Closure:
    """All that is reached from what is asked for, each project with its one wheel. Its methods raise ValueError for
    what only pip can tell."""

    of: StandingPins
    candidates: Mapping[str, Sequence[_Candidate]]
    digests: FileDigests
    _wheels: dict[str, tuple[WheelPin, WheelNeeds]] = field(default_factory=dict)

    def pins(self) -> tuple[WheelPin, ...]:
        todo: list[tuple[str, str]] = []
        if self.of.project is not None:
            todo += self._of_project(self.of.project)
        for asked in self._asked.values():
            for each in asked:
                todo += self._met(each)
        seen = set(todo)
        while todo:
            name, extra = todo.pop()
            for requirement in self._required(name, extra):
                new = [node for node in self._met(requirement) if node not in seen]
                seen.update(new)
                todo += new
        own = None if self.of.project is None or self.of.project.project is None else self.of.project.project.name
        return tuple(self._wheels[name][0] for name in sorted(self._wheels) if name != own)

    @cached_property
    def _environment(self) -> dict[str, str]:
        return dict(self.of.target.markers())

    @cached_property
    def _lines(self) -> dict[str, list[tuple[RequirementLine, Requirement]]]:
        """The lines that hold on the target, by name. Those of a project's wheel are read in the wheel."""
        found: dict[str, list[tuple[RequirementLine, Requirement]]] = {}
        for line in self.of.asked.lines:
            if not line.raw:
                continue
            if line.wheel is not None:
                raise ValueError("a wheel is asked for by where it is")
            requirement = Requirement(line.text)
            if line.constraint and (requirement.extras or line.hashes):
                raise ValueError("a constraint says more than which version")
            if self._holds(requirement, ""):
                found.setdefault(line.name, []).append((line, requirement))
        return found

    @cached_property
    def _asked(self) -> dict[str, list[Requirement]]:
        return {
            name: wanted
            for name, lines in self._lines.items()
            if (wanted := [requirement for line, requirement in lines if not line.constraint])
        }

    @cached_property
    def _hashed(self) -> bool:
        return any(line.hashes for line in self.of.asked.lines)

    def _of_project(self, project: ProjectRequirements) -> Iterator[tuple[str, str]]:
        pin = project.project
        if pin is None:
            return
        if self._hashed or pin.name in self._lines or pin.name in self.of.kept:
            raise ValueError("the project is among what it needs")
        needs = needs_of(self.of.store.path(pin.sha256), pin.filename, pin.sha256, self.of.store)
        self._check(pin.name, Version(pin.version), needs)
        self._wheels[pin.name] = (pin, needs)
        yield pin.name, ""
        for extra in project.extras:
            yield pin.name, canonicalize_name(extra)

    def _required(self, name: str, extra: str) -> Iterator[Requirement]:
        needs = self._wheels[name][1]
        if extra and extra not in {str(canonicalize_name(each)) for each in needs.extras}:
            raise ValueError(f"{name} has no extra {extra}")
        for text in needs.requires:
            requirement = Requirement(text)
            if self._holds(requirement, extra):
                yield requirement

    def _holds(self, requirement: Requirement, extra: str) -> bool:
        marker = requirement.marker
        return marker is None or marker.evaluate({**self._environment, "extra": extra})

    def _met(self, requirement: Requirement) -> Iterator[tuple[str, str]]:
        """What else is needed with a requirement, which what was chosen for its project meets."""
        if requirement.url is not None:
            raise ValueError("a wheel is asked for by where it is")
        name = canonicalize_name(requirement.name)
        if name not in self._wheels:
            self._wheels[name] = self._chosen(name)
        if not _contains(requirement.specifier, Version(self._wheels[name][0].version)):
            raise ValueError(f"{requirement} is not met")
        yield name, ""
        for extra in requirement.extras:
            yield name, canonicalize_name(extra)

    def _chosen(self, name: str) -> tuple[WheelPin, WheelNeeds]:
        kept = self.of.kept.get(name)
        if kept is None and name not in self._asked:
            # What came along and was not locked may be limited by what pip comes to see later.
            raise ValueError(f"which {name} there is to be, nobody has said")
        limits = [requirement.specifier for _, requirement in self._lines.get(name, ())]
        limits += [SpecifierSet(f"=={kept.version}")] if kept is not None else []
        candidate = self._candidate(name, limits)
        filename, digest = candidate.paths[0].name, self._digest(candidate)
        needs = needs_of(candidate.paths[0], filename, digest, self.of.store)
        self._check(name, candidate.version, needs)
        if self._hashed:
            self._check_hashes(name, digest)
        pin = WheelPin(
            name=name,
            version=str(Version(needs.version)),
            filename=filename,
            sha256=digest,
            size=self.of.sizes.get(digest),
            requested=name in self._asked,
        )
        return pin, needs

    def _candidate(self, name: str, limits: Sequence[SpecifierSet]) -> _Candidate:
        fit = [
            each for each in self.candidates.get(name, ()) if all(_contains(limit, each.version) for limit in limits)
        ]
        if not fit:
            raise ValueError(f"no wheel of {name} is allowed")
        newest = max(each.version for each in fit)
        if any(each.version.is_prerelease for each in fit) and not (len(fit) == 1 and any(map(_is_pin, limits))):
            raise ValueError(f"whether a pre-release of {name} is wanted, pip knows")
        best = [each for each in fit if each.version == newest]
        if len(best) > 1:
            raise ValueError(f"{name} {newest} has several wheels, of which pip knows the best")
        return best[0]

    def _digest(self, candidate: _Candidate) -> Digest:
        digests = {self.digests.at(inputs.real(path)) for path in candidate.paths}
        if len(digests) > 1:
            raise ValueError("files of one name differ")
        return digests.pop()

    def _check(self, name: str, version: Version, needs: WheelNeeds) -> None:
        """See that pip would take the wheel: what it says of itself reads, is of it, and of the target's Python."""
        if canonicalize_name(needs.name) != name or Version(needs.version) != version:
            raise ValueError(f"{name} {version} calls itself otherwise")
        if not _contains(SpecifierSet(needs.python), Version(self.of.target.promise.version)):
            raise ValueError(f"{name} {version} needs another Python")
        for text in needs.requires:
            # pip passes over a wheel of which it cannot read one, also where it does not ask for it here.
            Requirement(text)

    def _check_hashes(self, name: str, digest: Digest) -> None:
        """Hold a wheel to the hashes of its lines: one hash anywhere makes pip ask for those of all."""
        asked = [(line.hashes, requirement) for line, requirement in self._lines.get(name, ()) if not line.constraint]
        own = f"sha256:{digest.hex}"
        if not asked or any(own not in hashes or not _is_pin(each.specifier) for hashes, each in asked):
            raise ValueError(f"{name} is not held to a hash, or not to this one")


def _listed(folders: Sequence[Path], target: Target) -> dict[str, list[_Candidate]]:
    """What the folders have for the target, by name. Raises ValueError where there is more than wheels of files."""
    tags, found = frozenset(target.tags()), dict[str, dict[str, _Candidate]]()
    for folder in folders:
        expect_files(folder)
        with explained(folder):
            paths = inputs.listing(folder)
        for path in paths:
            inputs.note_file(path)
            if any(part in path.name.lower() for part in _PAGES):
                raise ValueError(f"{path.name} may be a page of links")
            try:
                name, version, _, its = parse_wheel_filename(path.name)
            except InvalidWheelFilename:
                continue
            if tags.isdisjoint(its):
                continue
            if not inputs.is_file(path):
                raise ValueError(f"{path.name} is no file")
            known = found.setdefault(name, {}).get(path.name)
            paths_of = (*(known.paths if known else ()), path)
            found[name][path.name] = _Candidate(version=version, paths=paths_of)
    return {name: list(files.values()) for name, files in found.items()}


def _contains(specifier: SpecifierSet, version: Version) -> bool:
    if any(each.operator == "===" for each in specifier):
        raise ValueError("=== compares letters, not versions")
    return specifier.contains(version, prereleases=True)


def _is_pin(specifier: SpecifierSet) -> bool:
    return len(specifier) == 1 and all(each.operator == "==" and "*" not in each.version for each in specifier)


def standing(of: StandingPins, requirements: Sequence[Path | ProjectRequirements]) -> tuple[WheelPin, ...] | None:
    """``of`` with the project of ``requirements``, if there is one, found. None where only pip can say."""
    listed = [each for each in requirements if isinstance(each, ProjectRequirements)]
    if any(each.complete for each in listed):
        return None
    built = [each for each in listed if each.project is not None]
    if len(built) > 1:
        return None
    return replace(of, project=built[0] if built else None).find()
