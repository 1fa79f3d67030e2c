"""An image made elsewhere as a value: its documents checked, its layers read, the tree a container would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.imported.documents import as_object, as_strings, bad_times
from oci_builder.imported.layers import LayerDescription, open_layer
from oci_builder.imported.merging import merged
from oci_builder.imported.parts import MAX_LAYERS, ImageParts, open_parts
from oci_builder.layer import Layer
from oci_builder.oci.inherited import Inherited, inherit
from oci_builder.oci.jsonio import JSON, decode
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.limits import Budget, Limits
from oci_builder.tree.tree import Tree
from oci_builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class ForeignImage:
    """An image whose layers are in the store. ``digest`` is its manifest's, or its configuration's without one."""

    name: str
    digest: Digest
    inherited: Inherited
    layers: tuple[Layer, ...]
    tree: Tree


@dataclass(frozen=True, kw_only=True)
class ImageDescription:
    """What the configuration of an image says of its layers, checked; oldest first."""

    config: JSON
    layers: tuple[LayerDescription, ...]


def open_file(
    path: Path, platform: Platform, *, store: Store, reporter: Reporter, limits: Limits | None = None
) -> ForeignImage:
    """The image for ``platform`` in an archive or an OCI layout folder; its layers are in the store afterwards.

    Raises UnsupportedImage, DigestMismatch, FileProblem.
    """
    with open_parts(path, platform=platform) as parts:
        return open_image(parts, platform, store=store, reporter=reporter, limits=limits)


def open_image(
    parts: ImageParts,
    platform: Platform,
    *,
    known: Mapping[int, Layer] = MappingProxyType({}),
    store: Store,
    reporter: Reporter,
    limits: Limits | None = None,
) -> ForeignImage:
    """The image in ``parts``, wherever they come from; layers that are ``known``, by number, are not opened.

    Raises UnsupportedImage, DigestMismatch.
    """
    described = describe(parts.config, platform, layers=len(parts.layers), what=parts.name)
    opened = []
    budget = Budget(limits)
    for blob, named in zip(parts.layers, described.layers, strict=True):
        opened.append(known.get(named.number) or open_layer(blob, named, store, budget))
        reporter.advance(f"layer {named.number} of {parts.name}", named.number, len(described.layers))
    return ForeignImage(
        name=parts.name,
        digest=Digest.of(parts.manifest if parts.manifest is not None else parts.config),
        inherited=inherit(described.config, layers=len(opened), what=parts.name),
        layers=tuple(opened),
        tree=merged(opened, store),
    )


def describe(config: bytes, platform: Platform, *, layers: int, what: str) -> ImageDescription:
    """What a configuration says of so many layers. Raises UnsupportedImage where it is of another image or platform."""
    if layers > MAX_LAYERS:
        raise UnsupportedImage(what, f"{layers} layers, and Docker mounts {MAX_LAYERS} at most")
    document = decode(config, what=f"{what}: configuration")
    found = _platform(document)
    if found != platform:
        raise UnsupportedImage(what, f"it is an image for {found or 'no platform ocibuild knows'}, not for {platform}")
    if wrong := next(bad_times(document), ""):
        raise UnsupportedImage(what, f"its configuration does not read: {wrong}")
    diff_ids = as_strings(as_object(document.get("rootfs")).get("diff_ids"))
    if len(diff_ids) != layers:
        raise UnsupportedImage(what, f"its configuration names {counted(len(diff_ids), 'layer')}, and it has {layers}")
    steps = _steps(document)
    named = [
        LayerDescription(image=what, number=number, diff_id=_digest(text, what), created_by=_nth(steps, number))
        for number, text in enumerate(diff_ids, 1)
    ]
    return ImageDescription(config=document, layers=tuple(named))


def _platform(document: Mapping[str, object]) -> Platform | None:
    parts = [document.get(key) for key in ("os", "architecture", "variant")]
    try:
        return Platform.parse("/".join(part for part in parts if isinstance(part, str) and part))
    except InvalidValue:
        return None


def _digest(text: str, what: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidValue as error:
        raise UnsupportedImage(what, f"a diff ID that is none: {error}") from error


def _steps(document: Mapping[str, object]) -> list[str]:
    history = document.get("history")
    steps = [as_object(step) for step in history] if isinstance(history, list) else []
    return [str(step.get("created_by", "")) for step in steps if step.get("empty_layer") is not True]


def _nth(texts: Sequence[str], number: int) -> str:
    return texts[number - 1] if number <= len(texts) else ""
