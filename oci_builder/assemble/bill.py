"""The bill of materials of an image that was built just now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oci_builder import __version__
from oci_builder.assemble.build import Built
from oci_builder.check.packages import inventory
from oci_builder.check.reading import contents_of
from oci_builder.check.sbom import bill_of_materials, format_of
from oci_builder.reference import Reference
from oci_builder.store import Store, atomic


def write_bill(built: Built, path: Path, *, references: Sequence[Reference], store: Store) -> None:
    """Write what ``built`` is made of to ``path``, whose suffix says the format; wheels with their digests.

    Raises InvalidValue for another suffix, UnsupportedImage, CorruptBlob, FileProblem.
    """
    form = format_of(path)
    names = [str(reference) for reference in references]
    contents = contents_of(built.image, store, name=path.name, references=names)
    wheels = {(pin.name, pin.version): pin.sha256.hex for pin in built.wheels}
    data = bill_of_materials(inventory(contents), form, tool_version=__version__, wheels=wheels)
    with atomic(path) as sink:
        sink.write(data)
