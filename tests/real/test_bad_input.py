"""Failures that only a real machine has: full disks, folders of other people."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.verify.verify import verify_file
from tests.support.installs import checkout_wheel, install, pythons
from tests.support.real import need, skip
from tests.support.tiny import CHECKOUT, NAME, Tiny, build, built, make_tiny, run_ocibuild, unsound
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
        # A command that failed in this process may have left what holds folders open in a circle.
        gc.collect()
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


def read_only(folder: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``ocibuild`` while nothing may be written to ``folder``, by anybody."""
    need("mount", "unshare")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        skip("needs the right to mount")
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, str(folder), sys.executable, "-m", "oci_builder", *words]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=cwd, check=False, timeout=120)


def test_a_checkout_that_nothing_may_be_written_to(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    tiny.require("many")
    # What lies in wheels/ would decide, and no lock be written for it.
    shelf = tiny.wheels.rename(tmp_path / "shelf")
    out, cache, lock = tmp_path / "app.tar", tmp_path / "cache", tiny.image / "pylock.toml"
    places = [*("--project-dir", str(tiny.root), "--cache-dir", str(cache), "--progress", "none")]
    places += ["--offline", "--find-links", str(shelf)]
    done = read_only(tiny.root, "build", NAME, *places, "--out", str(out), cwd=tmp_path)
    assert (done.returncode, "could not be written" in done.stderr) == (0, False), done.stderr
    assert main(["lock", NAME, *places]) == 0
    before = lock.read_bytes()
    (tiny.image / "requirements.txt").write_text("many\ntool\n")
    done = read_only(tiny.root, "build", NAME, *places, "--out", str(out), "--locked", cwd=tmp_path)
    assert (done.returncode, "have changed since" in done.stderr) == (1, True)
    for _ in range(2):  # nothing is remembered of a build that depends on an index
        done = read_only(tiny.root, "build", NAME, *places, "--out", str(out), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"{lock} could not be written, read-only file system; this run goes by what it would say" in done.stderr
    assert (lock.read_bytes(), verify_file(out).findings) == (before, ())
    writable = tmp_path / "other.tar"
    assert main(["build", NAME, *places, "--out", str(writable)]) == 0
    assert out.read_bytes() == writable.read_bytes()
    assert lock.read_bytes() != before


NO_HOME = {
    "nothing at all": ({}, 0o077),
    "a HOME that is not there": ({"HOME": "/nonexistent"}, 0),
    "a HOME of somebody else": ({"HOME": "/root"}, 0o077),
    "a HOME that is none": ({"HOME": ""}, 0),
}


@pytest.mark.parametrize(("environ", "umask"), NO_HOME.values(), ids=NO_HOME)
def test_a_user_without_a_home(open_folder: Path, everybodys: Path, environ: dict[str, str], umask: int) -> None:
    place = Path(tempfile.mkdtemp(dir=open_folder))
    place.chmod(0o1777)
    tiny = make_tiny(place / "project")
    tiny.require("many")  # pip is asked, and wants a home too
    words = ["build", NAME, "--project-dir", str(tiny.root), "--out", str(place / "app.tar"), "--progress", "none"]
    who = {"user": 12345, "group": 0, "extra_groups": []}
    done = run_ocibuild(
        *words,
        python=everybodys,
        environ={"PATH": "/usr/bin:/bin", "TMPDIR": str(place), **environ},
        cwd=place,
        umask=umask,
        **who,
    )
    assert done.returncode == 0, done.stderr
    cache = place / "ocibuild-12345"
    assert f"there is no home folder to write to: the cache is {cache}" in done.stderr
    assert verify_file(place / "app.tar").findings == ()
    made = [cache, *cache.rglob("*")]
    assert all(path.stat().st_uid == 12345 and not path.stat().st_mode & 0o022 for path in made)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert not list(place.glob("~*")) and not list(tiny.image.glob("~*"))


def test_a_temporary_cache_that_somebody_else_made_first_is_not_used(open_folder: Path, everybodys: Path) -> None:
    place = Path(tempfile.mkdtemp(dir=open_folder))
    place.chmod(0o1777)
    tiny = make_tiny(place / "project")
    (place / "elsewhere").mkdir()
    os.chown(place / "elsewhere", 12345, 12345)
    (place / "ocibuild-12345").symlink_to("elsewhere")
    words = ["build", NAME, "--project-dir", str(tiny.root), "--out", str(place / "app.tar"), "--progress", "none"]
    environ = {"PATH": "/usr/bin:/bin", "TMPDIR": str(place), "HOME": "/nonexistent"}
    done = run_ocibuild(*words, python=everybodys, environ=environ, cwd=place, user=12345, group=12345, extra_groups=[])
    assert done.returncode == 1
    assert "it is not a folder of this user alone" in done.stderr and "--cache-dir" in done.stderr
    assert list((place / "elsewhere").iterdir()) == []


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
    if closed == "out":
        os.chown(tiny.cache, NOBODY, NOBODY)
    else:
        tiny.root.chmod(0o777)
    environ = {"PATH": os.environ["PATH"], "HOME": str(open_folder)}
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = run_ocibuild(*tiny.words(), python=everybodys, environ=environ, cwd=open_folder, **who)
    assert done.returncode == 1
    place = tiny.out if closed == "out" else tiny.cache
    assert f"ocibuild: {place}: permission denied\n\nhint: check the permissions" in done.stderr
    assert TRACEBACK not in done.stderr
    assert list(tiny.root.glob("*app.tar*")) == []
    assert unsound(tiny.cache) == []
