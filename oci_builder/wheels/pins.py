"""One wheel, chosen: enough to find its bytes anywhere and to know them when they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from oci_builder.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdist:
    """The sdist that a wheel was built from on this host."""

    filename: str
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelPin:
    """A wheel by normalised name, version, file name and digest; where it lies is not said.

    ``requested`` tells what the user asked for from what came along. ``direct_url`` is the JSON text of
    ``direct_url.json`` (PEP 610) when the requirement was a URL or a local file. ``built_from`` is set when no index
    has this wheel. ``url`` is where another tool's lock says it is.
    """

    name: str
    version: str
    filename: str
    sha256: Digest
    size: int | None
    requested: bool
    direct_url: str | None = None
    built_from: Sdist | None = None
    url: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProject:
    """A project in a folder of this machine that a lock names, to be built as it is now.

    ``version`` is what the lock says of it, "" where it says nothing.
    """

    name: str
    version: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedWheels:
    """What a lock comes to for a target.

    ``lines`` are the requirements, with versions and hashes, of packages whose files it does not name. ``local`` are
    wheels of this machine, by digest, and ``projects`` what is to be built.
    """

    pins: tuple[WheelPin, ...]
    lines: tuple[str, ...] = ()
    local: Mapping[Digest, Path] = field(default_factory=dict)
    projects: tuple[LocalProject, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package by its name, "" where the lock leaves it to what is built."""
        said = {pin.name: pin.version for pin in self.pins} | {each.name: each.version for each in self.projects}
        lines = (line.split(" ")[0].partition("==") for line in self.lines)
        return said | {str(canonicalize_name(name)): version for name, _, version in lines}

    @property
    def count(self) -> int:
        """How many packages these are."""
        return len(self.pins) + len(self.lines) + len(self.projects)
