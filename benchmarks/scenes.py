"""What is measured: the same four scenes for everybody, scaling, loading and starting."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import inputs, peers
from benchmarks.measuring import Cost, Failed, run
from benchmarks.ours import Ours
from tests.support import engines

Say = Callable[[str], None]

START = "import pandas, matplotlib.pyplot"


@dataclass(frozen=True)
class Row:
    """One figure: what it took, or why there is none; ``size`` is that of the file made, in bytes."""

    scene: str
    who: str
    cost: Cost | None
    size: int | None = None
    why: str = ""


class Run:
    """One run of everything, on one set of inputs."""

    def __init__(
        self, work: Path, ocibuild: list[str], cache: Path, programs: Path | None, say: Say, *, until: float
    ) -> None:
        self.work, self.programs, self._say, self._until = work, programs, say, until
        work.mkdir(parents=True, exist_ok=True)
        self._ocibuild = ocibuild
        self.wheels = inputs.reference_wheels(work, ocibuild, cache)
        self.bumped = inputs.bumped(self.wheels, work / "bumped")
        self.rows: list[Row] = []

    def everything(self) -> list[Row]:
        """All rows; one that fails says why."""
        self._ours()
        self._scaling()
        self._peers()
        return self.rows

    def _measure(self, scene: str, who: str, act: Callable[[], Cost], out: Path | None = None) -> bool:
        if time.monotonic() > self._until:
            self._add(Row(scene, who, None, why="no time was left"))
            return False
        try:
            cost = act()
        except (Failed, OSError, engines.EngineFailed) as error:
            self._add(Row(scene, who, None, why=" ".join(str(error).split())[:300]))
            return False
        self._add(Row(scene, who, cost, out.stat().st_size if out is not None and out.is_file() else None))
        return True

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        said = f"{row.cost.seconds:.2f} s" if row.cost else row.why
        self._say(f"{row.scene}: {row.who}: {said}")

    def _ours(self) -> None:
        ours = Ours(self.work / "ours", self._ocibuild, self.work / "debs")
        self._measure("base from packages", "ocibuild", ours.set_up)
        self._measure("floor", "inflate + sha256 in two processes", partial(_floor, self.wheels))
        for bytecode, who in (("none", "ocibuild, no bytecode"), ("default", "ocibuild")):
            out = self.work / f"ours-{bytecode}.tar"
            ours.forget()
            ours.prepare(self.wheels, bytecode=bytecode)
            self._measure("cold", who, partial(ours.build, out), out)
        out.unlink(missing_ok=True)
        self._measure("warm", "ocibuild, file written anew", partial(ours.build, out), out)
        self._measure("warm", "ocibuild", partial(ours.build, out), out)
        ours.prepare(self.bumped, bytecode="default")
        self._measure("one pin", "ocibuild", partial(ours.build, out), out)
        ours.prepare(self.wheels, bytecode="default")
        ours.build(out)
        ours.move_base()
        self._measure("base moved", "ocibuild", partial(ours.build, out), out)

    def _peers(self) -> None:
        try:
            base = inputs.peers_base(self.work)
        except Failed as error:
            self._add(Row("cold", "all with a base", None, why=str(error)))
            return
        moved = inputs.changed_base(base)
        with ExitStack() as stack:
            for peer in self._found(stack):
                self._scenes(peer, base, moved)
                if isinstance(peer, peers.Docker):
                    self._loading(peer)

    def _found(self, stack: ExitStack) -> Iterator[peers.Peer]:
        uv, storage = Path(sys.executable).with_name("uv"), self.work / "storage"
        stack.callback(shutil.rmtree, storage, ignore_errors=True)
        opened: list[Callable[[], peers.Peer]] = [
            lambda: peers.UvAndTar("uv --target, no bytecode, no image", uv, bytecode=False, tar=False),
            lambda: peers.UvAndTar("uv --target + tar, one layer, no base", uv, bytecode=True),
            lambda: peers.Docker(stack.enter_context(engines.dockerd())),
        ]
        if self.programs is not None:
            programs = self.programs
            opened.append(lambda: stack.enter_context(peers.buildkitd(programs, uv)))
            name = "uv --target + tar + crane, no base"
            opened.append(lambda: peers.UvAndTar(name, uv, bytecode=True, crane=programs / "crane"))
        opened += [
            lambda: peers.Buildah("buildah", "buildah", storage / "b"),
            lambda: peers.Buildah("podman build", "podman", storage / "p"),
        ]
        for each in opened:
            try:
                yield each()
            except (Failed, OSError, engines.EngineFailed) as error:
                self._add(Row("cold", "a peer", None, why=" ".join(str(error).split())[:300]))

    def _scenes(self, peer: peers.Peer, base: Path, moved: Path) -> None:
        out = self.work / f"peer-{peer.name.split()[0]}.tar"
        job = peers.Job(self.wheels, base, self.work, out)
        if not self._measure("cold", peer.name, partial(peer.build, job), out):
            return
        if isinstance(peer, peers.UvAndTar) or peer.name == "podman build":
            return  # every time is the first; and podman's builder is buildah
        self._measure("warm", peer.name, partial(peer.build, job), out)
        self._measure("one pin", peer.name, partial(peer.build, peers.Job(self.bumped, base, self.work, out)), out)
        self._measure("base moved", peer.name, partial(peer.build, peers.Job(self.wheels, moved, self.work, out)), out)

    def _loading(self, docker: peers.Docker) -> None:
        """Both files in one daemon that has neither; then how long a process takes to be useful."""
        files = {
            "docker's own": (self.work / "peer-docker.tar", "bench:docker"),
            "ocibuild": (self.work / "ours-default.tar", "bench:latest"),
        }
        for who, (file, name) in files.items():
            if not file.is_file():
                continue
            for image in ("bench:docker", "bench:latest"):
                engines.call(*docker.command, "image", "rm", "--force", image, check=False)
            load: list[str | Path] = [*docker.command, "load", "--quiet", "--input", file]
            if self._measure("docker load", who, partial(run, *load)):
                started: list[str | Path] = [
                    *docker.command,
                    "run",
                    "--rm",
                    "--network=none",
                    name,
                    "python3",
                    "-c",
                    START,
                ]
                self._measure("start", f"{who}, first time", partial(run, *started))
                self._measure("start", who, partial(run, *started))

    def _scaling(self) -> None:
        ours = Ours(self.work / "ours", self._ocibuild, self.work / "debs")
        uv = Path(sys.executable).with_name("uv")
        for count, size in (
            (10, 50 << 20),
            (50, 50 << 20),
            (150, 50 << 20),
            (20, 100 << 20),
            (20, 500 << 20),
            (20, 2 << 30),
        ):
            scene, out = f"{count} wheels, {size / 1e9:.2f} GB", self.work / "scaling.tar"
            wheels = inputs.synthetic(self.work / "synthetic", count=count, size=size)
            job = peers.Job(wheels, out, self.work, out)
            ours.forget()
            ours.prepare(wheels, bytecode="none")
            self._measure(scene, "ocibuild, no bytecode", partial(ours.build, out), out)
            bare = peers.UvAndTar("uv --target, no bytecode, no image", uv, bytecode=False, tar=False)
            self._measure(scene, bare.name, partial(bare.build, job))


def _floor(wheels: Path) -> Cost:
    return run(sys.executable, "-m", "benchmarks.floor", *wheels.glob("*.whl"), cwd=inputs.ROOT, alone=True)
