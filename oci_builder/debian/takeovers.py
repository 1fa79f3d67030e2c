"""Whose file it is where two packages have one: Replaces, as dpkg unpacks by it (Debian policy 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oci_builder.debian.archive import BinaryPackage
from oci_builder.tree.entry import Entry, Kind


@dataclass(frozen=True, slots=True)
class Takeovers:
    """The packages of a tree by what its entries call their origin, for programs of ``architecture``."""

    packages: Mapping[str, BinaryPackage]
    architecture: str

    @classmethod
    def of(cls, packages: Iterable[BinaryPackage], architecture: str) -> Takeovers:
        """Those among ``packages``."""
        return cls({f"{package.name} {package.version}": package for package in packages}, architecture)

    def allow(self, entry: Entry, *, over: Entry) -> bool:
        """Whether ``entry`` takes the place of another package's, ``over``; folders are everybody's."""
        mine, other = self.packages.get(entry.origin), self.packages.get(over.origin)
        if mine is None or other is None or mine is other or Kind.DIRECTORY in (entry.kind, over.kind):
            return False
        return any(other.meets(replaced, self.architecture) for replaced in mine.replaced)


NO_TAKEOVERS = Takeovers({}, "")
