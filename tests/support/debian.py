"""Debian packages and signed archives, small and real."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import io
import lzma
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pysequoia

MTIME = 1_600_000_000
PYTHON = "3.11.2-6+deb12u9"


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A package to make: ``files`` maps a path to bytes, or to text starting with ``-> `` for a link, ``=> `` for a
    hard link; a path that ends with a slash is a folder."""

    name: str
    version: str = "1.0-1"
    architecture: str = "all"
    source: str = ""
    depends: str = ""
    provides: str = ""
    replaces: str = ""
    files: Mapping[str, bytes | str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    scripts: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        """What dpkg calls the file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def control(self) -> str:
        """The control file."""
        fields = {
            "Package": self.name,
            "Source": self.source,
            "Version": self.version,
            "Architecture": self.architecture,
            "Depends": self.depends,
            "Provides": self.provides,
            "Replaces": self.replaces,
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)

    def build(self) -> bytes:
        """The .deb file."""
        control, data = (lzma.compress(part, preset=0) for part in (self.control_tar(), self.data_tar()))
        return ar({"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.xz": data})

    def control_tar(self) -> bytes:
        """The tar that describes it, not packed."""
        return _tar({"./control": self.control.encode(), **self.scripts}, {})

    def data_tar(self) -> bytes:
        """The tar of its files, not packed."""
        return _tar(self.files, self.modes)


def ar(members: Mapping[str, bytes]) -> bytes:
    """An ar archive."""
    out = b"!<arch>\n"
    for name, data in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def _tar(files: Mapping[str, bytes | str], modes: Mapping[str, int]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path if path.startswith(("./", "/", "..")) else f"./{path}")
            info.mtime, info.mode = MTIME, modes.get(path, 0o644)
            data = b""
            if path.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, modes.get(path, 0o755)
            elif isinstance(content, str):
                hard = content.startswith("=> ")
                info.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
                info.linkname = f"./{content[3:]}" if hard else content[3:]
            else:
                data, info.size = content, len(content)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@cache
def signing_key(who: str = "archive") -> Any:
    """A fresh OpenPGP key, one per test process."""
    return pysequoia.Tsk.generate(f"{who} <{who}@localhost>")


def public_key(who: str = "archive") -> bytes:
    """Its public part, as a keyring file holds it."""
    return bytes(signing_key(who).extract_certificate())


def clearsigned(text: str, who: str = "archive") -> bytes:
    """``text`` as InRelease files are signed."""
    return bytes(pysequoia.sign(signing_key(who).signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR))


def release(suite: str, files: Mapping[str, bytes], *, date: int | None = None, more: str = "") -> str:
    """The text of a Release file."""
    signed = email.utils.format_datetime(_utc(int(time.time()) if date is None else date), usegmt=True)
    lines = [f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in files.items()]
    listing = "\n".join(lines)
    return f"Origin: Debian\nCodename: {suite}\nDate: {signed}\n{more}SHA256:\n{listing}\n"


def _utc(moment: int) -> Any:
    import datetime

    return datetime.datetime.fromtimestamp(moment, datetime.UTC)


def write_suite(
    mirror: Path,
    archive: str,
    suite: str,
    debs: Sequence[Deb],
    *,
    architectures: Sequence[str] = ("amd64", "arm64"),
    who: str = "archive",
    more: str = "Acquire-By-Hash: yes\n",
    date: int | None = None,
    contents: bytes = b"",
) -> None:
    """Put ``debs`` and their signed index below ``mirror``, in place of what the index said before.

    With ``contents`` the suite has that as its list of all files.
    """
    index = b""
    for deb in debs:
        data, path = deb.build(), f"pool/main/{deb.name}/{deb.filename}"
        _put(mirror / archive / path, data)
        digest = hashlib.sha256(data).hexdigest()
        index += f"{deb.control}Filename: {path}\nSize: {len(data)}\nSHA256: {digest}\n\n".encode()
    files: dict[str, bytes] = {}
    for architecture in architectures:
        path = f"main/binary-{architecture}/Packages"
        files |= {path: index, f"{path}.xz": lzma.compress(index)}
        if contents:
            files[f"main/Contents-{architecture}.gz"] = gzip.compress(contents, mtime=0)
    folder = mirror / archive / "dists" / suite
    for path, data in files.items():
        _put(folder / path, data)
        _put(folder / path.rpartition("/")[0] / "by-hash" / "SHA256" / hashlib.sha256(data).hexdigest(), data)
    _put(folder / "InRelease", clearsigned(release(suite, files, date=date, more=more), who))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def small_base(*, python: str = PYTHON, extra: Sequence[Deb] = (), loader: bytes = b"") -> list[Deb]:
    """Packages that make a tiny base: no program in it but a loader that hands over to the Python of this test."""
    libraries = {"x86_64-linux-gnu/ld-linux-x86-64.so.2", "aarch64-linux-gnu/ld-linux-aarch64.so.1"}
    # Called as: loader --inhibit-cache --library-path PATH PYTHON -I -S -c PROGRAM
    loader = loader or f'#!/bin/sh\nshift 4\nexec "{sys.executable}" "$@"\n'.encode()
    loaders = {f"lib/{name}": loader for name in sorted(libraries)}
    passwd, group = b"root:*:0:0:root:/root:/bin/bash\n", b"root:*:0:\nshadow:*:42:\n"
    return [
        Deb(name="base-files", files={"etc/": b"", "tmp/": b"", "run/": b"", "root/": b""}, modes={"root/": 0o700}),
        Deb(
            name="base-passwd",
            files={"usr/share/base-passwd/passwd.master": passwd, "usr/share/base-passwd/group.master": group},
        ),
        Deb(
            name="libc6",
            version="2.36-9",
            architecture="all",
            files={**loaders, "usr/share/libc-bin/nsswitch.conf": b"passwd: files\n"},
            modes=dict.fromkeys(loaders, 0o755),
        ),
        Deb(name="tzdata", files={"usr/share/zoneinfo/Etc/UTC": b"TZif2"}),
        Deb(name="ca-certificates", files={f"usr/share/ca-certificates/mozilla/{n}.crt": n.encode() for n in "ba"}),
        Deb(
            name="python3.11",
            version=python,
            depends="libc6 (>= 2.36), tzdata | nothing",
            files={
                "usr/bin/python3.11": b"no program\n",
                "usr/lib/python3.11/os.py": b"sep = '/'\n",
                "usr/lib/python3.11/link.py": "-> os.py",
                "usr/share/doc/python3.11/copyright": b"PSF\n",
                "usr/share/doc/python3.11/changelog": b"long\n",
            },
            modes={"usr/bin/python3.11": 0o755},
        ),
        *extra,
    ]


RECIPE = """
schema = 1
summary = "a tiny base"
[source]
kind = "debian"
suites = ["debian/bookworm", "debian-security/bookworm-security"]
packages = [{packages}]
drop = ["usr/share/doc/*/*", "usr/share/base-passwd/*", "usr/share/libc-bin/*"]
keep = ["usr/share/doc/*/copyright"]
[source.cut]
dpkg = "no package manager"
[python]
version = "3.11.2"
interpreter = "/usr/local/bin/python3.11"
prefix = "/usr/local"
purelib = "/usr/local/lib/python3.11/site-packages"
scripts = "/usr/local/bin"
glibc = "2.36"
[env]
LANG = "C.UTF-8"
"""


def write_layer_folder(folder: Path, debs: Sequence[Deb]) -> Path:
    """A recipe of ``debs`` with the archive's key, and no lock yet."""
    packages = ", ".join(f'"{deb.name}"' for deb in debs)
    _put(folder / "layer.toml", RECIPE.format(packages=packages).encode())
    _put(folder / "keys" / "archive.gpg", public_key())
    return folder


def write_mirror(mirror: Path, debs: Sequence[Deb]) -> Path:
    """A mirror whose main suite has ``debs`` and whose security suite has nothing yet."""
    write_suite(mirror, "debian", "bookworm", debs)
    write_suite(mirror, "debian-security", "bookworm-security", [])
    return mirror
