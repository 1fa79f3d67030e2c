"""Debian's real packages over an image of Debian, against apt-get in a container of that image."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from oci_builder.cli import main
from tests.support.engines import DockerLike, EngineFailed, call
from tests.support.images import fresh_nonce
from tests.support.real import need, skip

pytestmark = pytest.mark.real

PACKAGES = ["curl", "openssh-client", "vim-tiny"]
SUITES = ["debian bookworm", "debian bookworm-updates", "debian-security bookworm-security"]
DOCUMENTATION = r"usr/share/(?:doc|man|info|locale|doc-base)/.*"
OTHERWISE = re.compile(
    # Documentation is left out, and with man pages the alternatives of them.
    rf"{DOCUMENTATION}|etc/alternatives/.*\.gz|"
    # Lists of before, locks, logs, caches, what apt keeps of its own, and what an engine or a kernel mounts.
    r"var/lib/dpkg/(?:[a-z]+-old|lock.*|triggers/(?:Lock|Unincorp))|etc/\.pwd\.lock|etc/g?(?:group|shadow|passwd)-|"
    r"etc/(?:gshadow|shadow)-|var/(?:log|cache)/.*|var/lib/apt/.*|(?:run|dev|proc|sys|tmp)/.*|\.dockerenv|"
    r"etc/(?:hosts|hostname|resolv\.conf|mtab)|"
    # The same libraries, without the words of the program that wrote it; compared by themselves.
    r"etc/ld\.so\.cache"
)


class Face(NamedTuple):
    """What of an entry is the same in both: folders have other times."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    target: str
    content: bytes


def faces(path: Path) -> dict[str, Face]:
    """All entries of an exported root filesystem, hard links as the files that they are."""
    found: dict[str, Face] = {}
    with tarfile.open(path) as archive:
        for info in archive:
            kind = tarfile.REGTYPE if info.islnk() else info.type
            stream = archive.extractfile(info) if info.isfile() or info.islnk() else None
            target = info.linkname if info.issym() else ""
            content = stream.read() if stream is not None else b""
            found[info.name.strip("/")] = Face(kind, info.mode, (info.uid, info.gid), target, content)
    return found


@dataclass
class Installed:
    """An image with packages: by apt-get, and by ocibuild."""

    engine: DockerLike
    name: str
    real: dict[str, Face]
    ours: dict[str, Face]


@pytest.fixture(scope="module")
def installed(docker: DockerLike, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    need("mmdebstrap", "apt-get")
    folder, tag = tmp_path_factory.mktemp("over-images"), fresh_nonce()[:12]
    lines = [f"deb http://deb.debian.org/{suite} main" for suite in SUITES]
    try:
        call("mmdebstrap", "--variant=minbase", "bookworm", folder / "root.tar", *lines)
    except EngineFailed as error:
        skip(f"apt-get gives no packages here ({error})")
    base, name = f"debian-base:{tag}", f"over-image:{tag}"
    docker.call("import", folder / "root.tar", base)
    (folder / "root.tar").unlink()
    docker.call("save", "--output", folder / "base.tar", base)
    image = folder / "build" / "over"
    image.mkdir(parents=True)
    packages = ", ".join(f'"{package}"' for package in PACKAGES)
    (image / "image.toml").write_text(
        f'base = "../../base.tar"\ntags = ["{name}"]\nbase-packages = [{packages}]\n'
        '[user]\nname = "root"\n[config]\ncmd = ["bash"]\n'
    )
    places = ["--project-dir", str(folder), "--cache-dir", str(folder / "cache")]
    assert main(["build", "over", *places, "--out", str(folder / "over.tar")]) == 0
    docker.load(folder / "over.tar")
    docker.export(name, folder / "ours.tar")
    install = f"apt-get -q update && apt-get -qy install --no-install-recommends {' '.join(PACKAGES)}"
    said = docker.call("create", "--network=host", "-e", "DEBIAN_FRONTEND=noninteractive", base, "sh", "-c", install)
    container = said.stdout.strip()
    try:
        docker.call("start", "--attach", container)
        docker.call("export", "--output", folder / "real.tar", container)
    finally:
        docker.call("rm", container)
    yield Installed(docker, name, faces(folder / "real.tar"), faces(folder / "ours.tar"))
    for each in (name, base):
        docker.remove(each)


def test_every_entry_is_as_apt_get_leaves_it_but_for_named_kinds(installed: Installed) -> None:
    real, ours = installed.real, installed.ours
    names = [name for name in sorted(real.keys() | ours.keys()) if name and not OTHERWISE.fullmatch(name)]
    assert [name for name in names if real.get(name) != ours.get(name)] == []
    assert len(names) > 2000


def test_dpkg_and_apt_find_nothing_wrong_with_what_is_installed(installed: Installed) -> None:
    docker, name = installed.engine, installed.name
    listed = docker.run(name, "dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package}\n").stdout
    assert {f"ii {package}" for package in (*PACKAGES, "libc6", "dpkg", "libcurl4")} <= set(listed.splitlines())
    assert docker.run(name, "dpkg", "--audit").stdout == ""
    assert docker.run(name, "apt-get", "check", read_only=False).returncode == 0
    verified = docker.run(name, "dpkg", "--verify", *PACKAGES, "libcurl4", "libssl3").stdout.splitlines()
    assert [line for line in verified if not re.search(rf" /{DOCUMENTATION}", line)] == []


def test_what_was_added_runs(installed: Installed) -> None:
    docker, name = installed.engine, installed.name
    assert docker.run(name, "curl", "--version").stdout.startswith("curl 7.88")
    assert docker.run(name, "vi", "--version").stdout.startswith("VIM")
    assert docker.run(name, "ssh", "-V").stderr.startswith("OpenSSH")
    assert "libcurl.so.4 (libc6," in docker.run(name, "ldconfig", "-p").stdout
