"""Images as other tools make them: small root filesystems with a Python to be found, saved in every form there is."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

from oci_builder.oci.mediatypes import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    LAYER_GZIP,
    LAYER_ZSTD,
    MANIFEST,
)
from tests.support.archives import folder, make_tar, member

Member = tuple[tarfile.TarInfo, bytes]

GLIBC = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u9) stable release version 2.36.\nCopyright\0"
MUSL = b"\0musl libc (x86_64)\nVersion %s\n\0\x001.2.5\0usage\0"


def files(*members: Member | tuple[str, bytes] | tuple[str, str]) -> list[Member]:
    """Members with all their folders: ``(path, bytes)`` is a file, ``(path, text)`` a symbolic link to ``text``."""
    out: dict[str, Member] = {}
    for item in members:
        made = _member(item)
        parts = made[0].name.split("/")
        for end in range(1, len(parts)):
            name = "/".join(parts[:end])
            out.setdefault(name, folder(name, mtime=7))
        out[made[0].name] = made
    return list(out.values())


def _member(item: Member | tuple[str, bytes] | tuple[str, str]) -> Member:
    name, content = item
    if isinstance(name, tarfile.TarInfo):
        assert isinstance(content, bytes)
        return name, content
    if isinstance(content, bytes):
        return member(name, data=content, mode=0o755, mtime=7)
    return member(name, tarfile.SYMTYPE, target=content, mtime=7)


def docker_python(version: str = "3.11.9", *, machine: str = "x86_64", glibc: str = "2.36") -> list[Member]:
    """Like docker.io's python image: built from source below /usr/local, on Debian, which has a Python of its own."""
    minor = version.rpartition(".")[0]
    return files(
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        (f"usr/lib/{machine}-linux-gnu/libc.so.6", GLIBC.replace(b"2.36", glibc.encode())),
        ("usr/bin/python3.9", b"\x003.9.2\0"),
        ("usr/bin/python3", "python3.9"),
        ("usr/lib/python3.9/os.py", b""),
        (f"usr/local/bin/python{minor}", b"loads its library"),
        ("usr/local/bin/python3", f"python{minor}"),
        ("usr/local/bin/python", "python3"),
        (f"usr/local/lib/libpython{minor}.so.1.0", b"\x7fELF...\0" + version.encode() + b"\0"),
        (f"usr/local/lib/python{minor}/os.py", b"import sys\n"),
        (f"usr/local/lib/python{minor}/site-packages/README.txt", b""),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\napp:x:1500:1600::/app:/bin/sh\n"),
        ("etc/group", b"root:x:0:\nteam:x:1600:\n"),
    )


def debian_python() -> list[Member]:
    """Like Debian 12 with its package python3, which installs below /usr/local into dist-packages."""
    status = b"Package: libpython3.11-minimal\nStatus: install ok\nVersion: 3.11.2-6+deb12u6\n\n"
    return files(
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("usr/lib/x86_64-linux-gnu/libc.so.6", GLIBC),
        ("usr/bin/python3.11", b"nothing that tells its version"),
        ("usr/bin/python3", "python3.11"),
        ("usr/lib/python3.11/os.py", b""),
        ("usr/lib/python3/dist-packages/README", b""),
        ("var/lib/dpkg/status", status),
    )


def alpine_python() -> list[Member]:
    """Like Alpine with its package python3: musl, and everything below /usr."""
    return files(
        ("lib/ld-musl-x86_64.so.1", MUSL),
        ("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1"),
        ("lib/apk/db/installed", b"C:Q1\nP:python3\nV:3.12.8-r1\nA:x86_64\n\nP:musl\nV:1.2.5-r9\n"),
        ("usr/bin/python3.12", b"stub"),
        ("usr/bin/python3", "python3.12"),
        ("usr/lib/python3.12/os.py", b""),
        ("usr/lib/libpython3.12.so.1.0", b"\0other\0"),
    )


