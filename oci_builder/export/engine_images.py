"""What an engine says of the images it has: asked through its command line, as anybody could ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from oci_builder.bounded import load_json
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.export.loading import Engine, answer

StoreKind = Literal["graph", "containerd", "podman", "unknown"]
"""What an engine keeps layers in: it knows one again by its chain, by its bytes, or by what it unpacks to."""

_CONTAINERD = b"io.containerd.snapshotter"
_RECENT = 50
"""Images that are asked for at most: of so many layers as there can be, they are told in less than a megabyte."""


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image as its engine knows it.

    ``id`` is the digest of its configuration, or in containerd's store of its manifest; ``diff_ids`` are its layers.
    """

    id: Digest
    diff_ids: tuple[Digest, ...]


def store_kind(engine: Engine, environ: Mapping[str, str]) -> StoreKind:
    """What the engine keeps layers in; "unknown" where it does not say."""
    if engine.name == "podman":
        return "podman"
    said = answer(engine, environ, "info", "--format", "{{json .DriverStatus}}")
    if not isinstance(_read(said), list):
        return "unknown"  # podman under docker's name, among others
    return "containerd" if _CONTAINERD in (said or b"") else "graph"


def inspect_images(engine: Engine, names: Sequence[str], environ: Mapping[str, str]) -> tuple[EngineImage, ...]:
    """Those of the images that the engine has, in order; none where it says nothing that could be read."""
    # An image that is not there is an error to docker, which names the others all the same.
    found = _read(answer(engine, environ, "image", "inspect", *names, fails=True)) if names else None
    return tuple(_images(found)) if isinstance(found, list) else ()


def recent_images(engine: Engine, environ: Mapping[str, str]) -> tuple[EngineImage, ...]:
    """The images that the engine got last, whatever they are called."""
    said = answer(engine, environ, "image", "ls", "--quiet", "--no-trunc") or b""
    ids = dict.fromkeys(word for word in said.decode("utf-8", "replace").split() if _digest(word) is not None)
    return inspect_images(engine, list(ids)[:_RECENT], environ)


def _read(said: bytes | None) -> object:
    try:
        return load_json(said or b"null")
    except ValueError:
        return None


def _images(found: Sequence[object]) -> Iterator[EngineImage]:
    for value in found:
        said = value if isinstance(value, dict) else {}
        rootfs = said.get("RootFS")
        layers = rootfs.get("Layers") if isinstance(rootfs, dict) else None
        # An image of no layers has null there.
        diff_ids = [_digest(text) for text in layers] if isinstance(layers, list) else []
        known = [each for each in diff_ids if each is not None]
        image = _digest(said.get("Id"))
        if image is not None and len(known) == len(diff_ids):
            yield EngineImage(image, tuple(known))


def _digest(value: object) -> Digest | None:
    """What docker writes with its algorithm, and podman without."""
    text = value if isinstance(value, str) else ""
    try:
        return Digest.parse(text if text.startswith("sha256:") else f"sha256:{text}")
    except InvalidValue:
        return None
