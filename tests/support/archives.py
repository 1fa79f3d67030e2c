"""Image files made by hand, wrong in whatever way a test asks for."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_builder.digest import Digest
from oci_builder.oci.mediatypes import CONFIG, INDEX, LAYER_GZIP, MANIFEST

Json = Any
"""Documents that tests change in place."""


def member(
    name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", data: bytes = b"", **fields: Json
) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member; ``fields`` are those of TarInfo."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def folder(name: str, **fields: Json) -> tuple[tarfile.TarInfo, bytes]:
    """A directory member."""
    return member(name, tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def make_tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT, **options: Json) -> bytes:
    """The members as a tar; ``options`` are those of ``tarfile.open``."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form, **options) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return raw.getvalue()


@dataclass
class HandMade:
    """The parts of an image file, right until a test changes one; ``write`` then names them by their digests."""

    layers: Sequence[bytes]
    media_type: str = LAYER_GZIP
    behind_gzip: bytes = b""
    change_config: Callable[[Json], None] = lambda document: None
    change_manifest: Callable[[Json], None] = lambda document: None
    change_index: Callable[[Json], None] = lambda document: None
    change_docker: Callable[[Json], None] = lambda document: None
    extra: Mapping[str, bytes] = field(default_factory=dict)
    without: Sequence[str] = ()

    def write(self, path: Path) -> Path:
        """Write the file to ``path``; layers are compressed here unless they are already."""
        blobs: dict[str, bytes] = {}
        packed = [blob if blob[:2] == b"\x1f\x8b" else gzip.compress(blob, mtime=0) for blob in self.layers]
        layers = [_keep(blob + self.behind_gzip, self.media_type, blobs) for blob in packed]
        config = self._config(packed)
        self.change_config(config)
        manifest: Json = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _keep(_json(config), CONFIG, blobs)}
        manifest["layers"] = layers
        docker: Json = [{"Config": _path(manifest["config"]), "RepoTags": ["x:1"], "Layers": [*map(_path, layers)]}]
        self.change_manifest(manifest)
        named = _keep(_json(manifest), MANIFEST, blobs)
        named["annotations"] = {
            "io.containerd.image.name": "docker.io/library/x:1",
            "org.opencontainers.image.ref.name": "1",
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
        self.change_index(index)
        self.change_docker(docker)
        files = {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": _json(index),
            "manifest.json": _json(docker),
            **blobs,
            **self.extra,
        }
        path.write_bytes(make_tar(*(member(name, data=files[name]) for name in files if name not in self.without)))
        return path

    def _config(self, packed: Sequence[bytes]) -> dict[str, Json]:
        diff_ids = [str(Digest.of(gzip.decompress(blob))) for blob in packed]
        return {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "a test"} for _ in packed],
        }


def _keep(data: bytes, media_type: str, blobs: dict[str, bytes]) -> dict[str, Json]:
    digest = Digest.of(data)
    blobs[f"blobs/sha256/{digest.hex}"] = data
    return {"mediaType": media_type, "digest": str(digest), "size": len(data)}


def _path(descriptor: Mapping[str, Json]) -> str:
    return f"blobs/sha256/{Digest.parse(descriptor['digest']).hex}"


def _json(document: Json) -> bytes:
    return json.dumps(document).encode()
