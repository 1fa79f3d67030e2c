"""Wheels of one's own projects, remembered by all that building them may read."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import msgspec

from oci_builder import inputs
from oci_builder.digest import Digest
from oci_builder.file_digests import FileDigests
from oci_builder.files import open_regular
from oci_builder.store import Store
from oci_builder.version import __version__
from oci_builder.wheels.backend import Backend
from oci_builder.wheels.project_tree import tree_rows

RECORDS = "project-wheels"
"""The kind of the records in a store."""

_CLOCK = ("tag_date", "tag-date")
"""What has setuptools ask the clock for a version."""

_CONFIGURED = ("setup.cfg", "pyproject.toml")


class RememberedWheel(msgspec.Struct, frozen=True):
    """A built wheel in the store."""

    filename: str
    sha256: str
    size: int


def wheel_key(folder: Path, backend: Backend, *, without: Collection[Path]) -> str | None:
    """The hash of the project in ``folder`` as its backend sees it: every file that is copied for it, its environment,
    and every variable. None where that cannot be all, or no environment is kept.

    Raises FileProblem, and what making the environment raises.
    """
    found = backend.environment()
    if found is None:
        return None
    with FileDigests(backend.store, f"project {folder}") as digests:
        rows = tree_rows(folder, digests, without=without)
    if rows is None or any(_asks_clock(folder / name) for name in _CONFIGURED):
        return None
    environ = {name: value for name, value in backend.sources.environ.items() if name not in inputs.NOISE}
    decides = {
        "program": __version__,
        "name": folder.name,
        "backend": [backend.system.backend, *backend.system.path],
        "environment": found.sha256,
        "environ": sorted(environ.items()),
        "files": rows,
    }
    return Digest.of(json.dumps(decides, sort_keys=True).encode("utf-8", "surrogateescape")).hex


def wheel_of(key: str, store: Store) -> RememberedWheel | None:
    """The wheel that is remembered under ``key``, if the store still has it."""
    data = store.record(RECORDS, key)
    if data is None:
        return None
    try:
        found = msgspec.json.decode(data, type=RememberedWheel)
    except msgspec.MsgspecError:
        store.drop_record(RECORDS, key)
        return None
    return found if store.has(Digest(found.sha256), found.size) else None


def remember(key: str, wheel: RememberedWheel, store: Store) -> None:
    """Keep ``wheel``, which the store has, under ``key``."""
    store.put_record(RECORDS, key, msgspec.json.encode(wheel))


def _asks_clock(file: Path) -> bool:
    if not inputs.is_file(file):
        return False
    with open_regular(file) as stream:
        text = stream.read(4 << 20).decode("utf-8", "replace")
    return any(word in text for word in _CLOCK)
