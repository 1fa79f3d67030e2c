"""Names in an OCI image layout (image-layout.md), and the annotations that call an image by its name."""

from __future__ import annotations

from oci_builder.digest import Digest

BLOBS = "blobs/sha256/"

CONTAINERD_NAME = "io.containerd.image.name"
"""containerd's own annotation: the full reference. A short name would make an image that no command can name."""

REF_NAME = "org.opencontainers.image.ref.name"
"""The OCI layout's annotation (annotations.md): here the tag alone, which skopeo and umoci select by."""

UPDATE_OF = "dev.ocibuild.update-of"
"""The annotation, in the index of a layout that leaves out what a registry has, of the image that it has."""

COPIED_FROM = "dev.ocibuild.copied-from"
"""The label that names the images of registries that files were taken out of, with their digests, blanks between."""


def blob_path(digest: Digest) -> str:
    """The name of a blob in an OCI layout."""
    return f"{BLOBS}{digest.hex}"
