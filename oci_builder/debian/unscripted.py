"""Which Debian packages of an image are there without what their maintainer scripts would do: said in a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oci_builder.oci.labels import named_by, naming_label

UNSCRIPTED = "dev.ocibuild.scripts-skipped"
SAID = 'its maintainer scripts were passed over (base-packages, scripts = "skip")'


def unscripted_label(names: Iterable[str]) -> Mapping[str, str]:
    """The label for packages such as "locales 2.36-9"; none where there are none."""
    return naming_label(UNSCRIPTED, names)


def unscripted_of(run: Mapping[str, object]) -> frozenset[str]:
    """The packages that the ``config`` of an image's configuration names so."""
    return named_by(UNSCRIPTED, run)
