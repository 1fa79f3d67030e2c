"""A base's lock: exactly which packages, by digest, and which signed indexes said so. No host is ever named in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from oci_builder.digest import Digest
from oci_builder.errors import FileProblem, StaleLock
from oci_builder.files import open_regular
from oci_builder.outputs import atomic
from oci_builder.platforms import Platform

SCHEMA = 1
LIMIT = 4 << 20
MAX_DATE = 253_402_300_799
"""The last second of the year 9999, which datetime ends with."""

MAX_DEB = 2 << 30
"""Bytes of one .deb file; the largest in Debian 12 has half of that."""

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*\Z")
_WORD = re.compile(r"[a-z][a-z0-9-]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]+\Z")
_PART = re.compile(r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9.+:~%_-]+")
_PATH = re.compile(rf"{_PART.pattern}(?:/{_PART.pattern})*\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One package. ``path`` is below the archive's folder on every mirror; ``size`` is in bytes."""

    name: str
    version: str
    architecture: str
    source: str
    archive: str
    suite: str
    path: str
    size: int
    sha256: str

    @property
    def digest(self) -> Digest:
        """The digest of the .deb file."""
        return Digest(self.sha256)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class SuitePin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signed index: its Date, the digest of its InRelease, and the keys (fingerprints) whose signatures held."""

    archive: str
    suite: str
    date: Annotated[datetime, msgspec.Meta(tz=True)]
    inrelease: str
    signers: tuple[str, ...]


class RootfsLock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All packages of a base on one architecture (Debian's word), sorted by name."""

    schema: int
    architecture: str
    suites: tuple[SuitePin, ...]
    packages: tuple[Pin, ...]

    @property
    def epoch(self) -> int:
        """When the newest of the indexes was signed, in seconds since 1970: the only time a base knows."""
        return max(int(suite.date.timestamp()) for suite in self.suites)

    @property
    def digest(self) -> Digest:
        """The digest of the lock as it is written."""
        return Digest.of(encode(self))

    def version(self, package: str) -> str:
        """The locked version of ``package``, or empty text."""
        return next((pin.version for pin in self.packages if pin.name == package), "")


def lock_path(folder: Path, platform: Platform) -> Path:
    """Where a base in ``folder`` keeps its lock for ``platform``."""
    return folder / f"lock.{platform.architecture}.json"


def read_lock(path: Path) -> RootfsLock:
    """The lock at ``path``. Raises StaleLock for one that cannot be used, FileProblem for one that cannot be read."""
    try:
        with open_regular(path) as stream:
            data = stream.read(LIMIT)
    except FileNotFoundError as error:
        raise StaleLock(str(path), "there is none for this platform", hint=_hint(path.parent.name)) from error
    except OSError as error:
        raise FileProblem(str(path), (error.strerror or str(error)).lower()) from error
    return decode(data, what=str(path), base=path.parent.name)


def decode(data: bytes, *, what: str, base: str) -> RootfsLock:
    """A lock from its bytes; ``what`` names it, ``base`` whose it is. Raises StaleLock."""
    hint = _hint(base)
    try:
        lock = msgspec.json.decode(data, type=RootfsLock)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StaleLock(what, f"not a base's lock: {error}", hint=hint) from error
    if lock.schema != SCHEMA:
        raise StaleLock(what, f"schema {lock.schema}, and this ocibuild reads {SCHEMA}", hint=hint)
    if not lock.suites or not lock.packages:
        raise StaleLock(what, "no suites or no packages", hint=hint)
    check_suites(lock.suites, what=what, hint=hint)
    check_pins(lock.packages, what=what, hint=hint)
    return lock


def check_suites(suites: Sequence[SuitePin], *, what: str, hint: str) -> None:
    """The indexes of a lock are called as indexes are, and of a time there is. Raises StaleLock."""
    for suite in suites:
        if not (_WORD.match(suite.archive) and _WORD.match(suite.suite) and _HEX.match(suite.inrelease)):
            raise StaleLock(what, f"{suite.archive}/{suite.suite}: its name or digest is none", hint=hint)
        if not 0 <= suite.date.timestamp() <= MAX_DATE:
            raise StaleLock(what, f"{suite.archive}/{suite.suite}: its date is none of an index", hint=hint)


def check_pins(pins: Sequence[Pin], *, what: str, hint: str) -> None:
    """The pins of a lock can be used as paths and digests, and none is there twice. Raises StaleLock."""
    seen: set[str] = set()
    for pin in pins:
        if why := problem_of(pin):
            raise StaleLock(what, f"{pin.name}: {why}", hint=hint)
        if pin.name in seen:
            raise StaleLock(what, f"{pin.name}: there twice", hint=hint)
        seen.add(pin.name)


def problem_of(pin: Pin) -> str:
    """Why a pin cannot be used: its words become parts of paths, addresses and command lines. Empty if it can."""
    checks = (
        (_NAME.match(pin.name), "no package's name"),
        (_VERSION.match(pin.version), f"{pin.version!r} is not a version"),
        (
            all(map(_WORD.match, (pin.architecture, pin.archive, pin.suite))),
            "its architecture, archive or suite is none",
        ),
        (_PATH.match(pin.path), f"{pin.path!r} is not a path below its archive"),
        (0 < pin.size <= MAX_DEB, f"a file of {pin.size} bytes"),
        (_HEX.match(pin.sha256), "its digest is none"),
    )
    return next((why for holds, why in checks if not holds), "")


def _hint(base: str) -> str:
    return f"generate it anew: ocibuild base update {base}"


def encode(lock: RootfsLock) -> bytes:
    """The lock's one spelling: two spaces, keys in their own order, everything sorted, a newline at the end."""
    ordered = msgspec.structs.replace(
        lock,
        suites=tuple(sorted(lock.suites, key=lambda suite: (suite.archive, suite.suite))),
        packages=tuple(sorted(lock.packages, key=lambda pin: pin.name)),
    )
    return msgspec.json.format(msgspec.json.encode(ordered, order="deterministic"), indent=2) + b"\n"


def write_lock(lock: RootfsLock, path: Path) -> None:
    """Put ``lock`` at ``path``, whole. Raises FileProblem."""
    with atomic(path) as sink:
        sink.write(encode(lock))


def changes(old: RootfsLock | None, new: RootfsLock) -> list[str]:
    """One line per package that differs: ``libssl3 3.0.17-1 → 3.0.22-1``, ``+ dash 0.5.12-2``, ``- nano 7.2-1``."""
    before = {pin.name: pin for pin in old.packages} if old else {}
    after = {pin.name: pin for pin in new.packages}
    lines = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None:
            lines.append(f"+ {now}")
        elif now is None:
            lines.append(f"- {was}")
        elif was.version != now.version:
            lines.append(f"{name} {was.version} → {now.version}")
        elif was.sha256 != now.sha256:
            lines.append(f"{name} {now.version}, built anew")
    return lines


def moment(seconds: int) -> datetime:
    """Seconds since 1970 as a lock spells times."""
    return datetime.fromtimestamp(seconds, UTC)
