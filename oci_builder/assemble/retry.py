"""Work that is done again when something in the store turned out damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from oci_builder.assemble.context import BuildContext
from oci_builder.errors import (
    DamagedElf,
    DigestMismatch,
    MissingLibrary,
    OcibuildError,
    PackageError,
    ToolFailed,
    UnsafePath,
    WheelError,
)

T = TypeVar("T")

_DAMAGE = (DamagedElf, DigestMismatch, MissingLibrary, PackageError, ToolFailed, UnsafePath, WheelError)
"""What a damaged blob of the store may look like to whoever reads it."""


def retry_on_corruption(work: Callable[[], T], context: BuildContext) -> T:
    """What ``work`` gives; where something in the store is damaged, that is dropped, told, and all is done again once.

    Raises what ``work`` raises although the store is sound.
    """
    try:
        result = work()
    except _DAMAGE:
        if not _dropped(context):
            raise
        result = work()
    _tell(context)
    return result


def run_again_if_damaged(
    work: Callable[[], tuple[T | OcibuildError, ...]], context: BuildContext
) -> tuple[T | OcibuildError, ...]:
    """The same for work that gives its errors instead of raising them."""
    results = work()
    if any(isinstance(each, _DAMAGE) for each in results) and _dropped(context):
        results = work()
    _tell(context)
    return results


def _dropped(context: BuildContext) -> bool:
    """Whether anything in the store was damaged; it is gone then, and told."""
    context.store.drop_damaged()
    return _tell(context)


def _tell(context: BuildContext) -> bool:
    found = context.store.told_damaged()
    if found:
        context.reporter.note(f"{', '.join(found)} damaged; made again")
    return bool(found)
