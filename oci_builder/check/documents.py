"""Moved to ``foreign``."""

from oci_builder.foreign.documents import (
    Findings,
    Named,
    as_object,
    as_strings,
    only_known,
    read_descriptor,
    read_descriptors,
    read_list,
    read_object,
)

__all__ = [
    "Findings",
    "Named",
    "as_object",
    "as_strings",
    "only_known",
    "read_descriptor",
    "read_descriptors",
    "read_list",
    "read_object",
]
