"""What a target has: the image that an update stands on, known whole, or only by what its engine says of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.bounded import load_json
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.files import explained, open_regular
from oci_builder.image import MAX_LAYERS
from oci_builder.imported.documents import as_object, as_strings
from oci_builder.imported.parts import ImageParts, LayerBlob
from oci_builder.oci.jsonio import MAX_DOCUMENT, decode
from oci_builder.oci.manifest import platform_of
from oci_builder.updates.words import PATCH

_HINT = "it is what `docker image inspect IMAGE` or `mypy_load.sh --receipt` prints"
_START = (b"{", b"[")


@dataclass(frozen=True, kw_only=True)
class TargetImage:
    """The old image. ``id`` is what the engine calls it, as far as that is known.

    ``blobs`` are its layers as they are stored, none where only their diff IDs are known; ``history`` is that of its
    configuration, empty where it does not pair with the layers.
    """

    name: str
    id: str
    platform: str
    diff_ids: tuple[Digest, ...]
    blobs: tuple[LayerBlob, ...] = ()
    history: tuple[Mapping[str, object], ...] = ()

    @property
    def patches(self) -> int:
        """Bytes of the patches among its layers; 0 where their sizes are not known."""
        steps = [step for step in self.history if step.get("empty_layer") is not True]
        named = zip(self.blobs, steps, strict=False)
        return sum(blob.size for blob, step in named if str(step.get("created_by", "")).startswith(PATCH))


def target_of(parts: ImageParts) -> TargetImage:
    """An image as a target that has it. Raises UnsupportedImage."""
    config = decode(parts.config, what=f"{parts.name}: configuration")
    diff_ids = _digests(as_object(config.get("rootfs")).get("diff_ids"), parts.name)
    if len(diff_ids) != len(parts.layers):
        why = f"its configuration names {len(diff_ids)} layers, and it has {len(parts.layers)}"
        raise UnsupportedImage(parts.name, why)
    history = config.get("history")
    steps = tuple(as_object(step) for step in history) if isinstance(history, list) else ()
    pairs = sum(step.get("empty_layer") is not True for step in steps) == len(diff_ids)
    return TargetImage(
        name=parts.name,
        id=str(Digest.of(parts.config)),
        platform=str(platform_of(parts.config, what=parts.name)),
        diff_ids=diff_ids,
        blobs=parts.layers,
        history=steps if pairs else (),
    )


def is_receipt(path: Path) -> bool:
    """Whether a file is JSON, and so what an engine says of an image and no image. Raises FileProblem."""
    if path.is_dir():
        return False
    with explained(path), open_regular(path) as stream:
        return stream.read(64).lstrip()[:1] in _START


def read_receipt(path: Path) -> TargetImage:
    """What an engine says of an image: its ID and diff IDs. Raises UnsupportedImage, FileProblem."""
    with explained(path), open_regular(path) as stream:
        data = stream.read(MAX_DOCUMENT + 1)
    name = str(path)
    if len(data) > MAX_DOCUMENT:
        raise UnsupportedImage(name, f"more than {MAX_DOCUMENT} bytes", hint=_HINT)
    try:
        document = load_json(data)
    except ValueError as error:
        raise UnsupportedImage(name, f"not valid JSON: {error}", hint=_HINT) from error
    if isinstance(document, list):
        if len(document) != 1:
            raise UnsupportedImage(name, f"it tells of {len(document)} images, and one is updated", hint=_HINT)
        document = document[0]
    said = as_object(document)
    layers = as_object(said.get("RootFS")).get("Layers")
    if not isinstance(layers, list) or not layers:
        raise UnsupportedImage(name, "it names no layers (RootFS.Layers)", hint=_HINT)
    words = (said.get(key) for key in ("Os", "Architecture", "Variant"))
    found = str(said.get("Id") or "")
    return TargetImage(
        name=name,
        id=found if ":" in found or not found else f"sha256:{found}",
        platform="/".join(word for word in words if isinstance(word, str) and word),
        diff_ids=_digests(layers, name),
    )


def _digests(values: object, what: str) -> tuple[Digest, ...]:
    texts = as_strings(values)
    if len(texts) > MAX_LAYERS:
        raise UnsupportedImage(what, f"{len(texts)} layers, and Docker mounts {MAX_LAYERS} at most")
    try:
        return tuple(Digest.parse(text) for text in texts)
    except InvalidValue as error:
        raise UnsupportedImage(what, f"a diff ID that is none: {error}") from error


def common_layers(old: Sequence[Digest], new: Sequence[Digest]) -> int:
    """How many layers, from the lowest on, two images have in common: what a graph driver knows of one it has."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
    return sum(1 for _ in pairs)
