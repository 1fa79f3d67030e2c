"""What every lock comes to: packages, each with the files that it may be had as, and what cannot be had at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.wheels.origins import INDEX, Origin

PIPFILE_LOCK = "Pipfile.lock"
TOOLS = {"uv.lock": "uv lock", "poetry.lock": "poetry lock", "pdm.lock": "pdm lock", PIPFILE_LOCK: "pipenv lock"}
"""The locks that are read, in the order in which they are looked for, and the commands that make them anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """A file that a lock names: ``sha256`` in hex, "" where the lock has none.

    ``url`` is where the lock says that it is, without credentials; ``path`` that of a file of the project.
    """

    filename: str
    sha256: str = ""
    size: int | None = None
    url: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """A package that a lock chooses.

    ``hashes`` are those of its files where the lock does not name the files. ``origin`` is where it comes from if not
    from an index, and may refuse it.
    """

    name: str
    version: str
    files: tuple[LockedFile, ...] = ()
    hashes: tuple[str, ...] = ()
    origin: Origin = INDEX

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is wanted of a lock: extras and groups by normalised name, and the folder of the project, from the lock's.

    Default groups are those of developers: they are never wanted unless they are named. With ``every`` the rest counts
    for nothing: wanted is all that the lock has, for whichever machine.
    """

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    member: str = "."
    every: bool = False

    @classmethod
    def of(cls, extras: Iterable[str], groups: Iterable[str], *, member: str = ".") -> Choice:
        """The choice of these names, however they are written."""
        return cls(
            extras=frozenset(map(canonicalize_name, extras)),
            groups=frozenset(map(canonicalize_name, groups)),
            member=member,
        )


def is_foreign(path: Path) -> bool:
    """Whether a file is called like the lock of a tool that is read here."""
    return path.name in TOOLS


def check_known(path: Path, what: str, wanted: Iterable[str], known: Collection[str]) -> None:
    """Raise RecipeError where a name that is wanted is none of the lock's: an empty group is never meant."""
    names = {canonicalize_name(name) for name in known}
    for name in sorted(wanted):
        if name not in names:
            there = f"it has {', '.join(sorted(names))}" if names else "it has none"
            hint = f"name one that it has, or lock again with it: {TOOLS[path.name]}"
            raise RecipeError(str(path), "", f"there is no {what} {name!r} in this lock; {there}", hint=hint)


def hex_of(hash_: str | None) -> str:
    """The digits of a ``sha256:…``; "" for every other hash."""
    kind, _, digits = (hash_ or "").partition(":")
    return digits if kind == "sha256" else ""
