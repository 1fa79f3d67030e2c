"""What was measured, kept in a file from the first row on: a run that is stopped has lost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.measuring import Cost

SCENES = (
    "cold, no bytecode",
    "cold",
    "warm",
    "one pin",
    "base moved",
    "docker load",
    "start",
    "start-up",
    "base",
    "compile",
)
"""What everybody is measured in, in the order of the page; scaling and layers come after them."""

OURS = "ocibuild"


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure, or ``why`` there is none. ``size`` is that of the image made and ``fresh`` of its blobs that were
    not there before, in bytes; ``wheels`` and ``gigabytes`` are the inputs, in rows of scaling."""

    scene: str
    who: str
    cost: Cost | None = None
    size: int | None = None
    fresh: int | None = None
    wheels: int | None = None
    gigabytes: float | None = None
    why: str = ""


class Results(msgspec.Struct, kw_only=True):
    """All rows, on what machine and with what versions they were taken, and the profiles, by what was profiled.
    ``finished`` are the parts of the run that came to their end."""

    quick: bool
    machine: dict[str, str] = {}
    profiles: dict[str, str] = {}
    finished: list[str] = []
    rows: list[Row] = []

    def find(self, scene: str, who: str = OURS) -> Row | None:
        """The row, if it was measured."""
        return next((row for row in self.rows if (row.scene, row.who) == (scene, who) and row.cost), None)

    def seconds(self, scene: str, who: str = OURS) -> float | None:
        """What it took, if it was measured."""
        row = self.find(scene, who)
        return row.cost.seconds if row and row.cost else None

    def scenes(self) -> Iterator[tuple[str, list[Row]]]:
        """The rows by scene, as they shall be read."""
        met = dict.fromkeys(row.scene for row in self.rows)
        for scene in (*(name for name in SCENES if name in met), *(name for name in met if name not in SCENES)):
            yield scene, [row for row in self.rows if row.scene == scene]


class Book:
    """The results in ``path``, written anew with each row. Rows of an earlier run stay until they are measured again;
    those of a run on other inputs (``quick``) do not."""

    def __init__(self, path: Path, *, quick: bool) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        found = load(path) if path.is_file() else None
        self.results = found if found is not None and found.quick == quick else Results(quick=quick)

    def add(self, row: Row) -> None:
        """Put the row in the place of the one that was there; a figure is not given up for a reason why not."""
        rows = self.results.rows
        at = next((at for at, old in enumerate(rows) if (old.scene, old.who) == (row.scene, row.who)), None)
        if at is None:
            rows.append(row)
        elif row.cost is not None or rows[at].cost is None:
            rows[at] = row
        self.save()

    def finish(self, part: str, *, whole: bool) -> None:
        """Note that a part of the run came to its end, if it did so as a ``whole``."""
        finished = {*self.results.finished, part} if whole else {*self.results.finished} - {part}
        self.results.finished = sorted(finished)
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        half = self._path.with_suffix(".half")
        half.write_bytes(msgspec.json.format(msgspec.json.encode(self.results), indent=1) + b"\n")
        half.replace(self._path)


def load(path: Path) -> Results:
    """The results in a file."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
