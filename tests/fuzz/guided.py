"""Fuzzing guided by coverage: atheris (libFuzzer), a process for each target.

``python -m tests.fuzz.guided OUT SECONDS [TARGET...]`` writes an input for each new way to fail below OUT, and for
each target a line of JSON: what it ran and what that covered. With FUZZ_SEED the same code makes the same inputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.harness import Target

_HANG = 120
"""Seconds after which an input counts as one that never ends, on a machine with other work."""

_TRACED = 3
"""How much longer a parser takes while what it covers is counted."""

_LAST = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/")


def main(out: Path, seconds: float, names: Sequence[str]) -> None:
    """Fuzz the targets of these names, or all, for ``seconds`` together."""
    os.environ["RUST_BACKTRACE"] = "0"  # which costs half a second for each refusal
    import atheris

    with atheris.instrument_imports(include=["oci_builder"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

    chosen = [TARGETS[name] for name in names] or list(TARGETS.values())
    for target in chosen:
        folder = out / target.name
        (folder / "found").mkdir(parents=True, exist_ok=True)
        child = os.fork()
        if child == 0:
            _fuzz(atheris, target, folder, max(1, round(seconds / len(chosen))))
            os._exit(1)  # it never returns
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps(_told(target.name, folder, os.waitstatus_to_exitcode(status))) + "\n")
        sys.stdout.flush()


def _fuzz(atheris: Any, target: Target, folder: Path, seconds: int) -> None:
    said = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    seed = [f"-seed={os.environ['FUZZ_SEED']}"] if "FUZZ_SEED" in os.environ else []
    limits = [f"-max_total_time={seconds}", f"-max_len={_longest()}", f"-timeout={_HANG}", "-rss_limit_mb=1024"]
    limits += ["-report_slow_units=3600"]  # time is measured here, as CPU time
    corpus = [str(folder / "found"), *([str(target.corpus[0].parent)] if target.corpus else [])]
    files = [f"-artifact_prefix={folder}/stopped-", *corpus]
    atheris.Setup([target.name, *limits, *seed, *files], _watched(target, folder))
    atheris.Fuzz()


def _longest() -> int:
    from tests.fuzz.harness import LONGEST

    return LONGEST


def _watched(target: Target, folder: Path) -> Callable[[bytes], None]:
    """The target, which goes on after a failure: for each kind of failure the shortest input is kept."""
    from tests.fuzz.harness import SECONDS, signature

    known: dict[str, int] = {}

    def run(data: bytes) -> None:
        before = time.process_time()
        try:
            target.feed(data)
            if (spent := time.process_time() - before) > _TRACED * SECONDS:
                raise AssertionError(f"{spent:.1f} s of CPU time")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            kind = signature(error)
            if len(data) < known.get(kind, 1 << 30):
                known[kind] = len(data)
                name = hashlib.sha256(kind.encode()).hexdigest()[:12]
                (folder / f"crash-{name}").write_bytes(data)
                (folder / f"crash-{name}.txt").write_text(f"{kind}\n{error}"[:2000])

    return run


def _told(name: str, folder: Path, status: int) -> dict[str, Any]:
    log = (folder / "log").read_text(errors="replace")
    last = _LAST.search(log)
    counts = dict(zip(("runs", "edges", "features", "inputs"), map(int, last.groups()), strict=True)) if last else {}
    crashes = {path.stem: path.read_text().partition("\n")[0] for path in sorted(folder.glob("crash-*.txt"))}
    stopped = [path.name for path in folder.glob("stopped-*")]
    return {"target": name, "status": status, **counts, "crashes": crashes, "stopped": stopped}


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
