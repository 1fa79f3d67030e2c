"""Files put where a layer is easily got wrong, looked at from inside a running container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.verify.verify import verify_file
from tests.real.conftest import build
from tests.support.engines import DockerLike

pytestmark = pytest.mark.real

PLACES = ("/tmp/deep/x", "/root/x", "/var/run/x", "/bin/x", "/lib/x", "/etc/ssl/x", "/opt/new/x", "/home/sandbox/x")

RECIPE = "".join(f'[[copy]]\nsrc = "x"\ndest = "{place}"\nowner = "user"\n' for place in PLACES)

LOOK = """
import json, os, stat
paths = ["/", "/tmp", "/tmp/deep", "/root", "/var", "/run", "/etc", "/etc/ssl", "/usr/bin", "/usr/lib", "/opt",
         "/opt/new", "/home", "/home/sandbox", "/usr/local", "/usr/local/bin", "/etc/shadow"]
seen = {path: [oct(os.lstat(path).st_mode & 0o7777), os.lstat(path).st_uid, os.lstat(path).st_gid] for path in paths}
links = {path: os.readlink(path) for path in ("/bin", "/lib", "/var/run")}
files = {path: open(path).read() for path in %r if not path.startswith("/root")}
print(json.dumps({"seen": seen, "links": links, "files": files}))
"""

PLAIN = """
import json, os
paths = ["/", "/tmp", "/root", "/var", "/run", "/etc", "/etc/ssl", "/usr/bin", "/usr/lib", "/opt", "/home",
         "/usr/local", "/usr/local/bin", "/etc/shadow"]
print(json.dumps({p: [oct(os.lstat(p).st_mode & 0o7777), os.lstat(p).st_uid, os.lstat(p).st_gid] for p in paths}))
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, docker: DockerLike, cache: list[str]) -> tuple[str, str]:
    """The base alone, and the base with files in all those places."""
    project = tmp_path_factory.mktemp("placement")
    for name, recipe in (("bare", '[user]\nname = "root"\n'), ("placed", RECIPE)):
        folder = project / "build" / name
        folder.mkdir(parents=True)
        (folder / "image.toml").write_text(recipe)
        (folder / "x").write_text("here")
        build(name, "--out", str(project / f"{name}.tar"), *cache, project=project)
        assert verify_file(project / f"{name}.tar").findings == ()
        docker.load(project / f"{name}.tar")
    return "bare:latest", "placed:latest"


def test_files_land_behind_the_bases_links_and_modes_stay(docker: DockerLike, images: tuple[str, str]) -> None:
    bare, placed = images
    before = json.loads(docker.run(bare, "python", "-c", PLAIN).stdout)
    after = json.loads(docker.run(placed, "python", "-c", LOOK % (PLACES,)).stdout)
    assert {path: after["seen"][path] for path in before} == before
    assert (before["/tmp"][0], before["/root"][0], before["/etc/shadow"]) == ("0o1777", "0o700", ["0o640", 0, 42])
    assert after["links"] == {"/bin": "usr/bin", "/lib": "usr/lib", "/var/run": "/run"}
    assert set(after["files"].values()) == {"here"}
    assert after["seen"]["/opt/new"] == ["0o755", 0, 0]
    assert after["seen"]["/home/sandbox"] == ["0o750", 1000, 1000]


def test_a_read_only_container_keeps_what_was_put_into_tmp(docker: DockerLike, images: tuple[str, str]) -> None:
    result = docker.run(images[1], "python", "-c", "import os; print(os.stat('/tmp/deep/x').st_uid)")
    assert result.stdout == "1000\n"


def test_root_reads_what_lies_in_roots_home(docker: DockerLike, images: tuple[str, str]) -> None:
    code = "import os; print(open('/root/x').read(), oct(os.stat('/root').st_mode & 0o7777))"
    assert docker.run(images[1], "python", "-c", code, user="0", cap_drop=None).stdout == "here 0o700\n"


def test_the_base_alone_is_a_whole_python(docker: DockerLike, images: tuple[str, str], tmp_path: Path) -> None:
    code = """
import bz2, ctypes, ctypes.util, curses, dbm, decimal, hashlib, lzma, readline, sqlite3, ssl, sys, uuid, zlib, zoneinfo
import subprocess
assert ctypes.util.find_library("c") == "libc.so.6"
assert ssl.create_default_context().get_ca_certs(), "no certificates"
assert zoneinfo.ZoneInfo("Europe/Berlin").key == "Europe/Berlin"
assert subprocess.run("echo $((40 + 2)); ls / | wc -l", shell=True, capture_output=True).stdout.startswith(b"42")
print(sys.version_info[:3], sys.executable, sys.prefix)
"""
    assert docker.run(images[0], "python", "-c", code).stdout == "(3, 11, 2) /usr/local/bin/python /usr\n"
