"""One run: its inputs, its deadline and its book of results."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import inputs
from benchmarks.measuring import Cost, Failed, Runner, repeated
from benchmarks.ours import Ours
from benchmarks.results import Book, Row
from tests.support import engines

Say = Callable[[str], None]

FAILURES = (Failed, OSError, engines.EngineFailed)
"""What goes wrong with programs of others; their rows say so."""


class Bench:
    """What every part of a run works with.

    ``wheels`` and ``bumped`` are folders, ``changed`` is the one wheel of ``bumped`` that is not in ``wheels``;
    ``programs`` is the folder of programs built from source, ``load`` what a container is started to import,
    ``failures`` the number of rows so far that should have had a figure.
    """

    def __init__(
        self, work: Path, *, ocibuild: list[str], cache: Path, programs: Path | None, book: Book, run: Runner, say: Say
    ) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.ocibuild, self.programs, self.book, self.run, self.say = (
            work,
            ocibuild,
            programs,
            book,
            run,
            say,
        )
        self.quick = book.results.quick
        # As a package manager does where ocibuild is installed.
        run(sys.executable, "-m", "compileall", "-q", inputs.ROOT / "oci_builder")
        self.models = inputs.reference_wheels(work, ocibuild, cache, run)
        self.wheels = inputs.few(self.models, work / "few") if self.quick else self.models
        self.bumped, self.changed = inputs.bumped(self.wheels, work / "bumped")
        self.load = "import cycler, packaging" if self.quick else "import pandas, matplotlib.pyplot"
        self.failures = 0
        self._ours: Ours | None = None
        self.built = False

    @property
    def ours(self) -> Ours:
        """The project that ocibuild builds, its base's layer made."""
        if self._ours is None:
            self._ours = Ours(self.work / "ours", self.ocibuild, self.work / "debs", self.run)
            self._ours.build_base()
        return self._ours

    @property
    def image(self) -> Path:
        """The image of the wheels as a file; ocibuild has ``built`` it in this run."""
        out = self.work / "ours.tar"
        if not self.built:
            self.ours.forget()
            self.ours.prepare(self.wheels, bytecode="default")
            self.ours.build(out)
            self.built = True
        return out

    def program(self, name: str) -> Path:
        """A program that was built from source. Raises Failed."""
        if self.programs is None or not (self.programs / name).is_file():
            raise Failed(f"no {name} in OCIBUILD_ORACLES")
        return self.programs / name

    def measure(
        self,
        scene: str,
        who: str,
        act: Callable[[], Cost],
        *,
        before: Callable[[], object] | None = None,
        out: Path | None = None,
        times: int = 3,
        held: Callable[[], int] | None = None,
        made_of: tuple[int, float] | None = None,
    ) -> bool:
        """Add a row of what ``act`` took, or of why it failed; whether it did not. ``before`` every repetition,
        something is done that does not count. ``held`` says how many bytes of blobs there are."""
        there = [0]

        def begin() -> None:
            if before is not None:
                before()
            if held is not None:
                there.append(held())

        try:
            cost = repeated(act, before=begin, times=times)
        except FAILURES as error:
            self._failed(scene, who, error)
            return False
        wheels, gigabytes = made_of or (None, None)
        size = inputs.size_of(out) if out is not None else None
        fresh = held() - there[-1] if held is not None else None
        self._add(Row(scene=scene, who=who, cost=cost, size=size, fresh=fresh, wheels=wheels, gigabytes=gigabytes))
        return True

    def lacks(self, scene: str, who: str, why: str) -> None:
        """Add a row without a figure."""
        self._add(Row(scene=scene, who=who, why=why))

    @contextmanager
    def excused(self, scene: str, who: str, *, seconds: float) -> Iterator[None]:
        """What fails in here, or takes longer in all, costs this row and not the run."""
        try:
            with self.run.within(seconds):
                yield
        except FAILURES as error:
            self._failed(scene, who, error)

    def _failed(self, scene: str, who: str, error: Exception) -> None:
        self.failures += 1
        self.lacks(scene, who, _plainly(error))

    def _add(self, row: Row) -> None:
        self.book.add(row)
        self.say(
            f"{row.scene}: {row.who}: " + (f"{row.cost.seconds:.2f} s" if row.cost else f"not measured: {row.why}")
        )

    def room(self, size: float) -> None:
        """There is so much space on the disk. Raises Failed."""
        free = shutil.disk_usage(self.work).free
        if free < size:
            raise Failed(f"only {free / 1e9:.1f} GB are free on the disk, and {size / 1e9:.1f} GB are needed")


def _plainly(error: Exception) -> str:
    # On a page: no folders of this machine.
    return re.sub(r"(?<![\w.])/(?:tmp|root|home|work|var|usr)/[^\s:'\"]*/", "…/", " ".join(str(error).split()))[:300]
