"""``ocibuild verify``: is a file the image it says it is?"""

from __future__ import annotations

from pathlib import Path

import click

from oci_builder.cli import options


@click.command("verify")
@click.argument("file", type=options.FILE)
@options.talk
def command(file: Path, quiet: bool, **_: object) -> None:
    """Check that a file holds the image it says.

    Every digest, size and reference in FILE is checked; the exit code is 3 when one does not hold.
    """
    from oci_builder.check.verify import verify_file
    from oci_builder.cli.messages import say
    from oci_builder.errors import CheckFailed

    report = verify_file(file)
    if report.findings:
        raise CheckFailed(str(file), report.findings)
    if not quiet:
        say(f"{file}: holds")
