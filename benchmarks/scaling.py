"""The part of a run that asks how time and memory grow: with the number of wheels, and with their size."""

from __future__ import annotations

import shutil
from functools import partial

from benchmarks.bench import Bench
from benchmarks.ourparts import FLOOR, floor
from benchmarks.peers import Job
from benchmarks.results import OURS
from benchmarks.synthetic import synthetic
from benchmarks.uvpeers import Uv

COUNTS, COUNTED = (10, 50, 150), 0.1
SIZES, SIZED = (0.1, 0.5, 2.0, 5.0), 50
_QUICK_COUNTS, _QUICK_COUNTED = (3, 6), 0.01
_QUICK_SIZES, _QUICK_SIZED = (0.01, 0.05), 3
_SMALL = 0.5
"""Gigabytes up to which there is a row with bytecode too, and all are measured several times."""

_LARGE = 1 << 20
"""Bytes from which a file is large."""

_ROOM = 2.2
"""What is on the disk at a time, as a multiple of the content: wheels, uv's cache and folder, or blobs and image."""


def scaling(bench: Bench) -> None:
    """Made-up wheels, away again afterwards."""
    counts, counted = (_QUICK_COUNTS, _QUICK_COUNTED) if bench.quick else (COUNTS, COUNTED)
    sizes, sized = (_QUICK_SIZES, _QUICK_SIZED) if bench.quick else (SIZES, SIZED)
    pairs = dict.fromkeys([*((count, counted) for count in counts), *((sized, size) for size in sizes)])
    for count, gigabytes in pairs:
        scene = scene_of(count, gigabytes)
        with bench.excused(scene, OURS, seconds=400):
            bench.room(_ROOM * gigabytes * 1e9)
            _scale(bench, scene, count, gigabytes)
    _large(bench, sized, sizes[-1])
    shutil.rmtree(bench.work / "synthetic", ignore_errors=True)


def scene_of(count: int, gigabytes: float) -> str:
    """What such rows are called."""
    return f"{count} wheels, {gigabytes:g} GB"


def large_of(count: int, gigabytes: float) -> str:
    """What the row of large files alone is called."""
    return f"{scene_of(count, gigabytes)}, of large files"


def _large(bench: Bench, count: int, gigabytes: float) -> None:
    """As much content in far fewer files: what is it that memory grows with?"""
    ours, out, scene = bench.ours, bench.work / "scaling.tar", large_of(count, gigabytes)
    with bench.excused(scene, OURS, seconds=200):
        bench.room(_ROOM * gigabytes * 1e9)
        size = int(gigabytes * 1e9)
        wheels = synthetic(bench.models, bench.work / "synthetic", count=count, size=size, least=_LARGE)
        ours.prepare(wheels, bytecode="none")
        ours.forget()
        bench.measure(scene, OURS, partial(ours.build, out), out=out, held=ours.held, times=1)
        out.unlink(missing_ok=True)
        ours.forget()


def _scale(bench: Bench, scene: str, count: int, gigabytes: float) -> None:
    ours, out, made_of = bench.ours, bench.work / "scaling.tar", (count, gigabytes)
    wheels = synthetic(bench.models, bench.work / "synthetic", count=count, size=int(gigabytes * 1e9))
    times = 3 if gigabytes <= _SMALL else 1
    bench.measure(scene, FLOOR, partial(floor, bench.run, wheels), times=times, made_of=made_of)

    def forget() -> None:
        ours.forget()
        out.unlink(missing_ok=True)

    build = partial(ours.build, out)
    if gigabytes <= _SMALL:
        ours.prepare(wheels, bytecode="default")
        bench.measure(scene, f"{OURS}, with bytecode", build, before=forget, out=out, times=1, made_of=made_of)
    ours.prepare(wheels, bytecode="none")
    bench.measure(scene, OURS, build, before=forget, out=out, held=ours.held, made_of=made_of)
    forget()
    peer = Uv(bench.run, bytecode=False)
    job = Job(wheels, bench.work, bench.work / "uv.tar")
    clean = partial(peer.forget, bench.work)
    bench.measure(scene, peer.name, partial(peer.build, job), before=clean, times=times, made_of=made_of)
    clean()
