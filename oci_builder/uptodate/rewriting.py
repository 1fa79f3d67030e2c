"""Writing images' files again where only those are missing: from what is remembered of the images, making nothing.

Imports little, as ``memory`` does. Every layer is verified on its way into a file; the rest is small, and holds what
the layers' and the configuration's digests were when it was remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, InvalidValue, UnsupportedImage
from oci_builder.export import docker_archive
from oci_builder.oci.manifest import GivenImage, Manifest, parse_manifest, platform_of
from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.reference import Reference

if TYPE_CHECKING:
    from oci_builder.reporter import Reporter
    from oci_builder.store import Store
    from oci_builder.uptodate.memory import RememberedFile


def write_again(files: Sequence[RememberedFile], store: Store, reporter: Reporter) -> bool:
    """Write ``files``; False where they have to be built: the store does not have all of them any more.

    Raises FileProblem.
    """
    images = [_image(file) for file in files]
    if not all(_is_writable(image, Path(file.file), store) for image, file in zip(images, files, strict=True)):
        return False
    try:
        with reporter.stage("write"):
            for image, file in zip(images, files, strict=True):
                references = [Reference.parse(text) for text in file.references]
                if image is not None:
                    docker_archive.write_file(
                        image, Path(file.file), references=references, store=store, reporter=reporter
                    )
    except CorruptBlob:
        return False  # whoever found it has dropped it, and a build makes it anew
    return True


def _is_writable(image: GivenImage | None, path: Path, store: Store) -> bool:
    if image is None or path.is_dir() or not path.parent.is_dir():
        return False
    return all(store.has(layer.descriptor.digest, layer.descriptor.size) for layer in image.layers)


def _image(file: RememberedFile) -> GivenImage | None:
    """The image as it was remembered, if that holds together."""
    config = file.config.encode()
    try:
        parsed = parse_manifest(file.manifest.encode(), media_type=MANIFEST, what="the remembered manifest")
        if not isinstance(parsed, Manifest) or parsed.config.digest != Digest.of(config):
            return None
        return GivenImage(platform=platform_of(config, what="the remembered image"), parsed=parsed, config=config)
    except (UnsupportedImage, InvalidValue):
        return None
