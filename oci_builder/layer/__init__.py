"""A finished layer, its index, and the one pass that makes both.

A layer is a multi-member gzip file: tar headers in small members, every file's content in members of its own. So a
wheel's deflate streams are copied, not compressed again, and any file can be read alone from its member's offset.
"""

from oci_builder.layer.entries import Entries, IndexEntry
from oci_builder.layer.records import RECORDS, find, keep, parse_record
from oci_builder.layer.value import DELETIONS, FORMAT, LEVEL, Layer, LayerKey
from oci_builder.layer.writing import pack, write_layer

__all__ = [
    "DELETIONS",
    "FORMAT",
    "LEVEL",
    "RECORDS",
    "Entries",
    "IndexEntry",
    "Layer",
    "LayerKey",
    "find",
    "keep",
    "pack",
    "parse_record",
    "write_layer",
]
