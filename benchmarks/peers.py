"""What others build from the same wheels. Each says how to build an image file from a folder of wheels and a base."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.inputs import oci_layout
from benchmarks.measuring import Cost, Failed, run

PIP = """\
FROM {base}
COPY wheels /wheels
RUN python3 -m pip install --break-system-packages --no-index --no-deps --no-cache-dir /wheels/*.whl
"""
UV = """\
FROM base
RUN --mount=type=bind,source=wheels,target=/wheels --mount=type=bind,source=uv,target=/uv \
    UV_LINK_MODE=copy UV_CACHE_DIR=/tmp/uv /uv pip install --system --break-system-packages --compile-bytecode \
    --no-index --no-deps /wheels/*.whl && rm -rf /tmp/uv
"""


@dataclass(frozen=True)
class Job:
    """What to build: ``wheels`` and ``base`` (a tar) lie in ``work``; the image goes to ``out``."""

    wheels: Path
    base: Path
    work: Path
    out: Path

    def context(self, dockerfile: str) -> Path:
        """A build context, made anew: file times count for nobody here."""
        folder = self.work / "context"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.wheels, folder / "wheels", copy_function=os.link)
        (folder / "Dockerfile").write_text(dockerfile)
        return folder


class Peer(Protocol):
    """A way to an image file."""

    name: str

    def build(self, job: Job) -> Cost:
        """Build; what earlier builds left may help. Raises Failed."""


class Docker:
    """dockerd's classic builder: ``docker build`` and ``docker save``."""

    name = "docker build + save"

    def __init__(self, engine: object) -> None:
        # An engine of tests/support/engines.py; the command line that drives it is all that is needed of it.
        self.command = [str(part) for part in engine.command]  # type: ignore[attr-defined]
        self._bases: dict[Path, str] = {}

    def build(self, job: Job) -> Cost:
        if job.base not in self._bases:
            self._bases[job.base] = f"base:{len(self._bases)}"
            run(*self.command, "import", job.base, self._bases[job.base])
        context = job.context(PIP.format(base=self._bases[job.base]))
        quiet = {"DOCKER_BUILDKIT": "0"}
        built = run(*self.command, "build", "--network=none", "--tag", "bench:docker", context, env=quiet)
        return built + run(*self.command, "save", "--output", job.out, "bench:docker")


class BuildKit:
    """buildkitd with uv: what a skilled user does."""

    name = "BuildKit + uv"

    def __init__(self, programs: Path, socket: str, uv: Path) -> None:
        self._programs, self._socket, self._uv = programs, socket, uv

    def build(self, job: Job) -> Cost:
        layout = job.work / f"layout-{job.base.stem}"
        digest_file = layout / "digest"
        if not digest_file.is_file():
            digest = oci_layout(job.base, layout)
            digest_file.write_text(digest)
        context = job.context(UV)
        shutil.copy(self._uv, context / "uv")
        named = f"context:base=oci-layout://base@{digest_file.read_text()}"
        command: list[str | Path] = [self._programs / "buildctl", "--addr", self._socket, "build"]
        command += ["--frontend", "dockerfile.v0", "--local", f"context={context}", "--local", f"dockerfile={context}"]
        command += ["--oci-layout", f"base={layout}", "--opt", named]
        return run(*command, "--output", f"type=docker,dest={job.out},name=bench:buildkit")


class Buildah:
    """buildah, or podman build, which is the same; no daemon, no isolation but chroot."""

    def __init__(self, name: str, program: str, storage: Path) -> None:
        self.name = name
        self._program = [program, "--root", str(storage / "r"), "--runroot", str(storage / "t")]
        self._program += ["--storage-driver", "overlay"]

    def build(self, job: Job) -> Cost:
        layout = job.work / f"layout-{job.base.stem}"
        if not (layout / "digest").is_file():
            (layout / "digest").write_text(oci_layout(job.base, layout))
        context = job.context(PIP.format(base=f"oci:{layout}:base"))
        options = ["--isolation", "chroot", "--layers", "--network", "host", "--tag", "bench:buildah"]
        built = run(*self._program, "build", *options, context, alone=True)
        return built + run(*self._program, "push", "bench:buildah", f"docker-archive:{_fresh(job.out)}:bench:buildah")


class UvAndTar:
    """``uv pip install --target``, without and with bytecode, and one layer packed with gzip by hand or by crane."""

    def __init__(self, name: str, uv: Path, *, bytecode: bool, crane: Path | None = None, tar: bool = True) -> None:
        self.name, self._uv, self._bytecode, self._crane, self._tar = name, uv, bytecode, crane, tar

    def build(self, job: Job) -> Cost:
        target = job.work / "target"
        shutil.rmtree(target, ignore_errors=True)
        options = ["--link-mode=copy", "--no-cache", "--python", sys.executable, "--no-index", "--no-deps"]
        options += ["--compile-bytecode"] if self._bytecode else []
        cost = run(
            *(str(self._uv), "pip", "install", "--target", str(target / "usr/lib/python3/dist-packages"), *options),
            *sorted(job.wheels.glob("*.whl")),
            alone=True,
        )
        if not self._tar:
            return cost
        layer = job.work / "layer.tar.gz"
        cost += run("tar", "--create", "--gzip", "--file", layer, "--directory", target, ".", alone=True)
        if self._crane is not None:
            cost += run(self._crane, "append", "--oci-empty-base", "-f", layer, "-t", "bench:crane", "-o", job.out)
        return cost


@contextlib.contextmanager
def buildkitd(programs: Path, uv: Path) -> Iterator[BuildKit]:
    """A BuildKit daemon of our own, ended by process id. Raises Failed."""
    if not (programs / "buildkitd").is_file():
        raise Failed("no buildkitd in OCIBUILD_ORACLES")
    with tempfile.TemporaryDirectory(prefix="bk-", ignore_cleanup_errors=True) as folder:
        socket = f"unix://{folder}/s"
        command: list[str | Path] = [
            programs / "buildkitd",
            "--root",
            f"{folder}/r",
            "--addr",
            socket,
            "--containerd-worker=false",
        ]
        command += ["--oci-worker-binary", programs / "runc", "--oci-worker-net", "host"]
        with (Path(folder) / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(programs, socket, daemon, Path(folder) / "log")
            yield BuildKit(programs, socket, uv)
        finally:
            daemon.terminate()
            daemon.wait(60)


def _wait(programs: Path, socket: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if daemon.poll() is not None:
            break
        with contextlib.suppress(Failed):
            run(programs / "buildctl", "--addr", socket, "debug", "workers")
            return
        time.sleep(0.1)
    raise Failed(f"buildkitd does not answer: {log.read_text()[-300:]}")


def _fresh(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path
