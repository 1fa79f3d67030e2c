"""Listeners that show a build: bars on a terminal, lines elsewhere, or nothing; all of them time the stages."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oci_builder.cli.settings import Settings
from oci_builder.cli.terminal import console, printable, say

if TYPE_CHECKING:
    from rich.progress import Progress

_LONGEST = 2000
"""Letters of a note above the bars."""

_REFRESH = 0.1
"""Seconds between two pictures."""


class Timed:
    """Times stages and passes notes on; shows no progress. With ``quiet``, notes are dropped as well."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.notes: list[str] = []
        self._seconds: dict[str, float] = {}
        self._began = time.monotonic()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; one that comes again is added up. One that fails is not shown as done."""
        began = time.monotonic()
        self._enter(name)
        try:
            yield
        finally:
            spent = time.monotonic() - began
            self._seconds[name] = self._seconds.get(name, 0.0) + spent
        self._leave(name, spent)

    def advance(self, what: str, done: int, total: int | None) -> None:
        """Show nothing: a line a second is no bar."""

    def note(self, line: str) -> None:
        """One line to stderr; it is remembered."""
        if line in self.notes:
            return
        self.notes.append(line)
        if not self._quiet:
            say(line)

    def lap(self) -> dict[str, float]:
        """Seconds per stage and in ``total`` since the start or the last lap."""
        now = time.monotonic()
        seconds = {**self._seconds, "total": now - self._began}
        self._seconds, self._began = {}, now
        return {name: round(spent, 3) for name, spent in seconds.items()}

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _enter(self, name: str) -> None:
        pass

    def _leave(self, name: str, spent: float) -> None:
        pass


class Plain(Timed):
    """A line when a stage begins, and one when it is done: for logs and pipes."""

    def _enter(self, name: str) -> None:
        say(f"{name} …")

    def _leave(self, name: str, spent: float) -> None:
        say(f"{name} {spent:.1f} s")


class Bars(Timed):
    """A bar per stage. Drawn by whoever calls, never by a thread of its own: worker processes are forked."""

    def __init__(self) -> None:
        super().__init__()
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[amount]} {task.fields[what]}", markup=False),
        )
        self._bars: Progress = Progress(
            *columns, console=console(), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._drawn = 0.0
        self._bars.start()

    def advance(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of the current stage."""
        if self._bars.tasks:
            task = self._bars.tasks[-1].id
            self._bars.update(task, completed=done, total=total, what=printable(what, 40), amount=_amount(done, total))
            if time.monotonic() - self._drawn > _REFRESH:
                self._draw()

    def note(self, line: str) -> None:
        """One line above the bars."""
        if line in self.notes:
            return
        self.notes.append(line)
        self._bars.console.print(printable(line, _LONGEST), soft_wrap=True)
        self._draw()

    def close(self) -> None:
        """Leave the last picture standing, and the cursor under it."""
        self._bars.stop()

    def _enter(self, name: str) -> None:
        self._bars.add_task(name, total=None, what="", amount="")
        self._draw()

    def _leave(self, name: str, spent: float) -> None:
        task = self._bars.tasks[-1]
        self._bars.update(task.id, total=task.completed or 1, completed=task.completed or 1, what="")
        self._bars.stop_task(task.id)
        self._draw()

    def _draw(self) -> None:
        self._bars.refresh()
        self._drawn = time.monotonic()


@contextlib.contextmanager
def shown(settings: Settings) -> Iterator[Timed]:
    """The reporter that the settings ask for; the terminal is as before when the block is left, however it is left."""
    reporter = _listener(settings)
    try:
        yield reporter
    finally:
        reporter.close()


def human_bytes(size: float) -> str:
    """``1234567`` as ``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _listener(settings: Settings) -> Timed:
    if settings.shown == "rich":
        return Bars()
    return Plain() if settings.shown == "plain" else Timed(quiet=settings.quiet)


def _amount(done: int, total: int | None) -> str:
    # Stages count items or bytes and do not say which; nobody has a hundred thousand wheels.
    counted = str if max(done, total or 0) < 100_000 else human_bytes
    return f"{counted(done)}/{counted(total)}" if total else counted(done)
