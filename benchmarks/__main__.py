"""``python -m benchmarks``: build everything with everybody, and write down what it took."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import loading, ourparts, peerparts, profiled, report, scaling
from benchmarks.bench import Bench
from benchmarks.inputs import ROOT
from benchmarks.measuring import Runner
from benchmarks.plots import plots
from benchmarks.processes import adopt_orphans
from benchmarks.results import OURS, Book, load

PARTS: dict[str, Callable[[Bench], None]] = {
    "start-up": ourparts.start_up,
    "base": ourparts.base,
    "cold": ourparts.cold,
    "again": ourparts.again,
    "uv": peerparts.uv,
    "docker": peerparts.docker,
    "load": loading.loading,
    "buildkit": peerparts.buildkit,
    "scaling": scaling.scaling,
    "buildah": peerparts.buildah,
    "profile": profiled.profiles,
    "tools": peerparts.tools,
    "layers": loading.layers,
    "podman": peerparts.podman,
}
"""In this order: what matters most comes first."""

REPORT = "report"
PAGE, RESULTS = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance"


def main() -> None:
    """Measure, print tables, and write results.json, the plots and docs/performance.md."""
    asked = _arguments()
    # A polite kill ends the daemons that were started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as temporary:
        work = (asked.work or Path(temporary)).absolute()
        out = (asked.out or (work / "results" if asked.quick else RESULTS)).absolute()
        if asked.parts != [REPORT]:
            _measure(asked, work, out)
        _report(out, PAGE if out == RESULTS else out / PAGE.name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    said = f"{', '.join(PARTS)} [all of them, in this order]; {REPORT}: measure nothing, write the page"
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=said)
    parser.add_argument("--quick", action="store_true", help="small inputs, to see that everything works")
    parser.add_argument("--work", type=Path, help="where to work, on a local disk; kept, so that inputs are made once")
    parser.add_argument(
        "--out", type=Path, help="where the results go [docs, and their page; with --quick, WORK/results]"
    )
    parser.add_argument("--cache-dir", type=Path, help="an ocibuild cache that may have wheels and packages already")
    parser.add_argument("--minutes", type=float, default=35, help="begin nothing after so long [35]")
    parser.add_argument("--resume", action="store_true", help="leave out the parts that an earlier run has finished")
    return parser.parse_args()


def _part(name: str) -> str:
    if name != REPORT and name not in PARTS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(PARTS)}, {REPORT}")
    return name


def _measure(asked: argparse.Namespace, work: Path, out: Path) -> None:
    adopt_orphans()
    oracles = os.environ.get("OCIBUILD_ORACLES")
    programs = Path(oracles) if oracles else None
    run = Runner(time.monotonic() + 60 * asked.minutes)
    book = Book(out / "results.json", quick=asked.quick)
    book.results.machine = report.machine(programs)
    bench = Bench(
        work,
        ocibuild=[sys.executable, "-m", "oci_builder"],
        cache=asked.cache_dir or work / "fetched",
        programs=programs,
        book=book,
        run=run,
        say=lambda line: print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True),
    )
    for name in asked.parts or PARTS:
        if name == REPORT or (asked.resume and name in book.results.finished):
            continue
        if run.left > 0:
            before = bench.failures
            with bench.excused(name, OURS, seconds=run.left):
                PARTS[name](bench)
            book.finish(name, whole=bench.failures == before)


def _report(out: Path, page: Path) -> None:
    results = load(out / "results.json")
    report.write_page(page, PAGE, results, plots(results, out))
    print(report.as_text(results))


main()
