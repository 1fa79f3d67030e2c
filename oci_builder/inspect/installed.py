"""One package that is installed in an image, whoever's packaging it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Needed:
    """One thing a package needs, in its own words: any of ``names`` will do.

    ``extra`` names the extra that asks for it, ``extras`` those it asks for; ``asked`` is the version part.
    """

    names: tuple[str, ...]
    text: str
    asked: str = ""
    extra: str = ""
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Licence:
    """What a package says of its licence; ``spdx`` tells that ``text`` is an SPDX expression."""

    text: str = ""
    spdx: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Package:
    """A distribution (``python``) or a Debian package (``debian``); compared by identity.

    ``place`` is the .dist-info folder, or the file that describes it. ``files`` are those of its files that are in the
    image, ``missing`` what its RECORD lists and the image has not; ``vendored`` are shared libraries that came with it,
    ``sboms`` its own bills of materials (PEP 770). ``requested`` tells that somebody asked for it by name, where the
    installer kept that; None where it did not.
    """

    kind: Literal["python", "debian"]
    name: str
    version: str
    place: str
    purl: str
    licence: Licence = field(default_factory=Licence)
    summary: str = ""
    homepage: str = ""
    needs: tuple[Needed, ...] = ()
    requested: bool | None = None
    installer: str = ""
    tags: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    sha256: str = ""
    source: str = ""
    files: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    vendored: tuple[str, ...] = ()
    sboms: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Package({self.kind} {self.label})"

    @property
    def label(self) -> str:
        """``numpy 2.4.6``."""
        return f"{self.name} {self.version}"
