"""One wheel, chosen: enough to find its bytes anywhere and to know them when they come."""

from __future__ import annotations

from dataclasses import dataclass

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
