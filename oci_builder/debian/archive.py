"""The verified indexes of a base's suites: the newest version of each package, and who stands in for whom."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from oci_builder.debian.control import Dependency, dependencies, provides
from oci_builder.debian.lock import Pin, SuitePin
from oci_builder.debian.signed import Release
from oci_builder.debian.update import Stanza, entries_of, suite_pin
from oci_builder.debian.versions import satisfies, version_key
from oci_builder.errors import PackageError

_NAME = b"Package: "
_START = re.compile(rb"\nPackage: ([^\n]*)")
_PROVIDES = re.compile(rb"\nProvides:([^\n]*(?:\n[ \t][^\n]*)*)")


@dataclass(frozen=True)
class BinaryPackage:
    """A package by its fields, as an index or a list of what is installed has them. Fields are read when asked for."""

    fields: Stanza

    @property
    def name(self) -> str:
        """What it is called."""
        return self.fields["package"]

    @property
    def version(self) -> str:
        """Its version, as dpkg compares them."""
        return self.fields.get("version", "")

    @cached_property
    def needs(self) -> Sequence[Sequence[Dependency]]:
        """What has to be there, in apt's order: groups of alternatives. Raises PackageError."""
        return list(dependencies(self.fields, "pre-depends", "depends"))

    @cached_property
    def provided(self) -> Sequence[Dependency]:
        """What it stands in for. Raises PackageError."""
        return list(provides(self.fields))

    @cached_property
    def excluded(self) -> Sequence[Dependency]:
        """What may not be there beside it. Raises PackageError."""
        return [one for group in dependencies(self.fields, "conflicts", "breaks") for one in group]

    @cached_property
    def replaced(self) -> Sequence[Dependency]:
        """The packages whose files it may take over. Raises PackageError."""
        return [one for group in dependencies(self.fields, "replaces") for one in group]

    def meets(self, wanted: Dependency, architecture: str) -> bool:
        """Whether it is what is ``wanted``, or stands in for it, where programs are of ``architecture``.

        ``:any`` is met by packages that say so of themselves (deb-control(5), Multi-Arch); those of other machines are
        not there. A version is met by whoever has one: a virtual package without a version has none.
        """
        if wanted.architecture == "any":
            if self.fields.get("multi-arch") != "allowed":
                return False
        elif wanted.architecture not in ("", "native", architecture):
            return False
        if self.name == wanted.name and satisfies(self.version, wanted.relation, wanted.version):
            return True
        return any(
            virtual.name == wanted.name and (not wanted.relation or _stands_in(virtual, wanted))
            for virtual in self.provided
        )


def _stands_in(virtual: Dependency, wanted: Dependency) -> bool:
    return virtual.relation == "=" and satisfies(virtual.version, wanted.relation, wanted.version)


