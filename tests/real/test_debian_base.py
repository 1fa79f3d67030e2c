"""The shipped bases from Debian's real packages, by this machine's apt-get, run by this machine's kernel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from oci_builder.bases import Base, Supply, open_base
from oci_builder.debian.apt import Apt
from oci_builder.debian.lock import Pin, RootfsLock, lock_path, read_lock, write_lock
from oci_builder.debian.recipe import key_files, load_layer
from oci_builder.debian.sources import Mirror, fetch_packages
from oci_builder.debian.trust import Trust
from oci_builder.debian.update import update
from oci_builder.errors import OcibuildError, PackageUnavailable
from oci_builder.platforms import AMD64, ARM64, Platform
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.real import need, skip
from tests.support.webserver import serving

pytestmark = pytest.mark.real

LAYERS = Path(__file__).parents[2] / "layers"
HOST = Platform.parse(os.uname().machine)
NOBODY = 65534
MODULES = [
    *("ssl", "sqlite3", "ctypes", "lzma", "bz2", "curses", "readline", "decimal", "uuid", "zoneinfo", "dbm.ndbm"),
    *("hashlib", "multiprocessing"),
]
HELPER = "/usr/lib/apt/apt-helper"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def opened(name: str, platform: Platform, store: Store) -> Base:
    need("apt-get", root=False)
    try:
        return opening(name, platform, store)
    except OcibuildError as error:
        skip(f"apt-get gives no packages here ({error})")
        raise


def opening(name: str, platform: Platform, store: Store) -> Base:
    supply = Supply(now=int(time.time()), jobs=2)
    return open_base(LAYERS / name, platform, store=store, supply=supply, reporter=Quiet())


def unpacked(base: Base, store: Store, folder: Path) -> Path:
    need("chroot")
    with tarfile.open(store.path(base.layers[0].descriptor.digest)) as archive:
        archive.extractall(folder, filter="fully_trusted")
    # What an engine would mount: subprocess opens it.
    os.mknod(folder / "dev" / "null", 0o20666, os.makedev(1, 3))
    return folder


@pytest.fixture(scope="module")
def root(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(opened("python-3.11", HOST, store), store, tmp_path_factory.mktemp("root"))


def run(root: Path, *command: str) -> str:
    env = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(["chroot", str(root), *command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def python(root: Path, code: str) -> str:
    return run(root, "/usr/local/bin/python3.11", "-c", code)


def test_python_is_whole(root: Path) -> None:
    assert python(root, f"import {', '.join(MODULES)}; print('fine')") == "fine"


def test_libraries_are_found_by_name(root: Path) -> None:
    assert (
        python(root, "from ctypes.util import find_library as f; print(f('c'), f('gomp'))") == "libc.so.6 libgomp.so.1"
    )


def test_a_shell_runs_commands(root: Path) -> None:
    assert (
        python(
            root,
            "import subprocess as s; print(s.run('ls -d /etc | cat', shell=True, text=True, "
            "capture_output=True).stdout)",
        )
        == "/etc"
    )


def test_subprocesses_find_what_they_reach_for(root: Path) -> None:
    script = "set -o pipefail; cd /etc; find . -name passwd | xargs tar -cz | tar -tz | grep passwd | sed s,./,found:,"
    words = ["bash", "-c", script]
    code = f"import subprocess as s; print(s.run({words!r}, text=True, capture_output=True, check=True))"
    assert "found:passwd" in python(root, code)
    assert run(root, "sed", "-n", "s/^root:.*://p", "/etc/passwd") == "/bin/bash"
    # Without /proc, which an engine mounts, ps only starts.
    assert "procps" in run(root, "pgrep", "--version")


def test_certificates_are_there(root: Path) -> None:
    code = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 100)"
    assert python(root, code) == "True"


def test_bytecode_is_used(root: Path) -> None:
    said = python(root, "import json, sys; print(json.__cached__, sys.flags.dont_write_bytecode)")
    assert (root / said.split()[0].lstrip("/")).is_file()
    assert not [path for path in root.rglob("*.pyc") if path.stat().st_mtime != 315_532_800]


@pytest.mark.skipif(shutil.which("ldconfig", path="/sbin:/usr/sbin") is None, reason="needs ldconfig")
def test_ldconfig_would_write_the_same_cache(root: Path) -> None:
    def shown(cache: str) -> list[str]:
        said = run(root, "/sbin/ldconfig", "-p", "-C", cache)
        return [line for line in said.splitlines() if "=>" in line]

    ours = shown("/etc/ld.so.cache")
    run(root, "/sbin/ldconfig", "-C", "/etc/real.cache")
    assert ours == shown("/etc/real.cache") and ours


def test_the_slim_base_has_no_shell(store: Store) -> None:
    tree = opened("python-3.11-slim", HOST, store).tree
    assert tree.resolve("bin/sh") not in tree


def test_the_base_of_the_next_debian_is_whole_and_its_bytecode_is_used(store: Store, tmp_path: Path) -> None:
    need("apt-get", root=False)
    try:
        base = opening("python-3.13", HOST, store)
    except PackageUnavailable as error:
        # Its archive is the mirror's affair, and no part of this machine.
        pytest.skip(f"this machine's mirror has no Debian 13 ({error})")
    folder = unpacked(base, store, tmp_path / "root")
    code = f"import {', '.join(MODULES)}, json; print(json.__cached__)"
    assert (folder / run(folder, "/usr/local/bin/python3.13", "-c", code).lstrip("/")).is_file()


def test_arm64_runs_under_qemu(store: Store, tmp_path: Path) -> None:
    need("qemu-aarch64-static")
    folder = unpacked(opened("python-3.11-slim", ARM64, store), store, tmp_path / "root")
    shutil.copy("/usr/bin/qemu-aarch64-static", folder / "usr" / "bin")
    code = (
        f"import {', '.join(MODULES)}, platform, json, os; print(platform.machine(), os.path.exists(json.__cached__))"
    )
    assert run(folder, "/usr/bin/qemu-aarch64-static", "/usr/bin/python3.11", "-c", code) == "aarch64 True"


CHILD = """
import sys, time
from pathlib import Path
from oci_builder.bases import Supply, open_base
from oci_builder.reporter import Quiet
from oci_builder.platforms import Platform
from oci_builder.store import Store
base = open_base(Path(sys.argv[1]), Platform.parse(sys.argv[2]), store=Store(Path(sys.argv[3])),
                 supply=Supply(now=int(time.time())), reporter=Quiet())
