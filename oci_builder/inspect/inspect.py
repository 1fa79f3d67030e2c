"""What is in an image, said as a document for programs; ``cli`` makes tables of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_builder.inspect.contents import LayerContents
from oci_builder.inspect.installed import Package
from oci_builder.inspect.packages import Inventory
from oci_builder.oci.jsonio import JSON


def run_facts(run: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The configuration for a person, a fact at a time: of variables and labels each, the key before the first."""
    for name, value in sorted(run.items()):
        if isinstance(value, dict):
            texts = [f"{key}={text}" if text != {} else str(key) for key, text in sorted(value.items())]
        elif isinstance(value, list):
            texts = list(map(str, value)) if name == "Env" else [" ".join(map(str, value))]
        else:
            texts = [str(value)]
        yield from ((name if number == 0 else "", text) for number, text in enumerate(texts) if text)


def describe(found: Inventory) -> JSON:
    """Documents, layers and packages of an image. All sizes are bytes; layers count from 1, oldest first."""
    contents = found.contents
    return {
        "name": contents.name,
        "id": str(contents.config_digest),
        "digest": str(contents.manifest_digest) if contents.manifest_digest else None,
        "references": list(contents.references),
        "platform": contents.platform,
        "created": contents.created,
        "os": contents.os_release.get("PRETTY_NAME", ""),
        "size": contents.size,
        "unpacked": contents.unpacked,
        "files": sum(record.kind != "directory" for record in contents.tree.values()),
        "annotations": dict(contents.annotations),
        "config": dict(contents.run),
        "layers": [_layer(layer, found) for layer in contents.layers],
        "packages": [_package(package, found) for package in found.packages],
    }


def _layer(layer: LayerContents, found: Inventory) -> JSON:
    return {
        "number": layer.number,
        "digest": str(layer.digest) if layer.digest else None,
        "diff_id": layer.diff_id,
        "size": layer.size,
        "unpacked": layer.unpacked,
        "files": sum(record.kind != "directory" for record in layer.files),
        "deletes": list(layer.hidden),
        "created_by": layer.created_by,
        "packages": [package.label for package in found.packages if layer.number in found.sizes[package]],
    }


def _package(package: Package, found: Inventory) -> JSON:
    return {
        "kind": package.kind,
        "name": package.name,
        "version": package.version,
        "licence": package.licence.text,
        "licence_is_spdx": package.licence.spdx,
        "size": found.size(package),
        "layers": list(found.layers(package)),
        "files": len(package.files),
        "missing": list(package.missing),
        "requested": package.requested,
        "installer": package.installer,
        "requires": [need.text for need in package.needs if not need.extra],
        "vendored": list(package.vendored),
        "sboms": list(package.sboms),
        "summary": package.summary,
        "homepage": package.homepage,
        "purl": package.purl,
    }
