"""The parts of a run that ask how well the image serves: loading it, starting a container, and with how many layers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measuring import Cost
from benchmarks.peers import Docker
from benchmarks.results import OURS
from tests.support import engines

THEIRS = "docker's own tar of the same image"
BUILT = "the image that docker built"
_NAME, _DOCKERS = "bench:latest", "bench:docker"


def loading(bench: Bench) -> None:
    """``docker load`` of our file and of docker's own, by a daemon that has neither; then a container's start."""
    with bench.excused("docker load", OURS, seconds=400), engines.dockerd() as docker:
        image, theirs = bench.image, bench.work / "resaved.tar"
        load = partial(_load, bench, docker)
        forget = partial(_forget, docker)
        if not bench.measure("docker load", OURS, partial(load, image), before=forget, out=image):
            return
        bench.run(*docker.command, "save", "--output", theirs, _NAME)
        bench.measure("docker load", THEIRS, partial(load, theirs), before=forget, out=theirs)
        theirs.unlink()
        _starts(bench, docker, OURS, _NAME)
        built = bench.work / "docker.tar"
        if not built.is_file() or bench.book.results.find("cold", Docker.name) is None:
            bench.lacks("docker load", BUILT, "docker has not built it in this run")
            return
        if bench.measure("docker load", BUILT, partial(load, built), before=forget, out=built, times=1):
            _starts(bench, docker, BUILT, _DOCKERS)


def _starts(bench: Bench, docker: engines.DockerLike, who: str, image: str) -> None:
    start = [*docker.command, "run", "--rm", "--network=none", image, "python3", "-c", bench.load]
    bench.measure("start", f"{who}, first time", partial(bench.run, *start), times=1)
    bench.measure("start", who, partial(bench.run, *start), times=5)


def _load(bench: Bench, docker: engines.DockerLike, file: Path) -> Cost:
    return bench.run(*docker.command, "load", "--quiet", "--input", file)


def _forget(docker: engines.DockerLike) -> None:
    for image in (_NAME, _DOCKERS):
        docker.call("image", "rm", "--force", image, check=False)


def layers(bench: Bench) -> None:
    """What the number of layers costs when an image is loaded, and what it saves when one pin changes."""
    ours = bench.ours
    with bench.excused("layers", OURS, seconds=300), engines.dockerd() as docker:
        for strategy in ("one", "size", "each"):
            out = bench.work / f"layers-{strategy}.tar"
            ours.forget()
            ours.prepare(bench.wheels, bytecode="none", strategy=strategy)
            bench.measure("layers", f"{strategy}: build", partial(ours.build, out), out=out, times=1)
            load = partial(_load, bench, docker, out)
            bench.measure("layers", f"{strategy}: docker load", load, before=partial(_forget, docker), out=out)
            ours.prepare(bench.bumped, bytecode="none", strategy=strategy)
            bench.measure(
                "layers", f"{strategy}: build after one pin", partial(ours.build, out), times=1, held=ours.held
            )
            bench.measure("layers", f"{strategy}: docker load after one pin", load, times=1)
            out.unlink(missing_ok=True)
