"""``python -m benchmarks.updates``: what updates cost to carry, over a year of real releases and in engines."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec

from benchmarks.history import locks, weeks
from benchmarks.inputs import ROOT
from benchmarks.updated import LAYERS, MODEL, SCENES, Files, Loaded, imports, loads
from benchmarks.updatepage import PAGE, RESULTS, Record, load, write_page
from benchmarks.year import measured
from tests.support import engines

WEEKS = 53
PARTS = ("year", "made", "engines", "report")


def main() -> None:
    """Measure what is asked for, or all of it, and write docs/updates.md with what is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updates", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} [all]")
    parser.add_argument("--work", type=Path, required=True, help="where to work; kept, so that nothing is made twice")
    parser.add_argument("--cache-dir", type=Path, help="an ocibuild cache [WORK/cache]")
    parser.add_argument("--until", type=date.fromisoformat, default=date(2026, 11, 27), help="the year's last day")
    asked = parser.parse_args()
    work = asked.work.absolute()
    cache = (asked.cache_dir or work / "cache").absolute()
    record = load(RESULTS)
    for part in asked.parts or PARTS:
        if part == "year":
            _year(record, work, cache, asked.until)
        elif part == "made":
            _made(record, Files(work, cache))
        elif part == "engines":
            _engines(record, Files(work, cache))
    write_page(load(RESULTS), PAGE)


def _year(record: Record, work: Path, cache: Path, until: date) -> None:
    days = locks(MODEL, weeks(until, WEEKS), work, layers=LAYERS, cache=cache)
    record.weeks = list(measured(days, work, layers=LAYERS, cache=cache))
    _keep(record, "weeks")


def _made(record: Record, files: Files) -> None:
    files.work.mkdir(parents=True, exist_ok=True)
    files.prepare()
    record.made = []
    for number in range(len(SCENES)):
        record.made.append(files.made(number))
        _keep(record, "made")


def _engines(record: Record, files: Files) -> None:
    record.load = os.getloadavg()[0]
    record.loaded = []
    for each in _loaded(files):
        record.loaded.append(each)
        _keep(record, "loaded", "load")


def _loaded(files: Files) -> Iterator[Loaded]:
    trees: dict[str, tuple[str, int]] = {}
    oracles = os.environ.get("OCIBUILD_ORACLES")
    newest = Path(oracles) if oracles else None
    with engines.dockerd() as docker:
        yield from loads(files, "Docker 20.10, overlay2", docker, trees, is_oracle=True)
    with engines.podman() as podman:
        yield from loads(files, "podman 4.3", podman, trees, is_oracle=False)
    if newest is None:
        return
    with engines.dockerd(newest=newest, graph=True) as docker:
        yield from loads(files, "newest Docker, overlay2", docker, trees, is_oracle=False)
    with engines.dockerd(newest=newest) as docker:
        yield from loads(files, "newest Docker, containerd's store", docker, trees, is_oracle=False)
    with engines.containerd(newest=newest) as containerd:
        yield from imports(files, "containerd 2.4, ctr", containerd)


def _keep(record: Record, *fields: str) -> None:
    """Write some fields of a record into the file, which keeps the others: parts may be measured side by side."""
    known = load(RESULTS)
    for field in fields:
        setattr(known, field, getattr(record, field))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")


if __name__ == "__main__":
    assert ROOT.is_dir()
    main()
