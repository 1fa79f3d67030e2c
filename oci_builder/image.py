"""An image as an immutable value; every document is derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.layer import Layer
from oci_builder.oci.documents import Descriptor, RunConfig, rfc3339
from oci_builder.oci.inherited import Inherited
from oci_builder.oci.jsonio import JSON, encode
from oci_builder.oci.mediatypes import CONFIG, MANIFEST
from oci_builder.platforms import Platform
from oci_builder.wording import counted

MAX_LAYERS = 125
"""Docker's graph drivers refuse to mount more."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """Layers, oldest first, and how to run them. ``created`` is in seconds since 1970.

    ``inherited`` is what the image made elsewhere said of itself that the first layers are from.
    """

    platform: Platform
    run: RunConfig
    created: int
    layers: tuple[Layer, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    inherited: Inherited | None = None

    def __repr__(self) -> str:
        return f"Image({self.platform}, {counted(len(self.layers), 'layer')}, {self.id})"

    def append(self, *layers: Layer) -> Image:
        """The image with ``layers`` on top. Raises UnsupportedImage past the 125 that Docker mounts."""
        together = (*self.layers, *layers)
        if len(together) > MAX_LAYERS:
            raise UnsupportedImage(
                "the image",
                f"{len(together)} layers, and Docker mounts {MAX_LAYERS} at most",
                hint="lower [layering] budget in image.toml",
            )
        return replace(self, layers=together)

    def with_run(self, run: RunConfig) -> Image:
        """The image, run in another way."""
        return replace(self, run=run)

    # These four are asked for again and again, and long in the making where an image has many labels. They may be kept
    # because nothing that they come from can change: ``replace`` makes another image, which has none of them yet.
    @cached_property
    def config(self) -> bytes:
        """The image configuration (config.md), as bytes."""
        base = self.inherited
        document: JSON = {
            **(base.rest if base else {}),
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "created": rfc3339(self.created),
            "config": {**(base.run_rest if base else {}), **self.run.to_json()},
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in self.layers]},
            "history": [
                *(base.history if base else ()),
                *(self._history(layer) for layer in self.layers[base.layers if base else 0 :]),
            ],
        }
        if self.platform.variant:
            document["variant"] = self.platform.variant
        return encode(document)

    @cached_property
    def manifest(self) -> bytes:
        """The image manifest (manifest.md), as bytes."""
        document: JSON = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config_descriptor.to_json(),
            "layers": [layer.descriptor.to_json() for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return encode(document)

    @property
    def config_descriptor(self) -> Descriptor:
        """What names the configuration."""
        return Descriptor(media_type=CONFIG, digest=self.id, size=len(self.config))

    @property
    def descriptor(self) -> Descriptor:
        """What names the manifest, and so the image."""
        return Descriptor(media_type=MANIFEST, digest=self.digest, size=len(self.manifest))

    @cached_property
    def id(self) -> Digest:
        """The digest of the configuration: the image ID of docker's graph drivers and of podman."""
        return Digest.of(self.config)

    @cached_property
    def digest(self) -> Digest:
        """The digest of the manifest: the image ID of containerd, and what a registry calls it."""
        return Digest.of(self.manifest)

    def _history(self, layer: Layer) -> JSON:
        step: JSON = {"created": rfc3339(self.created), "created_by": layer.created_by}
        return {**step, "comment": layer.comment} if layer.comment else step
