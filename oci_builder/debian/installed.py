"""The packages of a tree, as it says itself: dpkg's ``status``, and ``status.d``, which images without dpkg have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_builder.debian.archive import BinaryPackage
from oci_builder.debian.control import stanza
from oci_builder.errors import PackageError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree

STATUS = "var/lib/dpkg/status"
FOLDER = "var/lib/dpkg/status.d/"
MAX_STATUS = 64 << 20
"""Bytes of a list of packages; that of a whole desktop has five million."""

_MAX_STANZA = 1 << 20
_HALF = ("unpacked", "half-configured", "half-installed")
_WHOLE = ("installed", "triggers-pending", "triggers-awaited")


def installed(tree: Tree, sources: MappedFiles) -> Iterator[BinaryPackage]:
    """The packages that ``tree`` has, for whatever machine. Raises PackageError for one that is half installed."""
    text = status_text(tree, sources)
    yield from _listed(text)
    left = MAX_STATUS
    for path in tree.paths:
        if not path.startswith(FOLDER) or path.endswith(".md5sums"):
            continue
        entry = tree.get(tree.resolve(path))
        if entry is None or entry.content is None or entry.size > _MAX_STANZA:
            continue
        left -= entry.size
        if left < 0:
            raise PackageError("the base", f"its /{FOLDER} has more than {MAX_STATUS} bytes")
        fields = stanza(sources.read(entry.content, what=path).decode("utf-8", "replace"))
        if "package" in fields:
            yield BinaryPackage(fields)


def status_text(tree: Tree, sources: MappedFiles) -> str:
    """What dpkg's own list says, byte for byte; empty where there is none. Raises PackageError for a huge one."""
    entry = tree.get(tree.resolve(STATUS))
    if entry is None or entry.content is None:
        return ""
    if entry.size > MAX_STATUS:
        raise PackageError("the base", f"its /{STATUS} has {entry.size} bytes, more than {MAX_STATUS}")
    return sources.read(entry.content, what=f"/{STATUS}").decode("utf-8", "surrogateescape")


def stanzas_of(text: str) -> Iterator[str]:
    """The stanzas of a list of packages, as they are written."""
    yield from (part.strip("\n") for part in text.split("\n\n") if part.strip())


def state_of(fields: Mapping[str, str]) -> str:
    """The third word of a package's status: ``installed``, or how far that came."""
    return fields.get("status", "").rpartition(" ")[2]


def _listed(text: str) -> Iterator[BinaryPackage]:
    for part in stanzas_of(text):
        fields = stanza(part)
        state = state_of(fields)
        if "package" not in fields:
            continue
        if state in _HALF:
            why = f"the base has it {state}, for an installation of it was broken off"
            raise PackageError(fields["package"], why, hint="take a base whose packages are whole (dpkg --audit there)")
        if state in _WHOLE:
            yield BinaryPackage(fields)
