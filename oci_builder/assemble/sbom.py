"""Bills of materials: of what was built just now, of what is being pushed, and beside images in registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from oci_builder.assemble.build import Built
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.files import explained, open_regular
from oci_builder.inspect.built import contents_of
from oci_builder.inspect.packages import inventory
from oci_builder.inspect.reading import read_image
from oci_builder.oci.contracts import ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import decode
from oci_builder.outputs import atomic
from oci_builder.reference import Reference
from oci_builder.registry.referrers import Artifact, Attached, attach
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Reporter
from oci_builder.sbom import MEDIA_TYPES, SUFFIXES, Format, bill_of_materials, format_of
from oci_builder.store import Store
from oci_builder.version import __version__

_MARKS: Mapping[Format, str] = {"cyclonedx": "bomFormat", "spdx": "spdxVersion"}
"""A key that every document of a format has."""

_MAX_BILL = 256 << 20
"""Bytes of a bill that somebody else wrote."""


def write_bill(built: Built, path: Path, *, references: Sequence[Reference], store: Store) -> None:
    """Write what ``built`` is made of to ``path``, whose suffix says the format; wheels with their digests.

    Raises InvalidValue for another suffix, UnsupportedImage, CorruptBlob, FileProblem.
    """
    data = make_bill(built, format_of(path), references=references, store=store)
    with atomic(path, follow=True) as sink:
        sink.write(data)


def make_bill(built: Built, form: Format, *, references: Sequence[Reference], store: Store) -> bytes:
    """What ``built`` is made of; wheels with their digests. Raises UnsupportedImage, CorruptBlob."""
    contents = contents_of(built.image, store, name="image", references=[str(reference) for reference in references])
    wheels = {(pin.name, pin.version): pin.sha256.hex for pin in built.wheels}
    return bill_of_materials(inventory(contents), form, tool_version=__version__, wheels=wheels)


def bill_of_file(path: Path, image: ImageDocuments, form: Format, *, several: bool) -> bytes:
    """What an image in a file or folder is made of, as it is named in a registry. Raises as ``read_image``."""
    contents = read_image(path, platform=image.platform if several else None)
    # What a docker archive has no manifest for gets one on its way to the registry.
    named = replace(contents, manifest_digest=image.digest)
    return bill_of_materials(inventory(named), form, tool_version=__version__)


def load_bill(path: Path) -> bytes:
    """A bill that was written before, as it is. Raises InvalidValue where it is not of the format its name says."""
    form = format_of(path)
    with explained(path), open_regular(path) as stream:
        data = stream.read(_MAX_BILL)
    try:
        known = _MARKS[form] in decode(data, what=str(path))
    except UnsupportedImage:
        known = False
    if not known:
        raise InvalidValue("bill of materials", path.name, f"its name says {form}, and it holds something else")
    return data


def attach_bills(
    bills: Sequence[tuple[ImageDocuments, bytes]],
    form: Format,
    references: Sequence[Reference],
    registries: Registries,
    *,
    reporter: Reporter,
) -> tuple[Attached, ...]:
    """Have every repository of ``references`` hold the bill of each image, found from the image by its digest.

    The images are there. Raises what ``registry.referrers.attach`` raises.
    """
    repositories = dict.fromkeys(replace(reference, tag="") for reference in references)
    with reporter.stage("attach"):
        return tuple(
            attach(_artifact(image, data, form), _subject(image), repository, registries, reporter=reporter)
            for repository in repositories
            for image, data in bills
        )


def _artifact(image: ImageDocuments, data: bytes, form: Format) -> Artifact:
    created = decode(image.config, what="configuration").get("created")
    # The image's date, never the clock's: the same image has the same bill under the same digest.
    annotations = {"org.opencontainers.image.created": created} if isinstance(created, str) else {}
    return Artifact(media_type=MEDIA_TYPES[form], data=data, title=f"sbom{SUFFIXES[form]}", annotations=annotations)


def _subject(image: ImageDocuments) -> Descriptor:
    return Descriptor(media_type=image.descriptor.media_type, digest=image.digest, size=image.descriptor.size)
