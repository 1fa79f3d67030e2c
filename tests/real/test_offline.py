"""No network at all, other programs reading our locks, a private index whose password stays a secret."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.verify.verify import verify_file
from oci_builder.wheels.lock import read
from tests.support.index import serve_index
from tests.support.real import need, skip
from tests.support.tiny import CHECKOUT, IMAGE, NAME, Tiny, built, make_tiny, run_ocibuild
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

SECRET = "s3cret-p@ss/word"
QUOTED = "s3cret-p%40ss%2Fword"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def lock(tiny: Tiny, *flags: str) -> None:
    """Run ``ocibuild lock``."""
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    assert main(["lock", NAME, *places, *flags]) == 0


def without_network(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace of its own: no route, not even a loopback that is up."""
    need("unshare", root=False)
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), **environ}
    words = ["unshare", *rights, "--net", *command]
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=300)


def test_a_machine_without_any_network_builds_the_same_bytes(tiny: Tiny) -> None:
    tiny.require("whole==3.0")
    lock(tiny)
    first = built(tiny)
    connect = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    probe = without_network(sys.executable, "-c", connect)
    if "unshare failed" in probe.stderr:
        skip("this machine gives no network namespaces")
    assert "unreachable" in probe.stderr
    for flags in (["--offline"], ["--locked"], ["--frozen"]):
        shutil.rmtree(tiny.cache)
        tiny.out.unlink()
        ending = without_network(sys.executable, "-m", "oci_builder", *tiny.words(*flags))
        assert ending.returncode == 0, ending.stderr
        assert tiny.out.read_bytes() == first


def test_a_build_without_network_and_without_its_wheels_says_which_one_is_missing(tiny: Tiny) -> None:
    tiny.require("whole==3.0")
    lock(tiny)
    (tiny.wheels / "many-1.0-py3-none-any.whl").unlink()
    ending = without_network(sys.executable, "-m", "oci_builder", *tiny.words("--offline"))
    assert ending.returncode == 1
    assert "has nothing named many" in ending.stderr and "ocibuild download " in ending.stderr
    ending = without_network(sys.executable, "-m", "oci_builder", *tiny.words("--locked"))
    assert ending.returncode == 1
    assert "many==1.0" in ending.stderr and "ocibuild download " in ending.stderr


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program uv, installed for this test run alone."""
    folder = tmp_path_factory.mktemp("uv")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target", str(folder), "uv"]
    if subprocess.run(command, check=False, capture_output=True, timeout=300).returncode != 0:
        skip("uv cannot be had here")
    return folder / "bin" / "uv"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A virtual environment of the locks' own Python, 3.11."""
    if sys.version_info[:2] != (3, 11):
        skip("the locks are for Python 3.11")
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv"


def installed(target: Path) -> set[str]:
    """What a virtual environment has, by name and version."""
    folders = target.glob("lib/python3.11/site-packages/*.dist-info")
    return {folder.name.removesuffix(".dist-info") for folder in folders}


ALL = {"many-1.0", "tool-2.0", "whole-3.0"}


def test_pip_installs_from_a_lock_of_ours(tiny: Tiny, target: Path) -> None:
    tiny.require("whole==3.0")
    lock(tiny)
    pip = [sys.executable, "-m", "pip", "--python", str(target), "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "-r", "pylock.toml"], cwd=tiny.image, check=True, timeout=300)
    assert installed(target) == ALL


def test_uv_installs_from_a_lock_of_ours(tiny: Tiny, target: Path, uv: Path, tmp_path: Path) -> None:
    tiny.require("whole==3.0")
    lock(tiny)
    environ = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "uv-cache")}
    words = ["pip", "install", "--quiet", "--offline", "--python", str(target), "--preview", "-r", "pylock.toml"]
    subprocess.run([uv, *words], cwd=tiny.image, env=environ, check=True, timeout=300)
    assert installed(target) == ALL


