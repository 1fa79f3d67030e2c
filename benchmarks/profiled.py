"""Where the time goes: a build under cProfile, and its workers. Run as a program, it builds and writes stats."""

from __future__ import annotations

import cProfile
import io
import multiprocessing.util
import os
import pstats
import re
import shutil
import sys
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.inputs import ROOT

_LINES = 16


def profiles(bench: Bench) -> None:
    """The functions that cost most in a cold build, without bytecode and with it."""
    ours, out = bench.ours, bench.work / "profiled.tar"
    for title, bytecode in (("without bytecode", "none"), ("with bytecode", "default")):
        folder = bench.work / "profile"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        ours.prepare(bench.wheels, bytecode=bytecode)
        ours.forget()
        command, where = ours.command(out)
        argv = [sys.executable, "-m", "benchmarks.profiled", folder, *command[len(bench.ocibuild) :]]
        with bench.excused("profile", title, seconds=200):
            bench.run(*argv, cwd=where, env={"PYTHONPATH": str(ROOT)})
            bench.book.results.profiles[title] = _text(folder)
            bench.book.save()
            bench.say(f"profile: {title}: done")
    out.unlink(missing_ok=True)


def _text(folder: Path) -> str:
    out = io.StringIO()
    stats = pstats.Stats(*map(str, sorted(folder.iterdir())), stream=out)
    stats.strip_dirs().sort_stats("tottime").print_stats(_LINES)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    head = next(number for number, line in enumerate(lines) if "ncalls" in line)
    total = next(line.strip() for line in lines if "function calls" in line)
    # Addresses of objects say nothing, and differ every time.
    return "\n".join([total, *(re.sub(r" at 0x[0-9a-f]+", "", line) for line in lines[head:] if line)]) + "\n"


def _begin(folder: str) -> cProfile.Profile:
    """Profile this process until it ends."""
    profile = cProfile.Profile()
    multiprocessing.util.Finalize(None, lambda: profile.dump_stats(f"{folder}/{os.getpid()}"), exitpriority=0)
    profile.enable()
    return profile


def _main(folder: str, argv: list[str]) -> int:
    from oci_builder.cli import main

    profile = _begin(folder)

    def begin_anew(module: object) -> None:
        # A forked worker goes on with its parent's figures, which would be counted twice.
        profile.disable()
        _begin(folder)

    multiprocessing.util.register_after_fork(sys.modules[__name__], begin_anew)
    return main(argv)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
