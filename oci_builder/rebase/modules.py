"""Modules of the old base's Python that the image's own Python imports, and that the new base does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from oci_builder.gate.finding import Finding
from oci_builder.inspect.sources import imports
from oci_builder.rebase.sides import Side, Sides, refused
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind

_MODULE = re.compile(
    r"(?:.*/)?lib(?:64)?/python3(?:\.[0-9]{1,3})?/(?:(?:lib-dynload|site-packages|dist-packages)/)?"
    r"([A-Za-z_][A-Za-z0-9_]*)(?:\.py|/__init__\.py|\.so|\.[A-Za-z0-9_.-]+\.so)\Z"
)
_MAX_SOURCE = 1 << 20
"""Bytes of a module that is read; longer ones are data."""


def module_findings(sides: Sides) -> Iterator[Finding]:
    """Each module that has gone and is imported whatever happens, with the first file that does so."""
    gone = _modules(sides.before) - _modules(sides.after)
    if not gone:
        return
    # Most files name none of them, and need not be read as Python.
    named = re.compile(rb"\b(?:" + b"|".join(sorted(name.encode() for name in gone)) + rb")\b")
    met: dict[str, list[str]] = {}
    with MappedFiles() as sources:
        for entry in sides.seen:
            if not entry.path.endswith(".py") or entry.kind is not Kind.FILE or entry.content is None:
                continue
            source = sources.read(entry.content, what=entry.path) if entry.size <= _MAX_SOURCE else b""
            if named.search(source):
                found = imports(source, "module", package=False)
                for name in {each.module.partition(".")[0] for each in found} & gone:
                    met.setdefault(name, []).append(entry.path)
    for name, paths in sorted(met.items()):
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        why = f"/{paths[0]}{more}, of {sides.layer(paths[0])}, import{'' if more else 's'} {name}"
        yield refused("import", name, f"{why}, which the new base's Python does not have", "take a base with all of it")


def _modules(side: Side) -> set[str]:
    """The top-level modules of whatever Pythons an image has, the image's own among them."""
    return {match[1] for path in side.tree.paths if (match := _MODULE.match(path))}
