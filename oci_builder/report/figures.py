"""What the page shows, as one JSON document; the page's script draws it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from oci_builder.inspect.diff import Difference
from oci_builder.inspect.inspect import run_facts
from oci_builder.inspect.packages import Inventory
from oci_builder.inspect.sizes import Node, folded, largest_files, size_tree
from oci_builder.inspect.why import Graph
from oci_builder.oci.jsonio import JSON

_FILES = 300
"""The largest files that are listed; a page of all of them would be slow."""

_CHANGES = 2000
"""Changed files that are listed."""

_DEPTH = 6
_SMALLEST = 2000
"""What is smaller than this part of the image is shown together with its neighbours."""


def figures(found: Inventory) -> JSON:
    """Everything about one image but findings and differences. Sizes are bytes."""
    contents = found.contents
    root = size_tree(found)
    return {
        "facts": list(_facts(found)),
        "totals": {
            "stored": contents.size,
            "unpacked": contents.unpacked,
            "layers": len(contents.layers),
            "packages": len(found.packages),
        },
        "layers": [
            {
                "number": layer.number,
                "stored": layer.size,
                "unpacked": layer.unpacked,
                "files": sum(record.kind != "directory" for record in layer.files),
                "by": layer.created_by,
                "digest": str(layer.digest or layer.diff_id),
            }
            for layer in contents.layers
        ],
        "packages": list(_packages(found)),
        "licences": list(_licences(found)),
        "files": [
            {
                "path": f"/{record.path}",
                "size": record.size,
                "layer": record.layer,
                "package": owner.label if (owner := found.owners.get(record.path)) else "",
            }
            for record in largest_files(found, _FILES)
        ],
        "tree": {
            **_compact(root, depth=_DEPTH, at_least=max(root.size // _SMALLEST, 1)),
            "n": file_name(contents.name),
        },
    }


def differences(found: Difference) -> JSON:
    """What the page shows of two images."""
    largest = sorted(found.files, key=lambda each: (-max(each.size_before, each.size_after), each.path))[:_CHANGES]
    shown = {each.path for each in largest}
    return {
        **replace(found, files=tuple(each for each in found.files if each.path in shown)).to_json(),
        "before": file_name(found.before),
        "after": file_name(found.after),
        "count": len(found.files),
    }


def file_name(name: str) -> str:
    """An image's name without the folders of this machine."""
    return PurePath(name).name or name


def _facts(found: Inventory) -> Iterator[Sequence[str]]:
    contents = found.contents
    facts = [
        ("Names", ", ".join(contents.references)),
        ("Image ID", str(contents.config_digest)),
        ("Digest", str(contents.manifest_digest or "")),
        ("Platform", contents.platform),
        ("Created", contents.created),
        ("System", contents.os_release.get("PRETTY_NAME", "")),
    ]
    yield from ([name, value] for name, value in facts if value)
    for name, text in run_facts(contents.run):
        yield [name, text]


def _packages(found: Inventory) -> Iterator[JSON]:
    graph = Graph(found)
    for package in found.packages:
        yield {
            "kind": package.kind,
            "name": package.name,
            "version": package.version,
            "size": found.size(package),
            "layers": list(found.layers(package)),
            "licence": package.licence.text,
            "summary": package.summary,
            "requested": bool(package.requested),
            "by": [each.package.name for each in graph.requirers(package) if each.active],
        }


def _licences(found: Inventory) -> Iterator[JSON]:
    groups: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for package in found.packages:
        text = package.licence.text or "not stated"
        groups.setdefault(text, []).append(package.name)
        sizes[text] = sizes.get(text, 0) + found.size(package)
    for text in sorted(groups, key=lambda text: (-len(groups[text]), text)):
        names: Sequence[str] = groups[text]
        yield {"licence": text, "count": len(names), "size": sizes[text], "packages": ", ".join(names)}


def _compact(node: Node, *, depth: int, at_least: int) -> Mapping[str, object]:
    """A part for the treemap: ``n`` name, ``s`` size, ``f`` files, ``b`` parts below, the small ones as one."""
    document: JSON = {"n": node.name, "s": node.size, "f": node.files}
    if depth and node.below:
        large = [folded(each) for each in node.largest if each.size >= at_least]
        rest = [each for each in node.below.values() if each.size < at_least]
        below = [_compact(each, depth=depth - 1, at_least=at_least) for each in large]
        size = sum(each.size for each in rest)
        if below and size:
            below.append({"n": f"{len(rest)} smaller", "s": size, "f": sum(each.files for each in rest)})
        if below:
            document["b"] = below
    return document
