"""What is built: the reference image's wheels, one of them bumped, made-up ones, and a base for the peers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import run

ROOT = Path(__file__).parents[1]
_BLOCK = 1 << 20


def reference_wheels(work: Path, ocibuild: Sequence[str], cache: Path) -> Path:
    """The folder of the wheels that the lock of build/mypy names; packages of its base lie beside it in ``debs``."""
    if not (work / "wheels").is_dir():
        run(*ocibuild, "download", "mypy", "--dest", work, "--platform", "linux/amd64", "--cache-dir", cache, cwd=ROOT)
    return work / "wheels"


def bumped(wheels: Path, into: Path) -> Path:
    """The same wheels, but for the smallest: that has another version, and so another name and other bytes."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    pure = [path for path in wheels.glob("*.whl") if path.name.endswith("-none-any.whl")]
    smallest = min(pure, key=lambda path: (path.stat().st_size, path.name))
    for path in wheels.glob("*.whl"):
        if path != smallest:
            os.link(path, into / path.name)
    name, old = smallest.name.split("-")[:2]
    new = f"{old}.post1"
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(smallest) as archive:
        for member in archive.namelist():
            data = archive.read(member)
            if member.endswith(".dist-info/METADATA"):
                data = re.sub(rb"(?m)^Version: .*$", f"Version: {new}".encode(), data, count=1)
            files[member.replace(f"{name}-{old}.dist-info", f"{name}-{new}.dist-info")] = data
    _pack(into / smallest.name.replace(f"-{old}-", f"-{new}-"), f"{name}-{new}.dist-info", files)
    return into


def synthetic(into: Path, *, count: int, size: int) -> Path:
    """``count`` wheels of ``size`` bytes of content in all: a fifth modules, the rest as compressible as libraries."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    chance = random.Random(0)
    noise, zeros = chance.randbytes(_BLOCK // 3), bytes(_BLOCK - _BLOCK // 3)
    for number in range(count):
        name, files = f"made_{number}", {}
        each = size // count
        module = "".join(f"def function_{line}(a, b):\n    return a + b * {line}\n\n" for line in range(400)).encode()
        for part in range(max(1, each // 5 // len(module))):
            files[f"{name}/module_{part}.py"] = f"NUMBER = {number * 10_000 + part}\n".encode() + module
        files[f"{name}/__init__.py"] = b""
        for part in range(each * 4 // 5 // _BLOCK):
            files[f"{name}/library_{part}.bin"] = f"{number} {part}".encode() + noise + zeros
        _pack(into / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info", files)
    return into


def _pack(path: Path, dist_info: str, files: dict[str, bytes]) -> None:
    name, version = dist_info.removesuffix(".dist-info").rsplit("-", 1)
    files.setdefault(f"{dist_info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode())
    files.setdefault(f"{dist_info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    files.pop(f"{dist_info}/RECORD", None)
    rows = [f"{member},sha256={_digest(data)},{len(data)}\n" for member, data in files.items()]
    files[f"{dist_info}/RECORD"] = "".join([*rows, f"{dist_info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, data in files.items():
            archive.writestr(zipfile.ZipInfo(member), data, zipfile.ZIP_DEFLATED, 1)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def pins(wheels: Path) -> str:
    """The wheels as lines of a requirements.txt."""
    return "".join("{}=={}\n".format(*path.name.split("-")[:2]) for path in sorted(wheels.glob("*.whl")))


def peers_base(work: Path) -> Path:
    """A tar of Debian 12 with Python and pip: what a Dockerfile's FROM is. Raises Failed."""
    tar = work / "peers-base.tar"
    if not tar.is_file():
        half = tar.with_suffix(".half.tar")
        packages = "--include=python3.11,python3-pip,python-is-python3,ca-certificates"
        run("mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", half)
        half.rename(tar)
    return tar


def changed_base(tar: Path) -> Path:
    """The same base with one file more: the base has moved."""
    changed = tar.with_name("peers-base-moved.tar")
    shutil.copy(tar, changed)
    with tarfile.open(changed, "a") as archive:
        info = tarfile.TarInfo("etc/moved")
        archive.addfile(info)
    return changed


def oci_layout(tar: Path, into: Path) -> str:
    """The base as an OCI image layout, which BuildKit and buildah read; returns the manifest's digest."""
    blobs = into / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    plain = tar.read_bytes()

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = put(gzip.compress(plain, 1, mtime=0), "layer.v1.tar+gzip")
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    top = put(json.dumps({**manifest, "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
    (into / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    tagged = {**top, "annotations": {"org.opencontainers.image.ref.name": "base"}}
    (into / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged]}))
    return str(top["digest"])
