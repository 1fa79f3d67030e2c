"""The packages of a tree, as it says itself: ``/var/lib/dpkg/status.d``, which bases of ours have."""

from __future__ import annotations

from collections.abc import Iterator

from oci_builder.debian.archive import BinaryPackage
from oci_builder.debian.control import stanza
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree

FOLDER = "var/lib/dpkg/status.d/"
_MAX_STANZA = 1 << 20


def installed(tree: Tree, sources: MappedFiles) -> Iterator[BinaryPackage]:
    """The packages that ``tree`` has, by name."""
    for path in tree.paths:
        if not path.startswith(FOLDER) or path.endswith(".md5sums"):
            continue
        entry = tree.get(path)
        if entry is None or entry.content is None or entry.size > _MAX_STANZA:
            continue
        fields = stanza(sources.read(entry.content, what=path).decode("utf-8", "replace"))
        if "package" in fields:
            yield BinaryPackage(fields)
