"""Bills of materials: what an image is made of, in the words of CycloneDX and SPDX."""

from oci_builder.sbom.bill import MEDIA_TYPES, SUFFIXES, Format, bill_of_materials, format_of

__all__ = ["MEDIA_TYPES", "SUFFIXES", "Format", "bill_of_materials", "format_of"]
