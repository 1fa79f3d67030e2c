"""Which wheel a distribution of an image was: the lock it was made of tells, for the image does not keep it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from oci_builder.inspect.installed import Package
from oci_builder.projects.contents import LockContents


def locked_digests(lock: LockContents, packages: Sequence[Package]) -> Mapping[tuple[str, str], str]:
    """The sha256 (hex) of the wheels that distributions came from, by normalised name and version.

    A lock has a wheel for each platform: what counts is the one whose tags the distribution has. Where several have, or
    none, nothing is said.
    """
    return {(name, version): digest for name, version, digest in _found(lock, packages)}


def _found(lock: LockContents, packages: Sequence[Package]) -> Iterator[tuple[str, str, str]]:
    tags = {(each.name, each.version): frozenset(each.tags) for each in packages if each.kind == "python"}
    for locked in lock.entries:
        key = locked.name, locked.version
        fitting = {digest for name, digest in locked.wheels.items() if _tags(name) & tags.get(key, frozenset())}
        if len(fitting) == 1 and (digest := fitting.pop()):
            yield *key, digest


def _tags(filename: str) -> frozenset[str]:
    try:
        return frozenset(map(str, parse_wheel_filename(filename)[3]))
    except InvalidWheelFilename:
        return frozenset()
