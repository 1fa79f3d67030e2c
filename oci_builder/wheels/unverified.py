"""Which wheels of an image were not held to their RECORD: said in a label, which every engine and registry keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oci_builder.oci.labels import named_by, naming_label

UNVERIFIED = "dev.ocibuild.unverified"


def unverified_label(names: Iterable[str]) -> Mapping[str, str]:
    """The label for distributions such as "selenium 4.1.0"; none where there are none."""
    return naming_label(UNVERIFIED, names)


def unverified_of(run: Mapping[str, object]) -> frozenset[str]:
    """The distributions that the ``config`` of an image's configuration names so."""
    return named_by(UNVERIFIED, run)
