"""A bill of materials as bytes; the same image gives the same bytes, whenever and wherever."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from oci_builder.errors import InvalidValue
from oci_builder.inspect.packages import Inventory
from oci_builder.sbom import parts

Format = Literal["cyclonedx", "spdx"]
SUFFIXES: Mapping[Format, str] = {"cyclonedx": ".cdx.json", "spdx": ".spdx.json"}
MEDIA_TYPES: Mapping[Format, str] = {"cyclonedx": "application/vnd.cyclonedx+json", "spdx": "application/spdx+json"}


def format_of(path: Path) -> Format:
    """The format that a file name asks for: ``.cdx.json`` or ``.spdx.json``. Raises InvalidValue."""
    for form, suffix in SUFFIXES.items():
        if path.name.endswith(suffix):
            return form
    raise InvalidValue("name for a bill of materials", path.name, f"it must end in {' or '.join(SUFFIXES.values())}")


def bill_of_materials(
    found: Inventory, form: Format, *, tool_version: str, wheels: Mapping[tuple[str, str], str] | None = None
) -> bytes:
    """What the image is made of. ``wheels`` are sha256 digests in hex by normalised name and version.

    Serial number and date are derived from the image: CycloneDX 1.6 or SPDX 2.3, both JSON.
    """
    bill = parts.bill(found, tool_version=tool_version, wheels=wheels or {})
    if form == "spdx":
        from oci_builder.sbom.spdx import encode_spdx

        return encode_spdx(bill)
    from oci_builder.sbom.cyclonedx import encode_cyclonedx

    return encode_cyclonedx(bill)
