"""A root filesystem that dpkg and apt-get made, and what ``apt-get install`` changes in it: all scripts run.

Packages come from an archive in a folder, so that nothing is fetched twice, and apt has the very versions that ocibuild
has. Each installation is laid over the same root filesystem, in mounts that only its own processes see.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.attributes import capability
from tests.support.real import need

PROGRAMS = ("apt-get", "mmdebstrap", "unshare", "chroot", "mount")
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
}

# Nothing of this machine is seen but its kernel: no services are started, and what is begun ends with the shell.
_INSIDE = """
set -e
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$FOLDER/upper,workdir=$FOLDER/work" "$FOLDER/root"
cd "$FOLDER/root"
for each in dev run tmp; do mount -t tmpfs tmpfs $each; done
mount -t proc proc proc
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
ln -s /proc/self/fd dev/fd
mkdir -p ".$ARCHIVE"
mount --bind "$ARCHIVE" ".$ARCHIVE"
exec chroot . apt-get -q -y -o Dpkg::Options::=--force-unsafe-io -o APT::Sandbox::User=root \\
    install --no-install-recommends "$@"
"""


@dataclass(frozen=True)
class Face:
    """What is at a path, but for times: the kind as ``stat`` has it, what a file holds as its digest."""

    kind: int
    mode: int = 0
    uid: int = 0
    gid: int = 0
    target: str = ""
    sha256: str = ""
    capability: bytes = b""


def face_of(path: Path) -> Face | None:
    """What is at ``path``, a link itself; None where nothing is."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind, mode = stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return Face(kind, 0, found.st_uid, found.st_gid, os.readlink(path))
    if not stat.S_ISREG(found.st_mode):
        return Face(kind, mode, found.st_uid, found.st_gid)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Face(kind, mode, found.st_uid, found.st_gid, "", digest, capability(path))


def write_archive(folder: Path, packages: Iterable[tuple[Mapping[str, str], Path]]) -> None:
    """Make an archive of packages in the empty ``folder``: the fields of each, and its file."""
    lists = folder / "dists" / "stable" / "main" / "binary-amd64"
    lists.mkdir(parents=True)
    (folder / "pool").mkdir()
    text = ""
    for fields, deb in packages:
        place = f"pool/{fields['package']}_{fields['architecture']}.deb"
        _link(deb, folder / place)
        told = {**fields, "filename": place, "description": "one"}
        text += "".join(f"{key.title()}: {' '.join(value.split())}\n" for key, value in told.items()) + "\n"
    packed = gzip.compress(text.encode(), mtime=0)
    (lists / "Packages").write_text(text)
    (lists / "Packages.gz").write_bytes(packed)
    listed = "".join(
        f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/{name}\n"
        for name, data in (("Packages", text.encode()), ("Packages.gz", packed))
    )
    (folder / "dists" / "stable" / "Release").write_text(
        "Suite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{listed}"
    )


def _link(file: Path, place: Path) -> None:
    # A symbolic link would lead nowhere for who sees the folder alone.
    try:
        place.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, place)


class Chroot:
    """A root filesystem of the essential packages of ``archive`` and of ``names``, in the empty ``folder``."""

    def __init__(self, folder: Path, archive: Path, names: Iterable[str]) -> None:
        need(*PROGRAMS)
        self._folder, self._archive = folder, archive
        self.base = folder / "base"
        included = ",".join(names)
        _run(
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--format=directory"),
            *(f"--include={included}", "--dpkgopt=force-unsafe-io", "--skip=check/qemu"),
            *("--aptopt=APT::Sandbox::User root", "stable", str(self.base)),
            f"deb [trusted=yes] copy:{archive} stable main",
        )
        # As in images of docker: nothing is started.
        policy = self.base / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        (self.base / "etc/apt/sources.list").write_text(f"deb [trusted=yes] copy:{archive} stable main\n")
        self._update()

    def _update(self) -> None:
        _run("apt-get", "-q", "-o", f"Dir={self.base}", "-o", "APT::Sandbox::User=root", "update")

    def install(self, names: Iterable[str], folder: Path) -> Installation:
        """Have apt-get install ``names`` over it; what changes lies in the empty ``folder``."""
        for part in ("upper", "work", "root"):
            (folder / part).mkdir()
        places = {"LOWER": str(self.base), "FOLDER": str(folder), "ARCHIVE": str(self._archive)}
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _INSIDE, "sh", *names]
        _run(*command, env=places)
        return Installation(self.base, folder / "upper")


@dataclass(frozen=True)
class Installation:
    """What an installation put over ``base``: ``upper`` is an upper folder of overlayfs."""

    base: Path
    upper: Path

    def at(self, path: str) -> Face | None:
        """What is at ``path`` after it."""
        found = face_of(self.upper / path)
        if found is not None:
            return None if stat.S_ISCHR(found.kind) else found
        return face_of(self.base / path)

    def changed(self) -> Iterator[str]:
        """The paths of what it made, changed or took away, each after its folder."""
        for above, folders, files in os.walk(self.upper):
            folders.sort()
            for name in sorted((*folders, *files)):
                path = os.path.relpath(os.path.join(above, name), self.upper)
                if self.at(path) != face_of(self.base / path):
                    yield path

    def read(self, path: str) -> bytes:
        """What the file at ``path`` holds after it; nothing where there is none."""
        for root in (self.upper, self.base):
            if (root / path).is_file():
                return (root / path).read_bytes()
        return b""

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """The package of each path that one has, by dpkg's lists; of several any."""
        found: dict[str, str] = {}
        for root in (self.base, self.upper):
            for listing in sorted((root / "var/lib/dpkg/info").glob("*.list")):
                package = listing.stem.partition(":")[0]
                for line in listing.read_text().splitlines():
                    found[_merged(line.strip("/"))] = package
        return found


def _merged(path: str) -> str:
    top = path.partition("/")[0]
    return f"usr/{path}" if top in ("bin", "sbin", "lib", "lib32", "lib64", "libx32") else path


def _run(*command: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=1800, check=False, env={**_ENVIRONMENT, **(env or {})}
    )
    assert done.returncode == 0, f"{' '.join(command)[:300]}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