class PackageIndex:
    """All packages of some verified indexes for one architecture (Debian's word)."""

    def __init__(self, indexes: Sequence[tuple[Release, bytes]], architecture: str) -> None:
        self.architecture = architecture
        self._indexes = indexes
        self._known: dict[str, tuple[BinaryPackage, Pin] | None] = {}

    @property
    def suites(self) -> tuple[SuitePin, ...]:
        """What a lock says of them."""
        return tuple(suite_pin(release) for release, _ in self._indexes)

    @property
    def suite_names(self) -> str:
        """Their names, for messages."""
        return ", ".join(str(release.suite) for release, _ in self._indexes)

    def newest(self, name: str) -> BinaryPackage | None:
        """The newest version of a package in any of the suites; None where none has it. Raises PackageError."""
        found = self._found(name)
        return found[0] if found else None

    def pin(self, name: str) -> Pin:
        """The newest version of a package that one of the suites has, as a lock has it. Raises PackageError."""
        found = self._found(name)
        if found is None:
            raise PackageError(name, f"in none of {self.suite_names}", hint=self._meant(name))
        return found[1]

    def providers(self, name: str) -> Sequence[BinaryPackage]:
        """The packages whose newest version stands in for ``name``, the likeliest first, as apt sorts them.

        Raises PackageError.
        """
        owners = sorted(set(self._standing_in.get(name.encode(), ())))
        found = [package for each in owners if (package := self.newest(each)) is not None]
        fitting = [package for package in found if any(virtual.name == name for virtual in package.provided)]
        return sorted(fitting, key=_likeliness)

    def _meant(self, name: str) -> str | None:
        """The package that somebody may have meant by a name that none has: libgl1 by libgl."""
        names = {each for places in self._places for each in places}
        longer = sorted(
            (each for each in names if re.fullmatch(rf"{re.escape(name)}[0-9.+-]*[a-z0-9]?", each)), key=len
        )
        # Of 60,000 names those alone that begin alike: more would take seconds.
        alike = [each for each in names if each[:3] == name[:3] and abs(len(each) - len(name)) < 4]
        close = longer[:1] or get_close_matches(name, sorted(alike), n=1, cutoff=0.75)
        return f"did you mean {close[0]!r}?" if close else None

    def _found(self, name: str) -> tuple[BinaryPackage, Pin] | None:
        if name not in self._known:
            found = [
                pair
                for (release, index), places in zip(self._indexes, self._places, strict=True)
                for pair in entries_of(_cut_out(index, places.get(name, ())), release, {name}, self.architecture)
            ]
            # Of one version in several suites the later suite's: the sort is stable.
            newest = sorted(found, key=lambda pair: version_key(pair[1].version))[-1:]
            self._known[name] = (BinaryPackage(newest[0][0]), newest[0][1]) if newest else None
        return self._known[name]

    @cached_property
    def _places(self) -> Sequence[Mapping[str, Sequence[int]]]:
        """By suite and name where stanzas begin: an index has 60,000, and an image wants a hundred of them."""
        found: list[Mapping[str, Sequence[int]]] = []
        for _, index in self._indexes:
            places: dict[str, list[int]] = {}
            for start, name in _starts(index):
                places.setdefault(name, []).append(start)
            found.append(places)
        return found

    @cached_property
    def _standing_in(self) -> Mapping[bytes, Sequence[str]]:
        """Who provides a name, in any version that any of the suites has."""
        found: dict[bytes, list[str]] = {}
        for _, index in self._indexes:
            starts = list(_starts(index))
            for match in _PROVIDES.finditer(index):
                at = bisect.bisect_left(starts, (match.start(), "")) - 1
                for each in match[1].split(b",") if at >= 0 else ():
                    # "name (= version)"; what of it holds is read when it is asked for.
                    found.setdefault(each.partition(b"(")[0].strip(), []).append(starts[at][1])
        return found


def _starts(index: bytes) -> Iterator[tuple[int, str]]:
    """Where each stanza begins, with the name of its package, in order."""
    if index.startswith(_NAME):
        yield 0, _text(index[len(_NAME) : index.find(b"\n")])
    for match in _START.finditer(index):
        # Only what begins a stanza: a blank line is before it.
        if index.startswith(b"\n", match.start() - 1):
            yield match.start() + 1, _text(match[1])


def _text(name: bytes) -> str:
    return name.strip().decode("utf-8", "replace")


def _cut_out(index: bytes, places: Sequence[int]) -> bytes:
    """The stanzas that begin at ``places``, as an index of their own."""
    ends = (index.find(b"\n\n", start) for start in places)
    return b"\n\n".join(index[start : end if end >= 0 else None] for start, end in zip(places, ends, strict=True))


_PRIORITIES = {"required": 0, "important": 1, "standard": 2, "optional": 3, "extra": 4}


def _likeliness(package: BinaryPackage) -> tuple[bool, int, str]:
    priority = _PRIORITIES.get(package.fields.get("priority", ""), len(_PRIORITIES))
    return package.fields.get("essential") != "yes", priority, package.name
