"""The parts of a run that others build in, from the same wheels: cold, warm, with one pin or the base moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks import peers, uvpeers
from benchmarks.bench import Bench
from benchmarks.inputs import moved_base, peers_base

_Opened = Callable[[], AbstractContextManager[peers.Peer]]


def docker(bench: Bench) -> None:
    """Docker's classic builder. The image it saves is kept, to be loaded again."""
    _all(bench, peers.Docker.name, lambda: peers.docker(bench.run), out="docker.tar", seconds=540)


def buildkit(bench: Bench) -> None:
    """BuildKit and uv."""
    name = peers.BuildKit.name
    with bench.excused("cold", name, seconds=480):
        programs = bench.program("buildkitd").parent
        _all(bench, name, lambda: peers.buildkitd(programs, bench.run), out="buildkit.tar", seconds=480)


def buildah(bench: Bench) -> None:
    """buildah."""
    name = "buildah build + push"
    _all(bench, name, lambda: peers.buildah(name, bench.work, bench.run), out="buildah.tar", seconds=540)


def podman(bench: Bench) -> None:
    """podman, cold and warm: its builder is buildah's."""
    name, out = "podman build + push", bench.work / "podman.tar"
    with bench.excused("cold", name, seconds=300), peers.buildah(name, bench.work, bench.run) as peer:
        base = peers_base(bench.work, bench.run)
        peer.prepare(base)
        job = peers.Job(bench.wheels, base, out)
        if bench.measure("cold", name, partial(peer.build, job), out=out, times=1):
            bench.measure("warm", name, partial(peer.build, job), out=out)
    for scene in ("one pin", "base moved"):
        bench.lacks(scene, name, "its builder is buildah's: see there")
    out.unlink(missing_ok=True)


def _all(bench: Bench, name: str, opened: _Opened, *, out: str, seconds: float) -> None:
    """Somebody with a base and a cache, in all four scenes, in at most so many seconds together."""
    made = bench.work / out
    with bench.excused("cold", name, seconds=seconds), opened() as peer:
        base = peers_base(bench.work, bench.run)
        peer.prepare(base)
        job = peers.Job(bench.wheels, base, made)
        if not bench.measure("cold", name, partial(peer.build, job), out=made, times=1):
            return
        bench.measure("warm", name, partial(peer.build, job), out=made)
        pinned, kept = peers.Job(bench.bumped, base, bench.work / "again.tar"), bench.work / "again.tar"
        bench.measure("one pin", name, partial(peer.build, pinned), out=kept, times=1)
        moved = moved_base(base)
        peer.prepare(moved)
        bench.measure("base moved", name, partial(peer.build, peers.Job(bench.wheels, moved, kept)), out=kept, times=1)
        kept.unlink(missing_ok=True)
    if name != peers.Docker.name:
        made.unlink(missing_ok=True)


def uv(bench: Bench) -> None:
    """uv alone, which makes no image."""
    job = peers.Job(bench.wheels, bench.work, bench.work / "uv.tar")
    for scene, bytecode, copying in (
        ("cold, no bytecode", False, False),
        ("cold, no bytecode", False, True),
        ("cold", True, False),
    ):
        peer = uvpeers.Uv(bench.run, bytecode=bytecode, copying=copying)
        forget, target = partial(peer.forget, bench.work), bench.work / "target"
        bench.measure(scene, peer.name, partial(peer.build, job), before=forget, out=target)
    peer = uvpeers.Uv(bench.run, bytecode=False)
    bench.measure("warm", peer.name, partial(peer.build, job), before=partial(peer.clear, bench.work))
    peer.forget(bench.work)


def tools(bench: Bench) -> None:
    """uv, and tools that put a folder into an image."""
    _packed(bench, uvpeers.UvAndTar(bench.run), "uv.tar")
    _packed(bench, uvpeers.Umoci(bench.run), "umoci")
    crane, pyoci = "uv + tar + crane append", "uv + pyoci (into a layout)"
    with bench.excused("cold", crane, seconds=300):
        program = bench.program("crane")
        with uvpeers.registry(bench.run) as registry:
            _packed(bench, uvpeers.Crane(bench.run, program, registry), "crane.tar")
    with bench.excused("cold", pyoci, seconds=300), uvpeers.registry(bench.run) as registry:
        _packed(bench, uvpeers.Pyoci(bench.run, registry), "pyoci")


def _packed(bench: Bench, peer: peers.Peer, out: str) -> None:
    """Somebody without a cache of images: uv's cache is all that helps, so what changed makes no difference."""
    made, clean = bench.work / out, uvpeers.Uv(bench.run, bytecode=True)
    with bench.excused("cold", peer.name, seconds=300):
        base = peers_base(bench.work, bench.run)
        peer.prepare(base)
        job = peers.Job(bench.wheels, base, made)
        forget = partial(clean.forget, bench.work)
        if bench.measure("cold", peer.name, partial(peer.build, job), before=forget, out=made, times=1):
            for scene in ("warm", "one pin", "base moved"):
                bench.lacks(scene, peer.name, "it keeps nothing between builds: as cold, but for uv's cache")
    clean.forget(bench.work)
    if made.is_dir():
        shutil.rmtree(made)
    made.unlink(missing_ok=True)
