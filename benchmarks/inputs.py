"""What is built: the reference image's wheels, one of them bumped, and a base for the peers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import Runner

ROOT = Path(__file__).parents[1]
QUICK = ("cycler", "idna", "packaging")
"""The distributions of a quick run."""


def reference_wheels(work: Path, ocibuild: Sequence[str], cache: Path, run: Runner) -> Path:
    """The folder of the wheels that the lock of build/mypy names; packages of its base lie beside it in ``debs``."""
    options: list[str | Path] = ["--platform", "linux/amd64", "--prune", "--cache-dir", cache]
    # Those that are there are looked at only, and what no lock names any more goes.
    run(*ocibuild, "download", "mypy", "--dest", work, *options, cwd=ROOT)
    return work / "wheels"


def linked(wheels: Sequence[Path], into: Path) -> Path:
    """A folder of these wheels, without copying them."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for wheel in wheels:
        os.link(wheel, into / wheel.name)
    return into


def few(wheels: Path, into: Path) -> Path:
    """The wheels of a quick run."""
    return linked([path for path in wheels.glob("*.whl") if path.name.split("-")[0] in QUICK], into)


def bumped(wheels: Path, into: Path) -> tuple[Path, Path]:
    """The same wheels, but for the smallest: that has another version, and so another name and other bytes. Returns
    their folder and the new wheel."""
    pure = [path for path in wheels.glob("*.whl") if path.name.endswith("-none-any.whl")]
    smallest = min(pure, key=lambda path: (path.stat().st_size, path.name))
    linked([path for path in wheels.glob("*.whl") if path != smallest], into)
    name, old = smallest.name.split("-")[:2]
    new = f"{old}.post1"
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(smallest) as archive:
        for member in archive.namelist():
            data = archive.read(member)
            if member.endswith(".dist-info/METADATA"):
                data = re.sub(rb"(?m)^Version: .*$", f"Version: {new}".encode(), data, count=1)
            files[member.replace(f"{name}-{old}.dist-info", f"{name}-{new}.dist-info")] = data
    changed = into / smallest.name.replace(f"-{old}-", f"-{new}-")
    _pack(changed, f"{name}-{new}.dist-info", files)
    return into, changed


def _pack(path: Path, dist_info: str, files: dict[str, bytes]) -> None:
    files.pop(f"{dist_info}/RECORD", None)
    rows = [record_row(member, data) for member, data in files.items()]
    files[f"{dist_info}/RECORD"] = "".join([*rows, f"{dist_info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, data in files.items():
            archive.writestr(zipfile.ZipInfo(member), data, zipfile.ZIP_DEFLATED, 1)


def record_row(member: str, data: bytes) -> str:
    """A line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"{member},sha256={digest},{len(data)}\n"


def pins(wheels: Path) -> str:
    """The wheels of a folder as lines of a requirements.txt."""
    return "".join("{}=={}\n".format(*path.name.split("-")[:2]) for path in sorted(wheels.glob("*.whl")))


def peers_base(work: Path, run: Runner) -> Path:
    """A tar of Debian 12 with Python and pip: what a Dockerfile's FROM is. Raises Failed."""
    tar = work / "peers-base.tar"
    if not tar.is_file():
        half = tar.with_suffix(".half.tar")
        packages = "--include=python3.11,python3-pip,python-is-python3,ca-certificates"
        run("mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", half)
        half.rename(tar)
    return tar


def moved_base(tar: Path) -> Path:
    """The same base with one file more: the base has moved."""
    moved = tar.with_name("peers-base-moved.tar")
    if not moved.is_file():
        half = moved.with_suffix(".half.tar")
        shutil.copy(tar, half)
        with tarfile.open(half, "a") as archive:
            archive.addfile(tarfile.TarInfo("etc/moved"))
        half.rename(moved)
    return moved


def oci_layout(tar: Path) -> Path:
    """The base as an OCI image layout beside it, its image named "base"; the image's digest is in ``digest``."""
    into = tar.with_name(f"layout-{tar.stem}")
    if (into / "digest").is_file():
        return into
    blobs = into / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    plain = tar.read_bytes()

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = put(gzip.compress(plain, 1, mtime=0), "layer.v1.tar+gzip")
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}
    # umoci wants a line of history for each layer.
    described = {"architecture": "amd64", "os": "linux", "rootfs": rootfs, "history": [{"created_by": "mmdebstrap"}]}
    config = put(json.dumps(described).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    top = put(json.dumps({**manifest, "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
    (into / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    tagged = {**top, "annotations": {"org.opencontainers.image.ref.name": "base"}}
    (into / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged]}))
    (into / "digest").write_text(str(top["digest"]))
    return into


def size_of(made: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if made.is_file():
        return made.stat().st_size
    return sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
