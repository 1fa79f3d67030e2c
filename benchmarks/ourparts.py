"""The parts of a run that need nobody else: what ocibuild takes, and what nobody can do without."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.inputs import ROOT
from benchmarks.measuring import Cost, Failed, Runner, environment, settle
from benchmarks.processes import cpu_of, descendants
from benchmarks.results import OURS

FLOOR = "inflate + sha256 alone"
NO_LOCK = f"{OURS}, choosing versions too"


def start_up(bench: Bench) -> None:
    """How long nothing takes."""
    program = Path(sys.executable).with_name("ocibuild")
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import oci_builder": [sys.executable, "-c", "import oci_builder"],
        "ocibuild --help": [program, "--help"],
    }
    for who, command in commands.items():
        bench.measure("start-up", who, partial(bench.run, *command), times=9)


def floor(run: Runner, wheels: Path) -> Cost:
    """Inflate everything once and hash what goes in and what comes out, a process per processor."""
    return run(sys.executable, "-m", "benchmarks.floor", *wheels.glob("*.whl"), cwd=ROOT)


def cold(bench: Bench) -> None:
    """The wheels are on the disk, and the cache has the base's layer and nothing else."""
    ours, out = bench.ours, bench.work / "ours.tar"
    bench.measure("cold, no bytecode", FLOOR, partial(floor, bench.run, bench.wheels))
    for scene, bytecode in (("cold, no bytecode", "none"), ("cold", "default")):
        ours.prepare(bench.wheels, bytecode=bytecode)

        def forget() -> None:
            ours.forget()
            out.unlink(missing_ok=True)

        bench.measure(scene, OURS, partial(ours.build, out), before=forget, out=out, held=ours.held)
    compiling(bench)


def compiling(bench: Bench) -> None:
    """How busy the processors are while interpreters of the base run."""
    ours, out = bench.ours, bench.work / "ours.tar"
    ours.forget()
    out.unlink(missing_ok=True)
    settle()
    bench.built = bench.measure("compile", OURS, partial(_compiling, bench.run, *ours.command(out)), times=1)


def _compiling(run: Runner, command: list[str | Path], folder: Path) -> Cost:
    """What the whole build takes from the first such interpreter's start to the last one's end. Raises Failed."""
    seen: list[tuple[float, float]] = []
    argv = [str(part) for part in command]
    with subprocess.Popen(argv, cwd=folder, env=environment({}), stdin=subprocess.DEVNULL) as building:
        interpreter = Path(f"/proc/{building.pid}/exe").readlink()
        while building.poll() is None and run.left > 0:
            below = list(descendants(building.pid))
            if any(_runs_another(pid, interpreter) for pid in below):
                seen.append((time.monotonic(), sum(map(cpu_of, (building.pid, *below)))))
            time.sleep(0.02)
        building.terminate()
    if building.returncode or len(seen) < 2:
        raise Failed(f"nothing was seen compiling; exit {building.returncode}")
    seconds, cpu = seen[-1][0] - seen[0][0], seen[-1][1] - seen[0][1]
    return Cost(seconds=seconds, cpu=cpu, peak=0, private=0, written=0, others=0)


def _runs_another(pid: int, interpreter: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").readlink() != interpreter
    except OSError:
        return False


def again(bench: Bench) -> None:
    """Nothing changed; then one pin; then the base."""
    ours, out, other = bench.ours, bench.image, bench.work / "again.tar"
    ours.prepare(bench.wheels, bytecode="default", also=[bench.changed])
    ours.build(out)
    ours.build(out)
    build = partial(ours.build, out)
    bench.measure("warm", OURS, build, out=out, times=9)
    bench.measure("warm", f"{OURS}, file written anew", build, before=partial(out.unlink, missing_ok=True), out=out)
    ours.remember()
    old = [path for path in bench.wheels.glob("*.whl") if not (bench.bumped / path.name).exists()]
    ours.prepare(bench.bumped, bytecode="default", also=old)
    build = partial(ours.build, other)
    bench.measure("one pin", OURS, build, before=ours.restore, out=other, held=ours.held)

    def unlocked() -> None:
        ours.restore()
        ours.unlock()

    bench.measure("one pin", NO_LOCK, build, before=unlocked, out=other)
    ours.prepare(bench.wheels, bytecode="default")
    ours.move_base()
    bench.measure("base moved", OURS, build, before=ours.restore, out=other, times=1)
    ours.restore_base()
    other.unlink(missing_ok=True)


def base(bench: Bench) -> None:
    """The base from its .deb files, which are on the disk; then from the cache."""
    ours = bench.ours
    bench.measure("base", OURS, ours.build_base, before=ours.forget_base)
    ours.build_base()
    bench.measure("base", f"{OURS}, its layer cached", ours.build_base)
