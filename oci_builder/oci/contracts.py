"""What exporting and pushing ask of an image and of whoever holds its bytes, wherever either comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from oci_builder.digest import Digest
from oci_builder.oci.documents import Descriptor
from oci_builder.platforms import Platform


class HasDescriptor(Protocol):
    """Whatever is kept as a blob: a layer made here, or one known by name alone."""

    @property
    def descriptor(self) -> Descriptor:
        """What names the blob."""


class ImageDocuments(Protocol):
    """An image as exporting and pushing need it: made here (``image.Image``) or elsewhere (``GivenImage``)."""

    @property
    def platform(self) -> Platform:
        """What it runs on."""

    @property
    def config(self) -> bytes:
        """The configuration's bytes."""

    @property
    def config_descriptor(self) -> Descriptor:
        """What names the configuration."""

    @property
    def manifest(self) -> bytes:
        """The manifest's bytes."""

    @property
    def descriptor(self) -> Descriptor:
        """What names the manifest."""

    @property
    def id(self) -> Digest:
        """The digest of the configuration."""

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""

    @property
    def layers(self) -> Sequence[HasDescriptor]:
        """The layers, oldest first."""


class Blobs(Protocol):
    """Where the bytes of blobs are; a Store is one."""

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the blob is here, of ``size`` bytes if that is known."""

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        """Its bytes; at their end they have been verified. Raises DigestMismatch."""
