"""A reporter that draws a bar for each stage, in a terminal or in a notebook's cell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressBars:
    """Shows stages as bars, and notes as lines. Another way to show them is a class with the same three methods."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            # Worker processes are forked: nothing here may have a thread of its own.
            auto_refresh=False,
        )

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Draw the bar of a stage while it lasts."""
        task = self._progress.add_task(name, total=None, what="")
        with self._progress:
            yield
            self._progress.update(task, completed=1, total=1, what="")
            self._progress.refresh()
        self._progress.remove_task(task)

    def advance(self, what: str, done: int, total: int | None) -> None:
        """Move the bar."""
        if self._progress.tasks:
            self._progress.update(self._progress.tasks[-1].id, completed=done, total=total, what=what[:40])
            self._progress.refresh()

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False)