def config_of(
    layers: Sequence[bytes], *, run: Mapping[str, Any] | None = None, history: Sequence[Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """The configuration of plain ``layers``, for amd64; ``keys`` go to the top."""
    steps = [{"created_by": f"step {number}"} for number in range(1, len(layers) + 1)] if history is None else history
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    known = {"architecture": "amd64", "os": "linux", "created": "2024-05-06T07:08:09.123Z", "config": run or {}}
    return {**known, "rootfs": rootfs, "history": list(steps), **keys}


def save_like_old_docker(
    path: Path, layers: Sequence[bytes], config: Mapping[str, Any], *, packed: bool = False
) -> Path:
    """What ``docker save`` wrote until version 25: plain layers in folders, a repeated one as a link."""
    data = json.dumps(config).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    members: list[Member] = [member(name, data=data)]
    seen: dict[bytes, str] = {}
    for number, layer in enumerate(layers):
        place = f"{number:064x}"
        members.append(folder(f"{place}/"))
        target = seen.setdefault(layer, place)
        same = target != place
        members.append(
            member(f"{place}/layer.tar", tarfile.SYMTYPE, target=f"../{target}/layer.tar")
            if same
            else member(f"{place}/layer.tar", data=layer)
        )
    entry = {
        "Config": name,
        "RepoTags": ["old:1"],
        "Layers": [f"{number:064x}/layer.tar" for number in range(len(layers))],
    }
    members.append(member("manifest.json", data=json.dumps([entry]).encode()))
    members.append(member("repositories", data=b"{}"))
    tar = make_tar(*members)
    path.write_bytes(gzip.compress(tar, mtime=0) if packed else tar)
    return path


def blobs_of(
    layers: Sequence[bytes], config: Mapping[str, Any], *, docker: bool = False, zstd: bool = False
) -> tuple[dict[str, bytes], dict[str, Any], bytes]:
    """The blobs of an image by digest, the descriptor of its manifest, and the manifest."""
    packed = [zstandard.compress(layer) if zstd else gzip.compress(layer, mtime=0) for layer in layers]
    data = json.dumps(config).encode()
    layer_type = LAYER_ZSTD if zstd else DOCKER_LAYER if docker else LAYER_GZIP
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else MANIFEST,
        "config": _descriptor(data, DOCKER_CONFIG if docker else CONFIG),
        "layers": [_descriptor(layer, layer_type) for layer in packed],
    }
    manifest = json.dumps(document).encode()
    found = {_digest(blob): blob for blob in (data, manifest, *packed)}
    return found, _descriptor(manifest, str(document["mediaType"])), manifest


def save_layout(
    folder: Path,
    layers: Sequence[bytes],
    config: Mapping[str, Any],
    *,
    docker: bool = False,
    zstd: bool = False,
    beside: Sequence[tuple[Sequence[bytes], Mapping[str, Any]]] = (),
) -> Path:
    """An OCI image layout in a folder; with ``docker`` its documents speak Docker's media types.

    Images ``beside`` it, their layers and configurations, are in an index with it.
    """
    blobs, descriptor, _ = blobs_of(layers, config, docker=docker, zstd=zstd)
    if beside:
        others, descriptor, _ = index_of([(layers, config), *beside], docker=docker)
        blobs |= others
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for digest, blob in blobs.items():
        (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(blob)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}))
    return folder


def index_of(
    images: Sequence[tuple[Sequence[bytes], Mapping[str, Any]]], *, docker: bool = False
) -> tuple[dict[str, bytes], dict[str, Any], bytes]:
    """The blobs of images for several platforms, the descriptor of their index, and the index."""
    blobs: dict[str, bytes] = {}
    entries = []
    for layers, config in images:
        found, descriptor, _ = blobs_of(layers, config, docker=docker)
        blobs |= found
        platform = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
        entries.append({**descriptor, "platform": platform})
    document = {"schemaVersion": 2, "mediaType": DOCKER_LIST if docker else INDEX, "manifests": entries}
    raw = json.dumps(document).encode()
    return {**blobs, _digest(raw): raw}, _descriptor(raw, str(document["mediaType"])), raw


def save_like_new_docker(path: Path, layers: Sequence[bytes], config: Mapping[str, Any]) -> Path:
    """What ``docker save`` writes since version 25: an OCI layout in a tar, with manifest.json beside it."""
    blobs, descriptor, manifest = blobs_of(layers, config)
    parts = json.loads(manifest)
    entry = {
        "Config": _place(parts["config"]["digest"]),
        "RepoTags": ["new:1"],
        "Layers": [_place(layer["digest"]) for layer in parts["layers"]],
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}
    documents = {"index.json": index, "manifest.json": [entry], "oci-layout": {"imageLayoutVersion": "1.0.0"}}
    members = [member(_place(digest), data=blob) for digest, blob in blobs.items()]
    members += [member(name, data=json.dumps(document).encode()) for name, document in documents.items()]
    path.write_bytes(make_tar(*members))
    return path


def _place(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
