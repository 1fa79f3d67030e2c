"""A folder of wheels that was carried to where the image is built: what it holds decides, for the platform built."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.metadata import parse_email
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from oci_builder import inputs
from oci_builder.errors import DigestMismatch, OcibuildError, StaleLock
from oci_builder.files import explained
from oci_builder.store import Store
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.lock import WheelLock
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target

_SHOWN = 6
"""Projects that one line tells of."""


@dataclass(frozen=True, kw_only=True)
class CarriedWheels:
    """``folder`` with all others that wheels may be in, for one target of ``image``; ``bring`` brings what is missing.

    A project that no folder has anything of for the target may be taken from ``store`` as the lock has it.
    """

    folder: Path
    folders: Sequence[Path]
    target: Target
    store: Store
    image: str
    bring: str

    def holds(self, lock: WheelLock, target: Target) -> bool:
        """Whether all that ``lock`` has for ``target`` is here, by name and size: digests are compared on the way."""
        try:
            pins = lock.select(target)
        except StaleLock:
            return False
        # Where others may have made the layers, a wheel of which nothing is here may not be needed.
        shared = self.store.shared is not None
        return all(
            pin.built_from or self._has(pin) or self._spared(pin) or (shared and not self._fits(pin)) for pin in pins
        )

    def near(self, known: Sequence[WheelPin]) -> list[WheelPin]:
        """Those of ``known`` whose version can be had here."""
        return [pin for pin in known if Version(pin.version) in self._files.get(pin.name, ()) or self._spared(pin)]

    @contextlib.contextmanager
    def filled(self, known: Sequence[WheelPin]) -> Iterator[list[Path]]:
        """A folder, if need be, of those of ``known`` that no folder has anything of and the store still has."""
        spared = [pin for pin in known if self._spared(pin)]
        if not spared:
            yield []
            return
        with self.store.scratch() as scratch:
            for pin in spared:
                (scratch / pin.filename).symlink_to(self.store.path(pin.sha256).absolute())
            yield [scratch]

    def differences(self, pins: Sequence[WheelPin], known: Sequence[WheelPin], *, lock: Path, current: bool) -> str:
        """Where ``pins``, chosen here, are not those ``known`` from the lock, in a line; "" where they are.

        Raises DigestMismatch for a wheel of a locked name whose bytes are others.
        """
        before = {pin.name: pin for pin in known}
        after = {pin.name: pin for pin in pins}
        told = [self._difference(pin, before.get(pin.name), lock.name) for pin in pins]
        told += [f"nothing needs {pin}" for name, pin in before.items() if name not in after and current]
        told = [text for text in told if text]
        if not told:
            return "" if current else f"{lock.name} is behind what it was made from, and stays as it is"
        more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        return f"{self.folder.name}/ has {'; '.join(told[:_SHOWN])}{more}"

    def _difference(self, pin: WheelPin, known: WheelPin | None, lock: str) -> str:
        if known is None:
            return f"{pin}, {lock} none"
        if known.version != pin.version:
            return f"{pin}, {lock} {known.version}"
        if known.filename != pin.filename:
            return f"{pin.filename}, {lock} {known.filename}"
        if known.sha256 != pin.sha256 and not (known.built_from or pin.built_from):
            hint = f"put the locked one there ({self.bring}), or lock this one: ocibuild lock {self.image}"
            raise DigestMismatch(
                str(self.folder / pin.filename), expected=str(known.sha256), actual=str(pin.sha256), hint=hint
            )
        return ""

    def _has(self, pin: WheelPin) -> bool:
        for path in (folder / pin.filename for folder in self.folders):
            with explained(path):
                if inputs.is_file(path) and pin.size in (None, inputs.size_of(path)):
                    return True
        return False

    def _spared(self, pin: WheelPin) -> bool:
        return not self._fits(pin) and self.store.has(pin.sha256, pin.size)

    def _fits(self, pin: WheelPin) -> bool:
        """Whether there is any wheel of its project that runs on the target."""
        return any(_runs(path, self.target) for path in self._files.get(pin.name, {}).values())

    @cached_property
    def _files(self) -> dict[str, dict[Version, Path]]:
        """What the folders have of each project for the target, by version; a wheel of each."""
        found: dict[str, dict[Version, Path]] = {}
        tags = set(self.target.tags())
        for folder in self.folders:
            with explained(folder):
                paths = inputs.listing(folder)
            for path in paths:
                with contextlib.suppress(InvalidWheelFilename):
                    name, version, _, its = parse_wheel_filename(path.name)
                    if not tags.isdisjoint(its):
                        found.setdefault(name, {})[version] = path
        return found


def _runs(path: Path, target: Target) -> bool:
    """Whether a wheel says that it runs on the target's Python; one that cannot be read is pip's affair."""
    try:
        archive = open_wheel(path, path.name)
        asked = parse_email(archive.read(f"{archive.dist_info}/METADATA"))[0].get("requires_python", "")
        return SpecifierSet(asked).contains(target.promise.version, prereleases=True)
    except (OcibuildError, InvalidSpecifier):
        return True