print(base.layers[0].diff_id)
"""


def test_nobody_builds_the_same_bytes(store: Store, tmp_path: Path) -> None:
    need("setpriv")
    base = opened("python-3.11-slim", HOST, store)
    cache = Path(f"/tmp/ocibuild-nobody-{os.getpid()}")
    cache.mkdir()
    try:
        os.chown(cache, NOBODY, NOBODY)
        said = as_nobody(CHILD, str(LAYERS / "python-3.11-slim"), str(HOST), str(cache))
    finally:
        shutil.rmtree(cache)
    assert said == str(base.layers[0].diff_id)


def as_nobody(code: str, *arguments: str) -> str:
    """What a Python that nobody may run says, in another time zone, with another umask and hash seed."""
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    path = os.pathsep.join([str(LAYERS.parent), *(part for part in sys.path if part.endswith("site-packages"))])
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": path, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for program in (sys.executable, f"/usr/bin/python{minor}"):
        able = subprocess.run(
            [*drop, program, "-c", "import oci_builder.bases"], env=env, capture_output=True, check=False
        )
        if able.returncode == 0:
            command = ["sh", "-c", 'umask 077; exec "$@"', "sh", *drop, program, "-B", "-c", code, *arguments]
            done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()
    pytest.skip("no Python here that nobody may run")


@pytest.fixture
def mirror(store: Store, tmp_path: Path) -> Iterator[Path]:
    """A mirror of what the slim base needs, filled by apt-get."""
    need("apt-get", HELPER, root=False)
    lock = read_lock(lock_path(LAYERS / "python-3.11-slim", HOST))
    recipe = load_layer(LAYERS / "python-3.11-slim")
    apt = Apt(recipe.source.suite_list(), HOST.architecture, tmp_path)
    try:
        fetch_packages(lock.packages, [apt], store=store, reporter=Quiet())
    except OcibuildError as error:
        skip(f"apt-get gives no packages here ({error})")
    folder = tmp_path / "mirror"
    for pin in lock.packages:
        target = folder / pin.archive / pin.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store.path(pin.digest), target)
    for suite in recipe.source.suite_list():
        target = folder / suite.archive / "dists" / suite.name
        (target / f"main/binary-{HOST.architecture}").mkdir(parents=True)
        (target / "InRelease").write_bytes(apt.inrelease(suite))
    for line in index_addresses(tmp_path):
        name, address = line.split()
        suite = next(suite for suite in recipe.source.suite_list() if suite.name == name)
        target = folder / suite.archive / "dists" / name / f"main/binary-{HOST.architecture}" / "Packages.xz"
        subprocess.run([HELPER, "download-file", f"{address}.xz", str(target)], check=True, capture_output=True)
    yield folder


def index_addresses(folder: Path) -> list[str]:
    """Suite and address of every index, as apt knows them."""
    arguments = ["--format", "$(CODENAME) $(URI)", "Created-By: Packages"]
    said = subprocess.run(
        ["apt-get", "-c", str(folder / "fresh.conf"), "indextargets", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.splitlines()


def test_a_mirror_gives_the_lock_and_the_packages_that_apt_gives(mirror: Path, tmp_path: Path) -> None:
    folder = LAYERS / "python-3.11-slim"
    recipe, trust = load_layer(folder), Trust(keys=key_files(folder), now=int(time.time()))
    (tmp_path / "apt").mkdir()
    by_apt = update(
        recipe,
        HOST,
        [Apt(recipe.source.suite_list(), HOST.architecture, tmp_path / "apt")],
        trust=trust,
        reporter=Quiet(),
    )
    with serving(mirror) as server:
        source = Mirror(server.url, ("debian", "debian-security"))
        by_mirror = update(recipe, HOST, [source], trust=trust, reporter=Quiet())
        fresh = Store(tmp_path / "fresh")
        shipped = read_lock(lock_path(folder, HOST))
        fetch_packages(shipped.packages, [source], store=fresh, reporter=Quiet())
    assert by_mirror == by_apt
    assert all(fresh.has(pin.digest, pin.size) for pin in shipped.packages)


def test_a_package_debian_no_longer_offers_is_replaced(store: Store, tmp_path: Path) -> None:
    opened("python-3.11-slim", HOST, store)
    folder = tmp_path / "python-3.11-slim"
    shutil.copytree(LAYERS / "python-3.11-slim", folder)
    path = lock_path(folder, HOST)
    write_lock(with_old_tzdata(read_lock(path)), path)
    heard: list[str] = []

    class Hearing(Quiet):
        def note(self, line: str) -> None:
            heard.append(line)

    base = open_base(folder, HOST, store=store, supply=Supply(now=int(time.time())), reporter=Hearing())
    assert "tzdata 2020a-0 → " in heard[0]
    assert base.layers


def with_old_tzdata(lock: RootfsLock) -> RootfsLock:
    return changed(lock, {"tzdata": {"version": "2020a-0", "sha256": "0" * 64}})


def changed(lock: RootfsLock, fields: Mapping[str, Mapping[str, str]]) -> RootfsLock:
    import msgspec

    pins: Sequence[Pin] = [msgspec.structs.replace(pin, **fields.get(pin.name, {})) for pin in lock.packages]
    return msgspec.structs.replace(lock, packages=tuple(pins))


def test_the_other_platforms_lock_is_as_new(store: Store) -> None:
    for name in ("python-3.11", "python-3.11-slim", "python-3.13"):
        locks = [read_lock(lock_path(LAYERS / name, platform)) for platform in (AMD64, ARM64)]
        # Of one source, though Debian may have built it once more for one of them.
        versions = [{pin.name: re.sub(r"\+b[0-9]+$", "", pin.version) for pin in lock.packages} for lock in locks]
        assert versions[0] == versions[1]
