"""Container engines, real ones: each started on folders of its own, and stopped by process id.

Everything lies in a folder whose name is short: a unix socket's path has room for 107 bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Result = subprocess.CompletedProcess[str]

_DEBIAN = "/usr/bin:/usr/sbin:/bin:/sbin"
"""Where the distribution's engines are; a newer docker client may stand earlier on PATH, without a daemon."""

_PATIENCE = 60
"""Seconds a daemon may take to answer at first."""


class EngineFailed(AssertionError):
    """A program that ended badly, with all it said."""


def call(*argv: str | Path, path: str = _DEBIAN, check: bool = True) -> Result:
    """Run a program to its end, text captured. Raises EngineFailed if it fails and ``check`` holds."""
    command = [str(part) for part in argv]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, env=_environment(path), check=False)
    if check and result.returncode:
        raise EngineFailed(f"{' '.join(command)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result


class DockerLike:
    """An engine driven through docker's command line, or podman's, which is the same for what is needed here.

    ``command`` is what stands before every subcommand.
    """

    def __init__(self, *command: str | Path, path: str = _DEBIAN, run_options: Sequence[str] = ()) -> None:
        self.command, self._path, self._run_options = command, path, run_options

    def call(self, *argv: str | Path, check: bool = True) -> Result:
        """Run a command of the engine. Raises EngineFailed."""
        return call(*self.command, *argv, path=self._path, check=check)

    def client(self, file: Path) -> Path:
        """The engine as a program of one word, written to ``file``: with the options it needs before a command."""
        words = shlex.join([*map(str, self.command)])
        run = shlex.join(self._run_options)
        file.write_text(
            f'#!/bin/sh\nexport PATH={shlex.quote(self._path)} HOME=/nonexistent\nif [ "$1" = run ]; then shift; '
            f'exec {words} run {run} "$@"; fi\nexec {words} "$@"\n'
        )
        file.chmod(0o755)
        return file

    def load(self, archive: Path) -> str:
        """Load an image file; what the engine calls the image then (the last name, or its ID)."""
        said = self.call("load", "--input", archive).stdout
        lines = [line for line in said.splitlines() if line.startswith("Loaded image")]
        if not lines:
            raise EngineFailed(f"load said no name: {said}")
        return lines[-1].partition(": ")[2].split(",")[-1].strip()

    def inspect(self, reference: str) -> dict[str, Any]:
        """All that the engine knows of an image."""
        return dict(json.loads(self.call("image", "inspect", reference).stdout)[0])

    def image_id(self, reference: str) -> str:
        """The image's ID as a digest: of the configuration, or with containerd's store of the manifest."""
        return f"sha256:{self.inspect(reference)['Id'].removeprefix('sha256:')}"

    def remove(self, reference: str) -> None:
        """Forget an image."""
        self.call("image", "rm", "--force", reference)

    def run(
        self,
        image: str,
        *argv: str,
        entrypoint: str | None = None,
        user: str | None = None,
        read_only: bool = True,
        network: str = "none",
        cap_drop: str | None = "ALL",
        tmpfs: Sequence[str] = (),
        volumes: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Result:
        """Run a container to its end and remove it; as tight as can be unless told otherwise."""
        options = ["--rm", *self._run_options, f"--network={network}", *(["--read-only"] if read_only else [])]
        options += [f"--cap-drop={cap_drop}"] if cap_drop else []
        options += [f"--user={user}"] if user is not None else []
        options += [f"--entrypoint={entrypoint}"] if entrypoint is not None else []
        options += [f"--tmpfs={mount}" for mount in tmpfs] + [f"--volume={mount}" for mount in volumes]
        options += [f"--env={name}={value}" for name, value in (env or {}).items()]
        return self.call("run", *options, image, *argv, check=check)

    def export(self, image: str, to: Path) -> None:
        """Write the root filesystem of an image, as the engine unpacked it, to a tar file."""
        container = self.call("create", "--network=none", image).stdout.strip()
        try:
            self.call("export", "--output", to, container)
        finally:
            self.call("rm", container)


class Containerd:
    """A containerd driven through ctr."""

    def __init__(self, *command: str | Path, path: str = _DEBIAN) -> None:
        self.command, self._path = command, path

    def call(self, *argv: str | Path, check: bool = True) -> Result:
        """Run a command of ctr. Raises EngineFailed."""
        return call(*self.command, *argv, path=self._path, check=check)

    def client(self, file: Path) -> Path:
        """ctr as a program of one word, written to ``file``, which has to be called that."""
        words = shlex.join([*map(str, self.command)])
        file.write_text(f'#!/bin/sh\nexport PATH={shlex.quote(self._path)}\nexec {words} "$@"\n')
        file.chmod(0o755)
        return file

    def export(self, image: str, to: Path) -> None:
        """Write the root filesystem of an image, as it was unpacked, to a tar file."""
        with tempfile.TemporaryDirectory() as folder:
            self.call("images", "mount", image, folder)
            try:
                with tarfile.open(to, "w") as archive:
                    for name in sorted(os.listdir(folder)):
                        archive.add(Path(folder) / name, arcname=name)
            finally:
                self.call("images", "unmount", "--rm", folder)

    def load(self, archive: Path) -> None:
        """Import an image file and unpack its layers."""
        self.call("images", "import", archive)

    def images(self) -> dict[str, str]:
        """The digest each image's name leads to."""
        lines = self.call("images", "list").stdout.splitlines()[1:]
        return {fields[0]: fields[2] for line in lines if (fields := line.split())}

    def run(self, image: str, *argv: str, check: bool = True) -> Result:
        """Run a container to its end and remove it."""
        name = f"t{os.urandom(6).hex()}"
        return self.call("run", "--rm", image, name, *argv, check=check)


@contextlib.contextmanager
def dockerd(newest: Path | None = None, *, graph: bool = False) -> Iterator[DockerLike]:
    """A docker daemon: the distribution's, or the one in the folder ``newest`` with its own containerd and runc.

    With ``graph`` the newest keeps images as the distribution's does, by a graph driver.
    """
    path = f"{newest}:{_DEBIAN}" if newest else _DEBIAN
    with _folder() as folder:
        socket, pid = folder / "s", folder / "p"
        daemon = [newest / "dockerd" if newest else "/usr/sbin/dockerd", "--data-root", folder / "d"]
        daemon += ["--exec-root", folder / "x", "-H", f"unix://{socket}", "--pidfile", pid]
        daemon += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        daemon += ["--userland-proxy=false"] if newest else []
        daemon += ["--feature=containerd-snapshotter=false", "--storage-driver=overlay2"] if graph else []
        client = DockerLike("/usr/bin/docker", "-H", f"unix://{socket}", path=path)
        with _daemon(daemon, folder, path=path, answers=lambda: client.call("version", check=False).returncode == 0):
            yield client


@contextlib.contextmanager
def containerd(newest: Path | None = None) -> Iterator[Containerd]:
    """A containerd: the distribution's, or the one in the folder ``newest``."""
    path = f"{newest}:{_DEBIAN}" if newest else _DEBIAN
    binaries = newest or Path("/usr/bin")
    with _folder() as folder:
        socket, config = folder / "s", folder / "c.toml"
        config.write_text(
            f'version = 2\nroot = "{folder}/r"\nstate = "{folder}/t"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
            f'[plugins."io.containerd.internal.v1.opt"]\npath = "{folder}/o"\n'
        )
        client = Containerd(binaries / "ctr", "--address", socket, path=path)
        daemon: list[str | Path] = [binaries / "containerd", "--config", config]
        with _daemon(daemon, folder, path=path, answers=lambda: client.call("version", check=False).returncode == 0):
            yield client


@contextlib.contextmanager
def podman() -> Iterator[DockerLike]:
    """A podman with storage of its own; it needs no daemon."""
    with _folder() as folder:
        options: list[str | Path] = ["--root", folder / "r", "--runroot", folder / "t", "--tmpdir", folder / "m"]
        options += ["--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=overlay"]
        # crun refuses machines with both versions of cgroups.
        options += ["--runtime=/usr/sbin/runc"]
        # podman raises these limits by itself, which a machine that is itself a container refuses.
        engine = DockerLike(
            "/usr/bin/podman", *options, run_options=["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        )
        try:
            yield engine
        finally:
            engine.call("rm", "--all", "--force", check=False)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="oe-"))
    try:
        yield folder
    finally:
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def unmount_below(folder: Path) -> None:
    """Take away mounts that an engine left behind; removing through one would empty what it shows."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        call("umount", "--lazy", mount, check=False)


@contextlib.contextmanager
def _daemon(
    command: Sequence[str | Path], folder: Path, *, path: str, answers: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=said, stderr=said, env=_environment(path), cwd=folder
        )
    try:
        deadline = time.monotonic() + _PATIENCE
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise EngineFailed(f"{command[0]} does not answer:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(path: str) -> dict[str, str]:
    # HOME: configuration of the person who runs the tests must not decide them.
    return {"PATH": path, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TMPDIR": tempfile.gettempdir()}
