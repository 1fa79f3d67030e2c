"""Writing an image's file again where only that is missing: from what is remembered of the image, making nothing.

Imports little, as ``unchanged`` does. Every layer is verified on its way into the file; the rest is small, and holds
what the layers' and the configuration's digests were when it was remembered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder.cli.progress import shown
from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, InvalidValue, UnsupportedImage
from oci_builder.export import docker_archive
from oci_builder.oci.manifest import GivenImage, Manifest, parse_manifest, platform_of
from oci_builder.oci.mediatypes import MANIFEST
from oci_builder.reference import Reference

if TYPE_CHECKING:
    from oci_builder.cli.settings import Settings
    from oci_builder.cli.unchanged import PreviousBuild
    from oci_builder.store import Store


def write_again(before: PreviousBuild, settings: Settings, store: Store) -> dict[str, float] | None:
    """Write the file that ``before`` tells of; gives the seconds it took, as a build does.

    None where it has to be built: the store does not have all of it any more. Raises FileProblem.
    """
    image = _image(before)
    path = Path(before.document["file"])
    if image is None or path.is_dir() or not path.parent.is_dir():
        return None
    if not all(store.has(layer.descriptor.digest, layer.descriptor.size) for layer in image.layers):
        return None
    references = [Reference.parse(text) for text in before.references]
    try:
        with shown(settings) as reporter:
            for line in before.notes:
                reporter.note(line)
            with reporter.stage("write"):
                docker_archive.write_file(image, path, references=references, store=store, reporter=reporter)
            return reporter.lap()
    except CorruptBlob:
        return None  # whoever found it has dropped it, and a build makes it anew


def _image(before: PreviousBuild) -> GivenImage | None:
    """The image as it was remembered, if that holds together."""
    config = before.config.encode()
    try:
        parsed = parse_manifest(before.manifest.encode(), media_type=MANIFEST, what="the remembered manifest")
        if not isinstance(parsed, Manifest) or parsed.config.digest != Digest.of(config):
            return None
        return GivenImage(platform=platform_of(config, what="the remembered image"), parsed=parsed, config=config)
    except (UnsupportedImage, InvalidValue):
        return None
