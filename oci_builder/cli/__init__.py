"""The command line: the only room that knows the environment, the clock, the terminal and exit codes."""

from oci_builder.cli.entry import main, run

__all__ = ["main", "run"]
