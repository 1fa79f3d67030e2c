"""Those who build from a Dockerfile. Each says how to build an image file from a folder of wheels and a base."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.inputs import linked, oci_layout
from benchmarks.measuring import Cost, Failed, Runner, output_of
from tests.support import engines

UV = Path(sys.executable).with_name("uv")

_PIP = """\
FROM {base}
COPY wheels /wheels
RUN python3 -m pip install --break-system-packages --no-index --no-deps --no-cache-dir /wheels/*.whl
"""
_UV = """\
FROM base
RUN --mount=type=bind,source=wheels,target=/wheels --mount=type=bind,source=uv,target=/uv \
    UV_LINK_MODE=copy UV_CACHE_DIR=/tmp/uv /uv pip install --system --break-system-packages --compile-bytecode \
    --no-index --no-deps /wheels/*.whl && rm -rf /tmp/uv
"""


@dataclass(frozen=True)
class Job:
    """What to build: a folder of ``wheels`` on a ``base`` (a tar); the image goes to ``out``, beside other work."""

    wheels: Path
    base: Path
    out: Path

    def context(self, dockerfile: str) -> Path:
        """A build context, made anew: file times count for nobody here."""
        folder = self.out.parent / "context"
        shutil.rmtree(folder, ignore_errors=True)
        linked(list(self.wheels.glob("*.whl")), folder / "wheels")
        (folder / "Dockerfile").write_text(dockerfile)
        return folder


class Peer(Protocol):
    """A way to an image file."""

    @property
    def name(self) -> str:
        """What its rows are called."""

    def prepare(self, base: Path) -> None:
        """Have the base, as somebody has it who has built on it before. Raises Failed."""

    def build(self, job: Job) -> Cost:
        """Build; what earlier builds left may help. Raises Failed."""


class Docker:
    """dockerd's classic builder: ``docker build`` and ``docker save``."""

    name = "docker build + save"

    def __init__(self, engine: engines.DockerLike, run: Runner) -> None:
        self._command, self._run = engine.command, run

    def prepare(self, base: Path) -> None:
        """Import the base."""
        self._run(*self._command, "import", base, _name(base))

    def build(self, job: Job) -> Cost:
        """``docker build`` and ``docker save``."""
        context = job.context(_PIP.format(base=_name(job.base)))
        job.out.unlink(missing_ok=True)
        # The other builder is not in Debian's package.
        classic = {"DOCKER_BUILDKIT": "0"}
        built = self._run(*self._command, "build", "--network=none", "--tag", "bench:docker", context, env=classic)
        return built + self._run(*self._command, "save", "--output", job.out, "bench:docker")


class BuildKit:
    """buildkitd with uv: what a skilled user does."""

    name = "BuildKit + uv"

    def __init__(self, programs: Path, socket: str, run: Runner) -> None:
        self._buildctl: list[str | Path] = [programs / "buildctl", "--addr", socket, "build"]
        self._run = run

    def prepare(self, base: Path) -> None:
        """Unpack the base, by building something small on it."""
        context = base.with_name("context-base")
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("FROM base\nRUN true\n")
        self._run(*self._buildctl, *self._options(context, base))

    def build(self, job: Job) -> Cost:
        """Build, and write the image to a file."""
        context = job.context(_UV)
        shutil.copy(UV, context / "uv")
        options = self._options(context, job.base)
        return self._run(*self._buildctl, *options, "--output", f"type=docker,dest={job.out},name=bench:buildkit")

    def _options(self, context: Path, base: Path) -> list[str]:
        layout = oci_layout(base)
        named = f"context:base=oci-layout://base@{(layout / 'digest').read_text()}"
        local = ["--local", f"context={context}", "--local", f"dockerfile={context}"]
        return ["--frontend", "dockerfile.v0", *local, "--oci-layout", f"base={layout}", "--opt", named]


class Buildah:
    """buildah, or podman build, which is the same; no daemon, and no isolation but chroot."""

    def __init__(self, name: str, command: Sequence[str], run: Runner) -> None:
        self.name, self._command, self._run = name, command, run

    def prepare(self, base: Path) -> None:
        """Have the base in the store of images."""
        image = output_of(*self._command, "pull", "--quiet", f"oci:{oci_layout(base)}:base").splitlines()[-1]
        self._run(*self._command, "tag", image, f"localhost/{_name(base)}")

    def build(self, job: Job) -> Cost:
        """``build`` and ``push docker-archive:``."""
        context = job.context(_PIP.format(base=f"localhost/{_name(job.base)}"))
        options = ["--isolation", "chroot", "--layers", "--network", "host", "--tag", "bench:buildah"]
        built = self._run(*self._command, "build", *options, context)
        job.out.unlink(missing_ok=True)
        return built + self._run(*self._command, "push", "bench:buildah", f"docker-archive:{job.out}:bench:buildah")


def _name(base: Path) -> str:
    return f"{base.stem}:1"


@contextlib.contextmanager
def buildah(name: str, work: Path, run: Runner) -> Iterator[Buildah]:
    """buildah or podman with a store of its own. Raises Failed."""
    program = name.split()[0]
    if shutil.which(program) is None:
        raise Failed(f"no {program} on PATH")
    storage = work / f"storage-{program}"
    command = [program, "--root", str(storage / "r"), "--runroot", str(storage / "t"), "--storage-driver=overlay"]
    if program == "podman":
        command += ["--tmpdir", str(storage / "m"), "--cgroup-manager=cgroupfs", "--events-backend=file"]
        command += ["--runtime=/usr/sbin/runc"]
    _remove(storage)
    try:
        yield Buildah(name, command, run)
    finally:
        _remove(storage)


def _remove(storage: Path) -> None:
    engines.unmount_below(storage)
    shutil.rmtree(storage, ignore_errors=True)


@contextlib.contextmanager
def docker(run: Runner) -> Iterator[Docker]:
    """A Docker daemon of our own."""
    with engines.dockerd() as engine:
        yield Docker(engine, run)


@contextlib.contextmanager
def buildkitd(programs: Path, run: Runner) -> Iterator[BuildKit]:
    """A BuildKit daemon of our own, ended by process id. Raises Failed."""
    # A short name: a socket's path has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bk-", ignore_cleanup_errors=True) as folder:
        socket, log = f"unix://{folder}/s", Path(folder) / "log"
        command: list[str | Path] = [programs / "buildkitd", "--root", f"{folder}/r", "--addr", socket]
        command += ["--containerd-worker=false", "--oci-worker-binary", programs / "runc", "--oci-worker-net", "host"]
        with log.open("wb") as said:
            daemon = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            _wait(programs, socket, daemon, log)
            yield BuildKit(programs, socket, run)
        finally:
            daemon.terminate()
            daemon.wait(60)
            engines.unmount_below(Path(folder))


def _wait(programs: Path, socket: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if daemon.poll() is not None:
            break
        with contextlib.suppress(Failed):
            output_of(programs / "buildctl", "--addr", socket, "debug", "workers")
            return
        time.sleep(0.1)
    raise Failed(f"buildkitd does not answer: {log.read_text()[-300:]}")
