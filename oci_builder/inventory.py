"""What a store holds: how much of what, and when it was used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oci_builder.files import open_regular, unread
from oci_builder.store import Store

_SORTS = {b"\x1f\x8b": "layers", b"PK": "wheels", b"!<": "packages"}
"""The sorts of blobs, by how the files begin: gzip, zip, ar."""

_OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Shelf:
    """So many files, of so many bytes; when one was used first and last, in seconds since 1970."""

    files: int = 0
    size: int = 0
    oldest: float = 0
    latest: float = 0


def shelves(store: Store) -> dict[str, Shelf]:
    """What is kept, by its sort: ``layers``, ``wheels``, ``packages``, ``others``, then ``records/<kind>``."""
    found: dict[str, list[Shelf]] = {}
    for path, info in store.kept():
        is_blob = path.parent.name == "sha256"
        name = _sort(path) if is_blob else f"records/{path.parent.name}"
        unread(path, info)
        found.setdefault(name, []).append(Shelf(1, info.st_size, info.st_atime, info.st_atime))
    order = [*_SORTS.values(), _OTHERS]
    names = sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))
    return {name: together(found[name]) for name in names}


def together(parts: Iterable[Shelf]) -> Shelf:
    """Several shelves counted as one."""
    full = [part for part in parts if part.files]
    return Shelf(
        files=sum(part.files for part in full),
        size=sum(part.size for part in full),
        oldest=min((part.oldest for part in full), default=0),
        latest=max((part.latest for part in full), default=0),
    )


def _sort(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            return _SORTS.get(stream.read(2), _OTHERS)
    except OSError:
        return _OTHERS
