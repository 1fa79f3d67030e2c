"""Variables that name a locale which the image has not: programs then speak as without them, and setlocale fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from oci_builder.debian.localenames import LocaleName, has_locale
from oci_builder.gate.finding import Finding
from oci_builder.image import Image
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree


def speaks(name: str) -> bool:
    """Whether a variable names a locale (locale(7))."""
    return name in ("LANG", "LC_ALL") or name.startswith("LC_")


def language_findings(image: Image, tree: Tree, names: Collection[str], sources: MappedFiles) -> Iterator[Finding]:
    """Of the variables ``names`` those that name a locale which is not in ``tree``, each locale once."""
    asked = {image.run.env.get(name, ""): name for name in sorted(names, reverse=True)}
    for value, name in sorted(asked.items()):
        if value and not has_locale(tree, value, sources):
            brings = f'; [config] locale = "{value}" brings it' if LocaleName.parse(value) is not None else ""
            yield Finding(
                severity="warning",
                kind="locale",
                origin="image.toml",
                subject=value,
                message=f"{name} is {value}, and the image has no such locale{brings}",
            )
