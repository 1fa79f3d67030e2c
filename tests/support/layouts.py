"""OCI image layouts of several images, and with what is beside images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oci_builder.oci.mediatypes import INDEX
from tests.support.imported import blobs_of


def save_several(
    folder: Path,
    layer: bytes,
    images: Sequence[Mapping[str, Any]],
    *,
    nested: bool = True,
    without: Sequence[int] = (),
    more: Mapping[str, bytes] | None = None,
    also: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """A layout with an image of ``layer`` for each configuration, in an index of its own where ``nested``."""
    kept: dict[str, bytes] = dict(more or {})
    listed: list[Mapping[str, Any]] = []
    for number, config in enumerate(images):
        made, descriptor, _ = blobs_of([layer], config)
        kept |= made if number not in without else {}
        listed.append({**descriptor, "platform": {"os": "linux", "architecture": config["architecture"]}})
    listed += also
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    if nested:
        raw = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        kept[digest] = raw
        document = {**document, "manifests": [{"mediaType": INDEX, "digest": digest, "size": len(raw)}]}
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for digest, blob in kept.items():
        (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(blob)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps(document))
    return folder