@pytest.mark.parametrize("form", ["pylock.toml", "requirements.txt"])
def test_what_uv_exports_of_its_lock_is_built(tiny: Tiny, uv: Path, tmp_path: Path, form: str) -> None:
    project = tiny.root / "src"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["whole"]\n'
    )
    (tiny.image / "requirements.txt").unlink()
    (tiny.image / "pylock.toml").unlink()
    (tiny.image / "image.toml").write_text(IMAGE.replace("requirements.txt", f"../../src/{form}"))
    with serve_index(tiny.wheels) as index:
        environ = index.environ(os.environ) | {
            "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
            "UV_DEFAULT_INDEX": index.url,
        }
        words = ["export", "--quiet", "--no-emit-project", "--python", sys.executable, "--format", form]
        words += ["--output-file", form]
        subprocess.run([uv, *words], cwd=project, env=environ, check=True, stdout=subprocess.DEVNULL, timeout=300)
        assert (project / "uv.lock").is_file()
        shutil.move(tiny.wheels, tiny.root / "gone")
        shutil.move(tiny.root / "gone", index.folder)
        elsewhere = run_ocibuild(*tiny.words("--offline"), environ={**environ, "PYTHONPATH": str(CHECKOUT)})
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert verify_file(tiny.out).findings == ()


class Watch:
    """The command lines of this machine's processes, looked at as often as can be."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(path.read_bytes())


def holding(root: Path) -> Iterator[Path]:
    """The files below ``root`` that hold the password, in any spelling."""
    spellings = [text.encode() for text in (SECRET, QUOTED)]
    for path in sorted(root.rglob("*")):
        if path.is_file() and any(text in path.read_bytes() for text in spellings):
            yield path


@pytest.mark.parametrize("told", ["environment", "configuration", "netrc"])
def test_the_password_of_a_private_index_is_told_to_nobody(tiny: Tiny, tmp_path: Path, told: str) -> None:
    tiny.require("whole==3.0")
    pool = tmp_path / "pool"
    shutil.move(tiny.wheels, pool)
    with serve_index(pool, user="me", password=SECRET) as index:
        address = f"http://me:{QUOTED}@127.0.0.1:{index.port}/simple/"
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environ = {**kept, "PYTHONPATH": str(CHECKOUT), "HOME": str(secrets), "NO_PROXY": "127.0.0.1"}
        environ |= {"PIP_CONFIG_FILE": str(secrets / "pip.conf"), "PIP_CACHE_DIR": str(tmp_path / "pip-cache")}
        (secrets / "pip.conf").touch()
        if told == "environment":
            environ["PIP_INDEX_URL"] = address
        elif told == "configuration":
            (secrets / "pip.conf").write_text(f"[global]\nindex-url = {address}\n")
        else:
            environ["PIP_INDEX_URL"] = index.url
            (secrets / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
            (secrets / ".netrc").chmod(0o600)
        places = ["--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "plain", "--debug"]
        with Watch() as watch:
            runs = [
                run_ocibuild("lock", NAME, *places, environ=environ),
                run_ocibuild("download", NAME, *places, environ=environ),
                run_ocibuild(*tiny.words("--debug"), environ=environ),
                run_ocibuild(*tiny.words("--debug", "--online", "-r", str(unknown(tmp_path))), environ=environ),
            ]
    assert [run.returncode for run in runs] == [0, 0, 0, 1], runs
    assert any(path.startswith("/files/") for path in index.paths)
    assert list(holding(tiny.root)) == []
    assert not [run for run in runs if SECRET in run.stdout + run.stderr or QUOTED in run.stdout + run.stderr]
    assert any(b"oci_builder" in line for line in watch.seen)
    assert not [line for line in watch.seen if SECRET.encode() in line or QUOTED.encode() in line]


def unknown(folder: Path) -> Path:
    """Requirements that nobody has: the error must not tell the password either."""
    path = folder / "unknown.txt"
    path.write_text("no-such-project\n")
    return path


def test_two_locks_at_once_leave_a_whole_one(tiny: Tiny) -> None:
    for number in range(8):
        make_wheel(tiny.wheels, f"more{number}", "1.0")
    tiny.require("whole==3.0", *(f"more{number}" for number in range(8)))
    places = ["--project-dir", str(tiny.root), "--progress", "none"]
    results: list[int] = []

    def run(number: int) -> None:
        words = ["lock", NAME, *places, "--cache-dir", str(tiny.root / f"cache{number % 2}")]
        results.append(run_ocibuild(*words).returncode)

    stop, torn = threading.Event(), list[Exception]()

    def look() -> None:
        path = tiny.image / "pylock.toml"
        while not stop.is_set():
            try:
                if path.exists():
                    assert len(read(path).document.packages) == 11
            except Exception as error:
                torn.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    watcher = threading.Thread(target=look)
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert results == [0, 0, 0, 0] and torn == []
    assert tomllib.loads((tiny.image / "pylock.toml").read_text())["lock-version"] == "1.0"
    assert not [path for path in tiny.image.iterdir() if path.name.startswith(".")]
    built(tiny, "--locked")
