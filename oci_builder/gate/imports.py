"""The top-level imports of every module, against what the image has: what no metadata says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from packaging.utils import canonicalize_name

from oci_builder.gate.facts import Distribution
from oci_builder.gate.finding import Finding
from oci_builder.gate.modules import Modules, module_name
from oci_builder.inspect.sources import Import, imports
from oci_builder.layer import Layer
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind

RECORDS = "imports-2"
"""The number is raised when reading finds other imports than before."""

_NAMED = 5
_ASIDE = frozenset({"test", "tests", "testing", "conftest", "docs", "examples", "benchmarks"})
"""Folders and modules that nobody imports to use a package, and that may want what only its makers have."""


class _Module(msgspec.Struct, frozen=True, array_like=True):
    path: str
    sha256: str
    imports: tuple[Import, ...]


def is_aside(parts: Sequence[str]) -> bool:
    """Whether a module lies in a folder, or has a name, of those that nobody imports to use what it belongs to."""
    return bool(_ASIDE & {part.strip("_") for part in parts})


def import_findings(
    layers: Sequence[Layer], modules: Modules, distributions: Sequence[Distribution], store: Store
) -> Iterator[Finding]:
    """Warnings for each distribution with unguarded imports of what is not in the image.

    What importing the distribution itself meets is one, what only some module of it wants another.
    """
    optional = {each.origin: each.required_names for each in distributions}
    missing: dict[str, dict[str, list[str]]] = {}
    known: dict[str, str] = {}
    for layer in layers:
        for module in _layer_imports(layer, modules.site, store):
            entry = modules.entry(module.path)
            if entry is None or entry.sha256 != module.sha256:
                continue  # a later layer replaced it
            for name in {_absent(each.module, modules, known) for each in module.imports} - {""}:
                if not _is_beside(name, module.path, modules):
                    missing.setdefault(entry.origin, {}).setdefault(name, []).append(module.path)
    for origin, names in sorted(missing.items()):
        yield from _findings(origin, names, modules, optional.get(origin, ()))


def _findings(
    origin: str, names: Mapping[str, Sequence[str]], modules: Modules, optional: Sequence[str]
) -> Iterator[Finding]:
    reached = modules.reached(origin)
    met = {name: [path for path in paths if modules.dotted(path) in reached] for name, paths in names.items()}
    # What its own metadata lists under an extra, or for another system, it does without here.
    some = {name: names[name] for name, paths in met.items() if not paths and canonicalize_name(name) not in optional}
    if any(met.values()):
        yield _finding(origin, "importing it asks for", {name: paths for name, paths in met.items() if paths}, modules)
    if some:
        yield _finding(origin, "some of its modules import", some, modules)


def _absent(name: str, modules: Modules, known: dict[str, str]) -> str:
    """The shortest part of ``name`` that is not there, or empty text."""
    if name not in known:
        head = name.partition(".")[0]
        known[name] = "" if modules.exists(name) else name if modules.exists(head) else head
    return known[name]


def _is_beside(name: str, path: str, modules: Modules) -> bool:
    """Whether ``name`` is found from ``path`` alone.

    A script that is started, and not imported, looks in its folder; vendored distributions are put on Python's path.
    """
    top = modules.shown(path).partition("/")[0]
    folders = (path.rpartition("/")[0], f"{modules.site}/{top}/_vendor")
    ends = (".py", "/__init__.py", "")
    return any(modules.entry(f"{folder}/{name.replace('.', '/')}{end}") for folder in folders for end in ends)


def _finding(origin: str, what: str, names: Mapping[str, Sequence[str]], modules: Modules) -> Finding:
    shown = [f"{name} ({_places(paths, modules)})" for name, paths in sorted(names.items())]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return Finding(
        severity="warning",
        kind="import",
        origin=origin,
        subject=" ".join(sorted(names)),
        message=f"{origin}: {what} what is not in the image: {', '.join(shown[:_NAMED])}{more}",
        hint="Debian's python3-tk has tkinter" if "tkinter" in names else "",
    )


def _places(paths: Sequence[str], modules: Modules) -> str:
    first = modules.shown(min(paths))
    return f"{first} and {len(paths) - 1} more" if len(paths) > 1 else first


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
    with MappedFiles() as sources:
        for entry in layer.tree(store):
            below = entry.path.removeprefix(start)
            if entry.kind is not Kind.FILE or below == entry.path or not below.endswith(".py") or entry.content is None:
                continue
            parts = below.removesuffix(".py").split("/")
            if is_aside(parts) or not all(part.isidentifier() for part in parts):
                continue
            name = module_name(below)
            found = imports(sources.read(entry.content, what=entry.path), name, package=parts[-1] == "__init__")
            if found:
                yield _Module(entry.path, entry.sha256, tuple(found))
