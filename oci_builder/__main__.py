"""``python -m oci_builder`` is ``ocibuild``."""

from oci_builder.cli import run

run()
