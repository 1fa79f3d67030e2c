"""Wheels that pip downloaded elsewhere, carried to where the image is built, and no network there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pip
import pytest

from oci_builder.cli import main
from tests.support.index import Index, serve_index
from tests.support.real import need, skip
from tests.support.sockets import socketless
from tests.support.tiny import CHECKOUT, IMAGE, NAME, Tiny, make_tiny
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project for two platforms whose wheels are in an index, with a lock made from there."""
    tiny = make_tiny(tmp_path / "project")
    (tiny.image / "image.toml").write_text(IMAGE.replace('"linux/amd64"', '"linux/amd64", "linux/arm64"'))
    shutil.move(tiny.wheels, pool(tiny))
    return tiny


@pytest.fixture
def index(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with serve_index(pool(tiny)) as index:
        for name, value in index.environ(os.environ).items():
            monkeypatch.setenv(name, value)
        yield index


def pool(tiny: Tiny) -> Path:
    return tiny.root.parent / "pool"


def lock(tiny: Tiny, *flags: str) -> int:
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    return main(["lock", NAME, *places, *flags])


def pip_download(tiny: Tiny, python: str = sys.executable, *flags: str) -> None:
    """Download as the documentation says: with pip alone, that of another Python too."""
    words = [python, str(Path(pip.__file__).parent), "download", "--quiet", "-d", str(tiny.wheels), *flags]
    subprocess.run([*words, "-r", str(tiny.image / "requirements.txt")], check=True, cwd=tiny.root, timeout=300)


def build(tiny: Tiny, *flags: str) -> subprocess.CompletedProcess[str]:
    """Build without any network: no route, and no socket of one."""
    need("unshare", root=False)
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [sys.executable, "-m", "oci_builder", *tiny.words(*flags)]
    words = ["unshare", *rights, "--net", *socketless(command)]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ended = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=300)
    if "unshare failed" in ended.stderr or "no seccomp here" in ended.stderr:
        skip("this machine gives no network namespaces")
    return ended


def test_the_launcher_refuses_the_sockets_of_networks_alone() -> None:
    probe = "import socket\nsocket.socket(socket.AF_UNIX)\nsocket.socket(socket.AF_INET)"
    ended = subprocess.run(socketless([sys.executable, "-c", probe]), capture_output=True, text=True, check=False)
    assert "line 3" in ended.stderr and "PermissionError" in ended.stderr


@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"])
@pytest.mark.usefixtures("index")
def test_what_pip_downloads_is_built_although_it_is_newer_than_the_lock(tiny: Tiny, python: str) -> None:
    tiny.require("whole==3.0")
    assert lock(tiny) == 0
    locked = (tiny.image / "pylock.toml").read_bytes()
    make_wheel(pool(tiny), "tool", "2.1.post1", entry_points={"console_scripts": {"tool": "tool:main"}})
    pip_download(tiny, python)
    full = build(tiny)
    assert full.returncode == 0, full.stderr
    assert "wheels/ has tool 2.1.post1, pylock.toml 2.0\n" in full.stderr
    bytes_of_full = tiny.out.read_bytes()
    tiny.forget()
    empty = build(tiny)
    assert empty.returncode == 0, empty.stderr
    assert tiny.out.read_bytes() == bytes_of_full
    assert (tiny.image / "pylock.toml").read_bytes() == locked
    refused = build(tiny, "--locked")
    assert refused.returncode == 1 and "ocibuild download " in refused.stderr


@pytest.mark.usefixtures("index")
def test_with_the_closure_as_constraints_pip_brings_what_the_lock_says(tiny: Tiny) -> None:
    tiny.require("-c constraints.txt", "whole==3.0")
    (tiny.image / "constraints.txt").write_text("# Made by ocibuild lock\n")
    assert lock(tiny) == 0
    assert "whole" not in (tiny.image / "constraints.txt").read_text()
    make_wheel(pool(tiny), "tool", "2.1")
    pip_download(tiny)
    assert sorted(path.name[:9] for path in tiny.wheels.iterdir()) == ["many-1.0-", "tool-2.0-", "whole-3.0"]
    tiny.forget()
    ended = build(tiny)
    assert ended.returncode == 0 and "pylock" not in ended.stderr, ended.stderr


@pytest.mark.usefixtures("index")
def test_the_closure_follows_the_lock_and_holds_nothing_back(tiny: Tiny) -> None:
    tiny.require("-c constraints.txt", "whole==3.0")
    made = tiny.image / "constraints.txt"
    made.write_text("# Made by ocibuild lock\n")
    assert lock(tiny) == 0 and lock(tiny, "--check") == 0
    assert {"many==1.0", "tool==2.0"} <= set(made.read_text().splitlines())
    # One that is pinned, one that is new, and one that needs another version than was chosen before.
    make_wheel(pool(tiny), "tool", "3.0")
    make_wheel(pool(tiny), "whole", "4.0", requires=["tool>=3"])
    make_wheel(pool(tiny), "extra", "1.0", requires=["many"])
    (tiny.image / "requirements.txt").write_text("-c constraints.txt\nwhole==4.0\nextra==1.0\n")
    assert lock(tiny, "--check") == 3
    assert main(tiny.words("--progress", "none")) == 0
    assert {"many==1.0", "tool==3.0"} <= set(made.read_text().splitlines())
    assert lock(tiny, "--check") == 0
    # Changed by hand it is a file of constraints like any other.
    made.write_text(made.read_text() + "extra<1\n")
    assert lock(tiny) == 1


