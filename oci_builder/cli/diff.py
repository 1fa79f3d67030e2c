"""``ocibuild diff``: how two images differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oci_builder.cli import images, options
from oci_builder.cli.request import CommandRequest, takes
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.inspect.diff import Difference

_NO = 3
_FILES = 40
"""Files that are listed; --json has all."""


class DiffRequest(CommandRequest):
    """What ``ocibuild diff`` is told: two images, and whether a difference is a failure."""

    before: str
    after: str
    platform: str | None = None
    exit_code: bool = False


@click.command("diff")
@click.argument("before", metavar="OLD")
@click.argument("after", metavar="NEW")
@images.platform
@images.reaching
@click.option("--exit-code", is_flag=True, help="Exit with 3 when the images differ, as git does with 1.")
@options.as_json
@options.talk
@takes(DiffRequest)
def command(request: DiffRequest) -> None:
    """Show what changes from image OLD to image NEW.

    Packages, configuration and files, and how many bytes a machine that has OLD must fetch for NEW. The times of files
    are not compared.
    """
    from oci_builder.cli.terminal import tell_json
    from oci_builder.inspect.diff import difference

    one, two = images.look_at([request.before, request.after], request, platform=request.platform).inventories()
    found = difference(one, two)
    if request.as_json:
        tell_json(found.to_json())
    else:
        _tell(found)
    if request.exit_code and not found.is_empty:
        raise click.exceptions.Exit(_NO)


def _tell(found: Difference) -> None:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.tables import tell_table
    from oci_builder.cli.terminal import tell

    tell_table(
        ("package", "before", "after", "size"),
        (
            (each.name, each.before or "-", each.after or "-", _signed(each.size_after - each.size_before))
            for each in found.packages
        ),
        right=("size",),
    )
    tell_table(
        ("configuration", "before", "after"),
        ((each.key, each.before or "-", each.after or "-") for each in found.config),
    )
    shown = sorted(found.files, key=lambda each: (-max(each.size_before, each.size_after), each.path))[:_FILES]
    tell_table(
        ("file", "change", "size", "package"),
        (
            (f"/{each.path}", each.change, _signed(each.size_after - each.size_before), each.owner)
            for each in sorted(shown, key=lambda each: each.path)
        ),
        right=("size",),
    )
    if len(found.files) > _FILES:
        tell(f"and {counted(len(found.files) - _FILES, 'smaller file')}")
    files = len(found.files)
    differing = f"{counted(files, 'file')} {'differs' if files == 1 else 'differ'}"
    tell(
        f"{'no difference' if found.is_empty else differing}; "
        f"{human_bytes(found.transfer)} to transfer in {counted(len(found.new_layers), 'layer')}, "
        f"{human_bytes(found.shared)} shared"
    )


def _signed(size: int) -> str:
    from oci_builder.cli.progress import human_bytes

    return f"{'-' if size < 0 else '+'}{human_bytes(abs(size))}" if size else "0"
