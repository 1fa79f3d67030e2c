"""What the work says of itself while it goes on; whoever shows it decides how."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Reporter(Protocol):
    """Hears stages, progress and notes. The work never asks whether anybody listens."""

    def stage(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Bracket one stage of a build ("resolve", "fetch", "layers" …); stages do not nest."""

    def advance(self, what: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` (bytes or items) of the current stage are finished, ``what`` being the latest."""

    def note(self, line: str) -> None:
        """Say one line that the user should read although nothing failed."""


class Quiet:
    """A reporter that hears nothing."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Say nothing of it."""
        yield

    def advance(self, what: str, done: int, total: int | None) -> None:
        """Say nothing of it."""

    def note(self, line: str) -> None:
        """Say nothing of it."""