@pytest.mark.usefixtures("index")
def test_a_wheel_for_another_python_is_named_and_the_hint_brings_one_that_fits(tiny: Tiny) -> None:
    later = f">={sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    if sys.version_info[:3] == (3, 11, 2):
        skip("this Python is the base's")
    make_wheel(pool(tiny), "tool", "2.5", requires_python=later)
    tiny.require("whole==3.0")
    pip_download(tiny)
    ended = build(tiny)
    assert ended.returncode == 1
    assert f"tool 2.5 needs Python {later}, and the base has 3.11.2" in ended.stderr
    assert "ocibuild download " in ended.stderr and "the store" not in ended.stderr
    hint = re.search(r"with pip alone: pip ([^;]*)", ended.stderr)
    assert hint is not None
    subprocess.run([sys.executable, "-m", "pip", *shlex.split(hint[1])], check=True, timeout=300, capture_output=True)
    ended = build(tiny)
    assert ended.returncode == 0, ended.stderr


def test_a_wheel_that_a_url_asks_for_is_the_one_of_that_name_and_hash_in_the_folder(tiny: Tiny, index: Index) -> None:
    url = index.url.replace("simple/", "files/tool-2.0-py3-none-any.whl")
    make_wheel(pool(tiny), "user", "1.0", requires=[f"tool @ {url}"])
    tiny.require("user==1.0", f"--find-links {index.url}")
    assert lock(tiny) == 0
    pip_download(tiny)
    assert main(tiny.words("--online", "--progress", "none")) == 0
    online, asked = tiny.out.read_bytes(), list(index.paths)
    for flags in ((), ("--offline",), ("--locked",)):
        tiny.forget()
        assert main(tiny.words(*flags)) == 0
        assert tiny.out.read_bytes() == online
    (tiny.image / "pylock.toml").unlink()
    tiny.forget()
    ended = build(tiny, "--offline")
    assert ended.returncode == 0, ended.stderr
    (tiny.wheels / "tool-2.0-py3-none-any.whl").unlink()
    assert main(tiny.words("--offline")) == 1
    ended = build(tiny)
    assert "offline, and tool-2.0-py3-none-any.whl is in no folder of wheels" in ended.stderr
    assert "ocibuild download " in ended.stderr
    assert index.paths == asked


def test_a_url_with_a_hash_takes_no_other_wheel_of_that_name(tiny: Tiny, index: Index) -> None:
    url = index.url.replace("simple/", "files/tool-2.0-py3-none-any.whl")
    tiny.require(f"tool @ {url}#sha256={'0' * 64}")
    tiny.wheels.mkdir()
    shutil.copy(pool(tiny) / "tool-2.0-py3-none-any.whl", tiny.wheels)
    ended = build(tiny)
    assert ended.returncode == 1 and f"sha256:{'0' * 64}" in ended.stderr


def test_a_wheel_of_a_locked_name_with_other_bytes_is_refused(tiny: Tiny, index: Index) -> None:
    tiny.require("whole==3.0")
    assert lock(tiny) == 0
    pip_download(tiny)
    make_wheel(tiny.wheels, "tool", "2.0", files={"tool.py": "other = True\n"})
    tiny.forget()
    ended = build(tiny)
    assert ended.returncode == 1 and "tool-2.0-py3-none-any.whl: expected sha256:" in ended.stderr
    assert "ocibuild download " in ended.stderr
    assert index.paths


@pytest.mark.usefixtures("index")
def test_a_folder_of_wheels_does_not_keep_the_base_from_being_asked_for(tiny: Tiny) -> None:
    tiny.require("whole==3.0")
    pip_download(tiny)
    shutil.rmtree(tiny.debs)
    tiny.forget()
    asked, offline = build(tiny), build(tiny, "--offline")
    assert asked.returncode == offline.returncode == 1
    # apt-get says of an archive that nobody reaches what it says of one that has no such package any more.
    assert "apt-get on this machine: " in asked.stderr and "superseded" not in asked.stderr
    assert "no source to take it from" in offline.stderr
    assert all(re.search(rf"ocibuild download \S*{NAME}, ", each.stderr) for each in (asked, offline))


def test_offline_and_a_registry_exclude_each_other(tiny: Tiny) -> None:
    assert main(tiny.words("--offline", "--push", "127.0.0.1:1/app")) == 2
    assert main(tiny.words("--offline", "--cache-from", "127.0.0.1:1/app")) == 2
