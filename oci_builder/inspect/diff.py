"""How two images differ: packages, files, configuration, and what a machine that has one must fetch for the other."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.installed import Package
from oci_builder.inspect.packages import Inventory
from oci_builder.oci.jsonio import JSON, encode
from oci_builder.tree.tree import order
from oci_builder.wording import counted


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package in one image or both; versions are empty where it is not, sizes are bytes."""

    kind: str
    name: str
    before: str
    after: str
    size_before: int
    size_after: int


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path in one image or both: ``added``, ``removed`` or ``changed``; sizes are bytes. ``owner`` is its package."""

    path: str
    change: str
    size_before: int
    size_after: int
    owner: str


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A key of the configuration, dotted, with both values as JSON; empty where it is absent."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """All that differs between the images ``before`` and ``after``.

    ``transfer`` is bytes of the layers of the second that the first does not have, ``shared`` of those it has.
    """

    before: str
    after: str
    packages: tuple[PackageChange, ...]
    files: tuple[FileChange, ...]
    config: tuple[ConfigChange, ...]
    transfer: int
    shared: int
    new_layers: tuple[int, ...]

    def __repr__(self) -> str:
        packages, files = counted(len(self.packages), "package"), counted(len(self.files), "file")
        return f"Difference({packages}, {files}, {counted(len(self.config), 'key')})"

    @property
    def is_empty(self) -> bool:
        """Whether a container could not tell the two apart."""
        return not (self.packages or self.files or self.config)

    def to_json(self) -> JSON:
        """The difference for programs; sizes are bytes."""
        return {
            "before": self.before,
            "after": self.after,
            "equal": self.is_empty,
            "packages": [
                {
                    "kind": each.kind,
                    "name": each.name,
                    "before": each.before or None,
                    "after": each.after or None,
                    "size_before": each.size_before,
                    "size_after": each.size_after,
                }
                for each in self.packages
            ],
            "files": [
                {
                    "path": each.path,
                    "change": each.change,
                    "size_before": each.size_before,
                    "size_after": each.size_after,
                    "package": each.owner or None,
                }
                for each in self.files
            ],
            "config": [{"key": each.key, "before": each.before, "after": each.after} for each in self.config],
            "transfer": self.transfer,
            "shared": self.shared,
            "new_layers": list(self.new_layers),
        }


def difference(before: Inventory, after: Inventory) -> Difference:
    """What changes from ``before`` to ``after``."""
    first, second = before.contents, after.contents
    known = {layer.identity for layer in first.layers}
    new = [layer for layer in second.layers if layer.identity not in known]
    # A layer that stands in an image twice is fetched once.
    transfer = {layer.identity: layer.size for layer in new}
    shared = {layer.identity: layer.size for layer in second.layers if layer.identity in known}
    return Difference(
        before=first.name,
        after=second.name,
        packages=tuple(_packages(before, after)),
        files=tuple(_files(before, after)),
        config=tuple(_config(first, second)),
        transfer=sum(transfer.values()),
        shared=sum(shared.values()),
        new_layers=tuple(layer.number for layer in new),
    )


def _packages(before: Inventory, after: Inventory) -> Iterator[PackageChange]:
    old, new = _by_name(before), _by_name(after)
    for key in sorted(old.keys() | new.keys(), key=lambda key: (key[0] != "python", key)):
        first, second = old.get(key), new.get(key)
        versions = (first.version if first else "", second.version if second else "")
        if versions[0] != versions[1]:
            sizes = (before.size(first) if first else 0, after.size(second) if second else 0)
            yield PackageChange(key[0], key[1], *versions, *sizes)


def _by_name(found: Inventory) -> Mapping[tuple[str, str], Package]:
    return {(package.kind, package.name): package for package in reversed(found.packages)}


def _files(before: Inventory, after: Inventory) -> Iterator[FileChange]:
    old, new = before.contents.tree, after.contents.tree
    # Both are in order: what a third list of them would take is saved.
    for path, _ in groupby(heapq.merge(old, new, key=order)):
        first, second = old.get(path), new.get(path)
        if first is not None and second is not None and first.face == second.face:
            continue
        change = "changed" if first and second else "added" if second else "removed"
        owner = after.owners.get(path) or before.owners.get(path)
        sizes = (first.size if first else 0, second.size if second else 0)
        yield FileChange(path, change, *sizes, owner.label if owner else "")


def _config(first: ImageContents, second: ImageContents) -> Iterator[ConfigChange]:
    old, new = dict(_flat(_told(first), "")), dict(_flat(_told(second), ""))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield ConfigChange(key, old.get(key, ""), new.get(key, ""))


def _told(contents: ImageContents) -> Mapping[str, object]:
    # Layers and what made them are compared as layers.
    return {key: value for key, value in contents.config.items() if key not in ("rootfs", "history")}


def _flat(value: object, key: str) -> Iterator[tuple[str, str]]:
    """Each leaf of a document by its dotted key. Environment variables are leaves; other arrays are whole."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif key == "config.Env" and isinstance(value, list):
        for line in value:
            name, _, text = str(line).partition("=")
            yield f"{key}.{name}", encode([text]).decode()[1:-1]
    else:
        yield key, encode([value]).decode()[1:-1]
