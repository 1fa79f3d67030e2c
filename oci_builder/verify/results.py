"""What a check of images found, as values."""

from __future__ import annotations

from dataclasses import dataclass

from oci_builder.digest import Digest
from oci_builder.wording import counted


@dataclass(frozen=True, slots=True)
class CheckedLayer:
    """What a layer turned out to be: the digest and size (bytes) of its blob, its diff ID, its number of paths.

    ``diff_id`` is None where the blob could not be unpacked.
    """

    digest: Digest
    size: int
    diff_id: Digest | None
    entries: int


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """One image: ``id`` is the digest of its configuration, ``digest`` that of its manifest; computed, not quoted.

    Each is None where there is none that reads.
    """

    id: Digest | None
    digest: Digest | None
    platform: str
    layers: tuple[CheckedLayer, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What images there are and what is wrong with them; nothing is, if ``findings`` is empty.

    ``remarks`` is what is seldom meant, and wrong for nobody.
    """

    images: tuple[CheckedImage, ...]
    findings: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        images, findings = counted(len(self.images), "image"), counted(len(self.findings), "finding")
        return f"Report({images}, {findings}, {counted(len(self.remarks), 'remark')})"

    @property
    def image_id(self) -> Digest | None:
        """The digest of the first image's configuration."""
        return self.images[0].id if self.images else None

    @property
    def manifest_digest(self) -> Digest | None:
        """The digest of the first image's manifest; None in a docker archive without one."""
        return self.images[0].digest if self.images else None

    @property
    def layers(self) -> tuple[CheckedLayer, ...]:
        """The first image's layers, oldest first."""
        return self.images[0].layers if self.images else ()
