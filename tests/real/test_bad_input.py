"""Failures that only a real machine has: full disks, folders of other people."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installs import checkout_wheel, install, pythons
from tests.support.real import need, skip
from tests.support.tiny import Tiny, build, built, make_tiny, run_ocibuild, unsound
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

NOBODY = 65534
TRACEBACK = "Traceback (most recent call last)"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project whose image takes a megabyte and more."""
    tiny = make_tiny(tmp_path / "project")
    make_wheel(tiny.wheels, "noise", "1.0", files={"noise.bin": os.urandom(1 << 20)})
    tiny.lock()
    return tiny


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of ``size`` at ``place``."""
    need("mount", "umount")
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=False)
    if mounted.returncode:
        skip("needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


# Room for the packages alone; for packages, base and wheels; for nearly all.
@pytest.mark.parametrize("size", ["32k", "200k", "1500k"])
def test_a_cache_without_room(tiny: Tiny, tmp_path: Path, size: str) -> None:
    expected = built(tiny)
    tiny.forget()
    with small_disk(tmp_path / "disk", size) as disk:
        ending = build(tiny, "--cache-dir", str(disk))
        assert ending.code == 1
        assert f"ocibuild: {disk}" in ending.said
        assert ": no space left on device\n\nhint: free some space there" in ending.said
        assert TRACEBACK not in ending.said
        assert unsound(disk) == []
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert built(tiny, "--cache-dir", str(disk)) == expected


def test_an_output_without_room(tiny: Tiny, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "500k") as disk:
        ending = build(tiny, "--out", str(disk / "app.tar"))
        assert ending.code == 1
        assert f"ocibuild: {disk / 'app.tar'}: no space left on device" in ending.said
        assert list(disk.iterdir()) == []
    assert unsound(tiny.cache) == []


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write to."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.fixture(scope="module")
def everybodys(open_folder: Path, shared: Path) -> Path:
    """A Python that everybody may run, with ocibuild installed."""
    need()
    found = pythons(user=NOBODY)
    if not found:
        skip("needs a Python that everybody may run")
    return install(checkout_wheel(shared), next(iter(found.values())), open_folder / "venv")


@pytest.mark.parametrize("closed", ["out", "cache"])
def test_a_folder_of_somebody_else(open_folder: Path, everybodys: Path, closed: str) -> None:
    tiny = make_tiny(open_folder / closed)
    tiny.cache.mkdir()
    for folder in (tiny.root, tiny.cache):
        folder.chmod(0o777)
    (tiny.root if closed == "out" else tiny.cache).chmod(0o755)
    environ = {"PATH": os.environ["PATH"], "HOME": str(open_folder)}
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = run_ocibuild(*tiny.words(), python=everybodys, environ=environ, cwd=open_folder, **who)
    assert done.returncode == 1
    place = tiny.out if closed == "out" else tiny.cache
    assert f"ocibuild: {place}: permission denied\n\nhint: check the permissions" in done.stderr
    assert TRACEBACK not in done.stderr
    assert list(tiny.root.glob("*app.tar*")) == []
    assert unsound(tiny.cache) == []
