"""Machines that are no Debian with everything on it: an imitated Mac, a disk that starts no programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.macs import run_on_mac
from tests.support.real import need
from tests.support.tiny import CHECKOUT, NAME, built, make_tiny, run_ocibuild

pytestmark = pytest.mark.real

IMAGE = 'base = "python-3.11"\nplatforms = ["linux/amd64"]\n[python]\nbytecode = "{}"\n'
COMPILES_AS_THE_BASE = Path("/usr/bin/python3.11")


def diff_ids(image: Path) -> list[str]:
    """As the image's configuration has them."""
    with tarfile.open(image) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest.json"))
        config = json.load(tar.extractfile(manifest[0]["Config"]) or pytest.fail("no configuration"))
    found: list[str] = config["rootfs"]["diff_ids"]
    return found


def files_of(cache: Path) -> set[Path]:
    """What is kept in a cache."""
    return {path for path in (cache / "v1" / "blobs").rglob("*") if path.is_file()}


def test_a_mac_builds_the_same_layers_without_bytecode(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    built(tiny)
    usual = diff_ids(tiny.out)
    tiny.forget()
    for _ in range(2):
        done = run_on_mac(*tiny.words("--jobs", "2"), path=tmp_path / "nothing", home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("its own Python does not start here") == 1
        assert diff_ids(tiny.out) == usual
        kept = files_of(tiny.cache)
        tiny.out.unlink()
    assert files_of(tiny.cache) == kept


def test_a_mac_with_the_bases_very_python_builds_the_same_layers_with_bytecode(tmp_path: Path) -> None:
    if "3.11.2\n" not in version_of(COMPILES_AS_THE_BASE):
        pytest.skip("no CPython 3.11.2 on this machine")
    tiny = make_tiny(tmp_path / "project")
    shutil.rmtree(tiny.debs)
    path = tmp_path / "path"
    path.mkdir()
    (path / "python3.11").symlink_to(COMPILES_AS_THE_BASE)
    usual: dict[str, list[str]] = {}
    for mode in ("none", "default"):
        (tiny.image / "image.toml").write_text(IMAGE.format(mode))
        # With the user's cache, which has the base.
        words = ("--project-dir", str(tiny.root), "--layers", str(CHECKOUT / "layers"), "--progress", "none")
        assert main(["build", NAME, "--out", str(tiny.out), *words]) == 0
        usual[mode] = diff_ids(tiny.out)
        assert main(["download", NAME, *words]) == 0
    assert usual["none"][1:] != usual["default"][1:]
    kept: set[Path] = set()
    for mode in ("none", "default", "default"):
        (tiny.image / "image.toml").write_text(IMAGE.format(mode))
        tiny.out.unlink()
        offline = tiny.words("--offline", "--layers", str(CHECKOUT / "layers"))
        done = run_on_mac(*offline, path=path, home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "this machine's CPython 3.11.2 compiles for it" in done.stderr or mode == "none"
        assert diff_ids(tiny.out) == usual[mode]
        bases = {file for file in files_of(tiny.cache) if file.stat().st_size > 10 << 20}
        assert len(bases) == 1, "the base was made again"
        assert kept in (set(), bases)
        kept = bases


def version_of(program: Path) -> str:
    """What a Python says of its version."""
    if not program.is_file():
        return ""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A disk on which no program can be started."""
    need("mount")
    folder = tmp_path / "noexec"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=700", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_cache_on_a_disk_that_starts_no_programs_is_no_failure(tmp_path: Path, noexec: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    tiny.set_bytecode("default")
    for _ in range(2):
        done = run_ocibuild(*tiny.words("--cache-dir", str(noexec), "--jobs", "2"))
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("its own Python does not start here (permission denied)") == 1
        assert "CPython 3.11." in done.stderr or "comes without bytecode" in done.stderr
        kept = files_of(noexec)
        tiny.out.unlink()
    assert files_of(noexec) == kept


POD = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /mnt
cp -r "$1" /mnt/checkout
chmod -R a+rX,a-w /mnt/checkout
mkdir /mnt/work && mount -t tmpfs -o mode=777 none /mnt/work
for place in / /tmp /mnt /var/tmp /dev/shm /home /root; do
    if mountpoint -q "$place"; then mount -o remount,ro,bind "$place"; fi
done
umask 077
cd /mnt/checkout
shift
exec setpriv --reuid 12345 --regid 12345 --clear-groups env -i PATH=/usr/bin:/bin "$@"
"""


def test_a_pod_with_one_folder_to_write_to_and_nobodys_user_id_builds_the_usual_image(tmp_path: Path) -> None:
    need("unshare", "setpriv", "mountpoint")
    if "3.11." not in version_of(COMPILES_AS_THE_BASE) or sys.version_info[:2] != (3, 11):
        pytest.skip("no CPython 3.11 that everybody may start")
    tiny = make_tiny(tmp_path / "project")
    usual = built(tiny)
    tiny.forget()
    search = f"{CHECKOUT}:{sysconfig.get_path('purelib')}"
    inside = [f"PYTHONPATH={search}", "PYTHONDONTWRITEBYTECODE=1", "OCIBUILD_CACHE_DIR=/mnt/work/cache"]
    program = "import sys; from oci_builder.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [str(COMPILES_AS_THE_BASE), "-c", program, "build", NAME, "--out", "/mnt/work/app.tar"]
    shell = '"$@" >&2 && cat /mnt/work/app.tar'
    words = ["unshare", "-m", "bash", "-c", POD, "pod", str(tiny.root), *inside, "bash", "-c", shell, "run", *command]
    done = subprocess.run(words, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == usual
    assert b"temporary" in done.stderr
