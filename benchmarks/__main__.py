"""``python -m benchmarks``: build everything with everybody, and write down what it took."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import report
from benchmarks.inputs import ROOT
from benchmarks.profiled import profile
from benchmarks.scenes import Run


def main() -> None:
    """Measure, print a table, and write results.json, the plots and docs/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--work", type=Path, help="where to work, on a local disk; kept, so that inputs are made once")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "benchmarks", help="where results.json and plots go"
    )
    parser.add_argument(
        "--cache-dir", type=Path, help="an ocibuild cache that may have the wheels and packages already"
    )
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md as it is")
    parser.add_argument("--minutes", type=float, default=15, help="begin no further row after so long [15]")
    asked = parser.parse_args()
    busy = os.getloadavg()[0]
    oracles = os.environ.get("OCIBUILD_ORACLES")
    programs = Path(oracles) if oracles else None
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as temporary:
        work = (asked.work or Path(temporary)).absolute()
        cache = asked.cache_dir or work / "fetched"
        until = time.monotonic() + 60 * asked.minutes
        command = [sys.executable, "-m", "oci_builder"]
        run = Run(work, command, cache, programs, lambda line: print(line, file=sys.stderr), until=until)
        rows = run.everything()
        spent = profile(run.wheels)
    about = report.machine(programs, busy=busy)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "results.json").write_text(report.as_json(rows, about))
    pictures = report.plots(rows, asked.out)
    if not asked.no_page:
        report.write_page(ROOT / "docs" / "performance.md", rows, about, pictures, spent)
    print(report.table(rows))
    if busy > 0.5:
        print(f"The machine was busy before the run ({busy:.1f}): trust the ratios, not the seconds.", file=sys.stderr)


main()
