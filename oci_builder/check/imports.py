"""The top-level imports of every module, against what the image has: what no metadata says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from oci_builder.check.finding import Finding
from oci_builder.check.modules import Modules
from oci_builder.check.sources import Import, imports
from oci_builder.layer import Layer
from oci_builder.store import Store
from oci_builder.tree.content import Sources
from oci_builder.tree.entry import Kind

RECORDS = "imports-1"
"""The number is raised when reading finds other imports than before."""

_NAMED = 5
_ASIDE = frozenset({"test", "tests", "testing", "_testing", "conftest", "docs", "examples", "benchmarks"})
"""Folders and modules that nobody imports to use a package, and that may want what only its makers have."""


class _Module(msgspec.Struct, frozen=True, array_like=True):
    path: str
    origin: str
    imports: tuple[Import, ...]


def import_findings(layers: Sequence[Layer], modules: Modules, store: Store) -> Iterator[Finding]:
    """A warning for each distribution with unguarded imports of what is not in the image."""
    missing: dict[str, dict[str, list[str]]] = {}
    known: dict[str, str] = {}
    for layer in layers:
        for module in _layer_imports(layer, modules.site, store):
            for name in {_absent(each.module, modules, known) for each in module.imports} - {""}:
                missing.setdefault(module.origin, {}).setdefault(name, []).append(modules.shown(module.path))
    for origin, names in sorted(missing.items()):
        yield _finding(origin, names)


def _absent(name: str, modules: Modules, known: dict[str, str]) -> str:
    """The shortest part of ``name`` that is not there, or empty text."""
    if name not in known:
        head = name.partition(".")[0]
        known[name] = "" if modules.exists(name) else name if modules.exists(head) else head
    return known[name]


def _finding(origin: str, names: dict[str, list[str]]) -> Finding:
    shown = [f"{name} ({_places(paths)})" for name, paths in sorted(names.items())]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return Finding(
        severity="warning",
        kind="import",
        origin=origin,
        subject=" ".join(sorted(names)),
        message=f"{origin}: imports what is not in the image: {', '.join(shown[:_NAMED])}{more}",
    )


def _places(paths: Sequence[str]) -> str:
    return f"{min(paths)} and {len(paths) - 1} more" if len(paths) > 1 else paths[0]


def _layer_imports(layer: Layer, site: str, store: Store) -> tuple[_Module, ...]:
    key = layer.descriptor.digest.hex
    data = store.record(RECORDS, key)
    if data is not None:
        try:
            return msgspec.json.decode(data, type=tuple[_Module, ...])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            store.drop_record(RECORDS, key)
    found = tuple(_read(layer, site, store))
    store.put_record(RECORDS, key, msgspec.json.encode(found))
    return found


def _read(layer: Layer, site: str, store: Store) -> Iterator[_Module]:
    start = f"{site}/"
    with Sources() as sources:
        for entry in layer.tree(store):
            below = entry.path.removeprefix(start)
            if entry.kind is not Kind.FILE or below == entry.path or not below.endswith(".py") or entry.content is None:
                continue
            parts = below.removesuffix(".py").split("/")
            if _ASIDE & set(parts) or not all(part.isidentifier() for part in parts):
                continue
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            found = imports(sources.read(entry.content, what=entry.path), name, package=package)
            if found:
                yield _Module(entry.path, entry.origin, tuple(found))
