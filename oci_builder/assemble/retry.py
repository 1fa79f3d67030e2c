"""Work that is done again when something in the store turned out damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from oci_builder.errors import (
    DamagedElf,
    DigestMismatch,
    MissingLibrary,
    PackageError,
    ToolFailed,
    UnsafePath,
    WheelError,
)
from oci_builder.reporter import Reporter
from oci_builder.store import Store

T = TypeVar("T")

_DAMAGE = (DamagedElf, DigestMismatch, MissingLibrary, PackageError, ToolFailed, UnsafePath, WheelError)
"""What a damaged blob of the store may look like to whoever reads it."""


def retry_on_corruption(work: Callable[[], T], *, store: Store, reporter: Reporter) -> T:
    """What ``work`` gives; where something in the store is damaged, that is dropped, told, and all is done again once.

    Raises what ``work`` raises although the store is sound.
    """
    try:
        result = work()
    except _DAMAGE:
        store.drop_damaged()
        found = store.told_damaged()
        if not found:
            raise
        _tell(found, reporter)
        result = work()
    _tell(store.told_damaged(), reporter)
    return result


def _tell(found: Sequence[str], reporter: Reporter) -> None:
    if found:
        reporter.note(f"{', '.join(found)} damaged; made again")
