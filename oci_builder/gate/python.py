"""Python closure: what distributions require of each other and of the interpreter, and the modules of their scripts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from oci_builder.gate.facts import Distribution
from oci_builder.gate.finding import Finding
from oci_builder.gate.modules import Modules
from oci_builder.wheels.pythons import offer_of
from oci_builder.wheels.target import Target


@dataclass(frozen=True)
class PythonClosure:
    """The distributions of an image, and what they are judged by. ``asked`` are extras that the recipe asks for."""

    distributions: Sequence[Distribution]
    modules: Modules
    target: Target
    asked: Mapping[str, Collection[str]] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """All that is wrong, distribution by distribution."""
        yield from self._twice()
        for distribution in self.distributions:
            yield from self._python(distribution)
            yield from self._requirements(distribution)
            yield from self._scripts(distribution)

    def _twice(self) -> Iterator[Finding]:
        # Of two in different folders, the one in the folder that comes first is seen.
        seen: dict[tuple[str, str], Distribution] = {}
        for distribution in self.distributions:
            other = seen.setdefault((distribution.path.rpartition("/")[0], distribution.key), distribution)
            if other is not distribution:
                message = f"{other.name} is there twice: {other.version} and {distribution.version}, /{other.path}"
                hint = "which one Python sees is chance: keep one"
                yield _finding("installed-twice", distribution, distribution.key, message, hint)

    def _python(self, distribution: Distribution) -> Iterator[Finding]:
        version = self.target.promise.version
        try:
            fits = SpecifierSet(distribution.requires_python).contains(version, prereleases=True)
        except InvalidSpecifier:
            return  # old metadata says what pip does not understand either
        if not fits:
            asks = f"{distribution.origin} asks for Python {distribution.requires_python}"
            message = f"{asks}, and the image has {version}"
            hint = f"take a release made for this Python{offer_of([distribution.requires_python], version)}"
            yield _finding("requires-python", distribution, version, message, hint)

    def _requirements(self, distribution: Distribution) -> Iterator[Finding]:
        for text in distribution.requires:
            requirement = _parsed(text)
            if requirement is not None and self._applies(requirement, distribution):
                why = self._unmet(requirement)
                if why:
                    message = f"{distribution.origin} requires {_plain(requirement)}, and {why}"
                    hint = "list it in the requirements, and lock again"
                    yield _finding("requirement", distribution, canonicalize_name(requirement.name), message, hint)

    def _applies(self, requirement: Requirement, distribution: Distribution) -> bool:
        if requirement.marker is None:
            return True
        markers = dict(self.target.markers())
        extras = ("", *sorted(self._extras.get(distribution.key, ())))
        return any(requirement.marker.evaluate({**markers, "extra": extra}) for extra in extras)

    @cached_property
    def _extras(self) -> Mapping[str, set[str]]:
        """The extras, by distribution, that the recipe and other distributions ask for."""
        asked: dict[str, set[str]] = {name: set(extras) for name, extras in self.asked.items()}
        for distribution in self.distributions:
            for requirement in map(_parsed, distribution.requires):
                # Asked for under an extra of its own: only if somebody asked for that.
                if requirement is not None and requirement.extras and "extra" not in str(requirement.marker or ""):
                    asked.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
        return asked

    def _unmet(self, requirement: Requirement) -> str:
        found = self._by_name.get(canonicalize_name(requirement.name))
        if found is None:
            return "it is not in the image"
        try:
            fits = requirement.specifier.contains(Version(found.version), prereleases=True)
        except InvalidVersion:
            fits = True
        return "" if fits or requirement.url else f"the image has {found.name} {found.version}"

    @cached_property
    def _by_name(self) -> Mapping[str, Distribution]:
        # Sorted by path, /usr/local comes after /usr/lib, as what it holds comes before in Python's eyes.
        return {distribution.key: distribution for distribution in self.distributions}

    def _scripts(self, distribution: Distribution) -> Iterator[Finding]:
        for name, point in distribution.scripts:
            module = point.partition(":")[0].partition("[")[0].strip()
            if "[" not in point and not self.modules.exists(module):
                message = f"{distribution.origin}: its program {name} starts {module}, and there is no such module"
                yield _finding("script", distribution, name, message, "tell who makes it; it cannot work anywhere")


def _finding(kind: str, distribution: Distribution, subject: str, message: str, hint: str) -> Finding:
    return Finding(severity="error", kind=kind, origin=distribution.origin, subject=subject, message=message, hint=hint)


# Many distributions require the same in the same words. It is a value of its text alone, whichever image asks.
@lru_cache(maxsize=4096)
def _parsed(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None  # pip does not understand it either, and passes over it in installed metadata


def _plain(requirement: Requirement) -> str:
    """The requirement without its marker, which holds."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{f' {requirement.specifier}' if requirement.specifier else ''}"
