"""The lock of the packages that an image puts over its base: ``base.lock.ARCH.json`` beside its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from oci_builder.debian.lock import Pin, SuitePin, check_pins, check_suites
from oci_builder.errors import StaleLock
from oci_builder.files import open_regular
from oci_builder.outputs import atomic

SCHEMA = 2
_BEFORE = 1
"""Its ``left_out`` is by who depends on it, for what links to nothing was left out; what it locks holds as ever."""

LIMIT = 4 << 20
_Number = Annotated[int, msgspec.Meta(ge=0, le=4_294_967_294)]


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a dependency of ``wanted_by`` is not among the packages."""

    reason: str
    wanted_by: tuple[str, ...]

    def line(self, package: str) -> str:
        """What a build says of it."""
        return f"{package} is left out, though {_listed(self.wanted_by)} on it: {self.reason}"


class Accounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of users and groups that maintainer scripts make, by name: they stay when a package is added."""

    users: dict[str, _Number] = {}
    groups: dict[str, _Number] = {}


class LockedLocales(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The locales of an image, as its recipe calls them, and the package that they are taken out of."""

    names: tuple[str, ...]
    package: Pin


class ExtraLock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The packages an image puts over its base. ``left_out`` has, by name, dependencies that are not among them.

    ``skipped`` are packages whose scripts are passed over, each with the recipe's reason.
    """

    schema: int
    architecture: str
    base: str
    requested: tuple[str, ...]
    suites: tuple[SuitePin, ...]
    packages: tuple[Pin, ...]
    left_out: dict[str, LeftOut]
    skipped: dict[str, str] = {}
    accounts: Accounts | None = None
    locales: LockedLocales | None = None

    @property
    def files(self) -> dict[str, Pin]:
        """The pins of all packages that are needed, by the names of their files."""
        pins = (*self.packages, *((self.locales.package,) if self.locales else ()))
        return {pin.path.rpartition("/")[2]: pin for pin in pins}


class _LockBefore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int
    architecture: str
    base: str
    requested: tuple[str, ...]
    suites: tuple[SuitePin, ...]
    packages: tuple[Pin, ...]
    left_out: dict[str, tuple[str, ...]] = {}

    def renewed(self) -> ExtraLock:
        wanted: dict[str, list[str]] = {}
        for package, dependencies in self.left_out.items():
            for each in dependencies:
                wanted.setdefault(each.partition(" ")[0], []).append(package)
        why = "the lock is of an ocibuild that left out what nothing links to; remove it to have this"
        left_out = {name: LeftOut(reason=why, wanted_by=tuple(by)) for name, by in sorted(wanted.items())}
        known = {
            key: getattr(self, key) for key in ("schema", "architecture", "base", "requested", "suites", "packages")
        }
        return ExtraLock(**known, left_out=left_out)


def read_extra_lock(path: Path) -> ExtraLock:
    """The lock at ``path``. Raises StaleLock for one that is not there or does not read."""
    again = "remove it; the next build makes it"
    try:
        with open_regular(path) as stream:
            data = stream.read(LIMIT)
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema not in (_BEFORE, SCHEMA):
            raise StaleLock(str(path), f"schema {schema}, and this ocibuild reads {SCHEMA}", hint="remove it")
        if schema == SCHEMA:
            lock = msgspec.json.decode(data, type=ExtraLock)
        else:
            lock = msgspec.json.decode(data, type=_LockBefore).renewed()
    except FileNotFoundError as error:
        raise StaleLock(str(path), "there is none", hint="build once without --locked") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StaleLock(str(path), f"it does not read: {error}", hint=again) from error
    check_suites(lock.suites, what=str(path), hint=again)
    check_pins(lock.packages, what=str(path), hint=again)
    if lock.locales is not None:
        check_pins([lock.locales.package], what=str(path), hint=again)
    return lock


class _Schema(msgspec.Struct):
    schema: int


def write_extra_lock(lock: ExtraLock, path: Path) -> None:
    """Put ``lock`` at ``path``, whole. Raises FileProblem."""
    with atomic(path) as sink:
        sink.write(msgspec.json.format(msgspec.json.encode(lock, order="deterministic"), indent=2) + b"\n")


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    if len(names) > 3:
        return f"{shown} and {len(names) - 3} more depend"
    return f"{shown} depend{'s' if len(names) == 1 else ''}"
