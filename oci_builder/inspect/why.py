"""Why a package is in an image: who requires it, since when, and what it weighs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from oci_builder.inspect.installed import Needed, Package
from oci_builder.inspect.packages import Inventory
from oci_builder.oci.jsonio import JSON


@dataclass(frozen=True, slots=True)
class Requirer:
    """A package that needs another, and in which words. ``extra`` names the extra that asks for it, if one does, and
    ``active`` tells whether anything in the image asks for that extra."""

    package: Package
    need: Needed
    active: bool

    @property
    def extra(self) -> str:
        """The extra, or nothing."""
        return self.need.extra


@dataclass(frozen=True, kw_only=True)
class Reason:
    """The answer. ``chains`` lead from packages that nobody requires, or that were asked for, to this one; ``layers``
    are bytes by the number of the layer."""

    package: Package
    required_by: tuple[Requirer, ...]
    chains: tuple[tuple[Package, ...], ...]
    layers: Mapping[int, int]
    created_by: Mapping[int, str]

    def __repr__(self) -> str:
        askers = ", ".join(each.package.label for each in self.required_by) or "nobody"
        return f"Reason({self.package.label}: {askers} requires it, {self.size} bytes)"

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(self.layers.values())

    def to_json(self) -> JSON:
        """The answer for programs; sizes are bytes."""
        return {
            "package": self.package.label,
            "kind": self.package.kind,
            "requested": self.package.requested,
            "size": self.size,
            "layers": [
                {"number": number, "size": size, "created_by": self.created_by[number]}
                for number, size in sorted(self.layers.items())
            ],
            "required_by": [
                {
                    "package": each.package.label,
                    "requirement": each.need.text,
                    "extra": each.extra or None,
                    "active": each.active,
                }
                for each in self.required_by
            ],
            "chains": [[package.label for package in chain] for chain in self.chains],
        }


def reason(found: Inventory, name: str) -> Reason:
    """Why the package ``name`` is in the image. Raises NotFound."""
    package = found.find(name)
    graph = Graph(found)
    return Reason(
        package=package,
        required_by=tuple(graph.requirers(package)),
        chains=tuple(graph.chains(package)),
        layers=dict(found.sizes[package]),
        created_by={layer.number: layer.created_by for layer in found.contents.layers},
    )


class Graph:
    """Who needs whom among the packages of an image, extras followed."""

    def __init__(self, found: Inventory) -> None:
        self._packages = found.packages
        self._by_name: dict[tuple[str, str], list[Package]] = {}
        for package in found.packages:
            for name in (package.name, *package.provides):
                self._by_name.setdefault((package.kind, name), []).append(package)

    @cached_property
    def extras(self) -> Mapping[Package, frozenset[str]]:
        """The extras of each package that others in the image ask for."""
        active: dict[Package, frozenset[str]] = {package: frozenset() for package in self._packages}
        todo = deque(self._packages)
        while todo:
            package = todo.popleft()
            for need in package.needs:
                if need.extra and need.extra not in active[package]:
                    continue
                for other in self.suppliers(package, need):
                    more = active[other] | set(need.extras)
                    if more != active[other]:
                        active[other] = more
                        todo.append(other)
        return active

    def suppliers(self, package: Package, need: Needed) -> Sequence[Package]:
        """The installed packages that meet a need of ``package``."""
        return [each for name in need.names for each in self._by_name.get((package.kind, name), ())]

    def needs(self, package: Package) -> Iterator[tuple[Needed, Sequence[Package]]]:
        """What a package needs as it is installed (its active extras counted), and who supplies it."""
        for need in package.needs:
            if not need.extra or need.extra in self.extras[package]:
                yield need, self.suppliers(package, need)

    def requirers(self, wanted: Package) -> Iterator[Requirer]:
        """Who needs ``wanted``; those that need it for an extra come last."""
        found = [
            Requirer(package, need, active=not need.extra or need.extra in self.extras[package])
            for package in self._packages
            for need in package.needs
            if wanted in self.suppliers(package, need) and package is not wanted
        ]
        yield from sorted(found, key=lambda each: (not each.active, each.package.name, each.extra))

    def chains(self, wanted: Package) -> Iterator[tuple[Package, ...]]:
        """The shortest way to ``wanted`` from each package that is there for its own sake."""
        above: dict[Package, tuple[Package, ...]] = {wanted: (wanted,)}
        todo = deque([wanted])
        while todo:
            package = todo.popleft()
            for each in self.requirers(package):
                if each.active and each.package not in above:
                    above[each.package] = (each.package, *above[package])
                    todo.append(each.package)
        tops = [package for package in above if package is not wanted and self._is_top(package)]
        yield from (above[package] for package in sorted(tops, key=lambda package: (len(above[package]), package.name)))

    def _is_top(self, package: Package) -> bool:
        if package.requested is not None:
            return package.requested
        return not any(each.active for each in self.requirers(package))
