"""Those who take what ``uv pip install --target`` made and put it into an image, without running anything in it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.inputs import oci_layout
from benchmarks.measuring import Cost, Failed, Runner
from benchmarks.peers import UV, Job
from tests.support.registries import docker_registry

_SITE = "usr/local/lib/python3.11/dist-packages"


class Uv:
    """uv alone, no image: into an empty folder, with bytecode or not, copying or (uv's own choice) linking from its
    cache."""

    def __init__(self, run: Runner, *, bytecode: bool, copying: bool = False) -> None:
        self._run, self._bytecode, self._copying = run, bytecode, copying
        told = ["copying" if copying else "linking", *([] if bytecode else ["no bytecode"]), "no image"]
        self.name = f"uv pip install --target ({', '.join(told)})"

    def forget(self, work: Path) -> None:
        """Empty uv's cache and what it installed."""
        shutil.rmtree(work / "uv-cache", ignore_errors=True)
        self.clear(work)

    def clear(self, work: Path) -> None:
        """Away with what was installed; the cache stays."""
        shutil.rmtree(work / "target", ignore_errors=True)

    def prepare(self, base: Path) -> None:
        """It has no base."""

    def build(self, job: Job) -> Cost:
        """Install below the folder ``target``, which is not there."""
        work = job.out.parent
        options = ["--python", sys.executable, "--no-index", "--no-deps", "--cache-dir", str(work / "uv-cache")]
        options += ["--link-mode=copy"] if self._copying else []
        options += ["--compile-bytecode"] if self._bytecode else []
        wheels = sorted(job.wheels.glob("*.whl"))
        return self._run(UV, "pip", "install", "--target", work / "target" / _SITE, *options, *wheels)


@dataclass(frozen=True)
class UvAndTar:
    """uv, and one layer packed with ``tar --gzip``; no base."""

    run: Runner
    name: str = "uv + tar (one layer, no base)"

    def prepare(self, base: Path) -> None:
        """It has no base."""

    def build(self, job: Job) -> Cost:
        """Install and pack."""
        installed = Uv(self.run, bytecode=True).build(job)
        return installed + self.run("tar", "-C", job.out.parent / "target", "-czf", job.out, ".")


@dataclass(frozen=True)
class Crane:
    """uv, tar and ``crane append`` onto a base in a registry."""

    run: Runner
    program: Path
    registry: Registry
    name: str = "uv + tar + crane append"

    def prepare(self, base: Path) -> None:
        """The base is in the registry."""
        self.registry.have(base)

    def build(self, job: Job) -> Cost:
        """Install, pack and append."""
        layer = job.out.with_name("layer.tar.gz")
        packed = UvAndTar(self.run).build(Job(job.wheels, job.base, layer))
        base = self.registry.name(job.base)
        command: list[str | Path] = [
            self.program,
            "append",
            "-b",
            base,
            "-f",
            layer,
            "-t",
            "bench:crane",
            "-o",
            job.out,
        ]
        return packed + self.run(*command, env=self.registry.env)


@dataclass(frozen=True)
class Umoci:
    """uv and ``umoci insert`` into an image layout that has the base."""

    run: Runner
    name: str = "uv + umoci insert (into a layout)"

    def prepare(self, base: Path) -> None:
        """It reads the base as a layout."""
        oci_layout(base)

    def build(self, job: Job) -> Cost:
        """Install and insert."""
        shutil.rmtree(job.out, ignore_errors=True)
        shutil.copytree(oci_layout(job.base), job.out)
        installed = Uv(self.run, bytecode=True).build(job)
        site = job.out.parent / "target" / _SITE
        return installed + self.run("umoci", "insert", "--image", f"{job.out}:base", "--tag", "new", site, f"/{_SITE}")


@dataclass(frozen=True)
class Pyoci:
    """uv into the .venv of a project, and ``pyoci build --include-deps``: layers that are not compressed, in a layout.

    Its wheels must be installed by somebody else, and end below /app, where no interpreter looks.
    """

    run: Runner
    registry: Registry
    name: str = "uv + pyoci (into a layout)"

    def prepare(self, base: Path) -> None:
        """The base is in the registry."""
        self.registry.have(base)

    def build(self, job: Job) -> Cost:
        """Install and build."""
        shutil.rmtree(job.out, ignore_errors=True)
        (job.out / "app").mkdir(parents=True)
        (job.out / "app" / "__init__.py").touch()
        (job.out / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1"\n')
        installed = Uv(self.run, bytecode=True).build(job)
        site = job.out / ".venv" / "lib" / "python3.11" / "site-packages"
        site.parent.mkdir(parents=True)
        (job.out.parent / "target" / _SITE).rename(site)
        base = self.registry.name(job.base)
        command: list[str | Path] = [
            "build",
            "--include-deps",
            "--base-image",
            base,
            "--tag",
            "local/bench:1",
            "--context",
            job.out,
        ]
        program = Path(sys.executable).with_name("pyoci")
        built = self.run(program, *command, "--cache-dir", job.out / "cache", cwd=job.out, env=self.registry.env)
        shutil.rmtree(job.out / ".venv")
        return installed + built


@dataclass(frozen=True)
class Registry:
    """A registry on the loopback interface, by https; ``env`` lets programs trust it."""

    host: str
    env: dict[str, str]
    run: Runner

    def name(self, base: Path) -> str:
        """What a base is called there."""
        return f"{self.host}/{base.stem}:1"

    def have(self, base: Path) -> None:
        """Push a base. Raises Failed."""
        self.run(
            *("skopeo", "copy", "--dest-tls-verify=false", f"oci:{oci_layout(base)}:base"),
            f"docker://{self.name(base)}",
        )


@contextlib.contextmanager
def registry(run: Runner) -> Iterator[Registry]:
    """A registry of our own, ended by process id. Raises Failed."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="br-")))
        try:
            server = stack.enter_context(docker_registry(folder, tls=True))
        except pytest.skip.Exception as missing:
            raise Failed(str(missing)) from missing
        yield Registry(server.host, {"SSL_CERT_FILE": str(server.ca_file)}, run)
