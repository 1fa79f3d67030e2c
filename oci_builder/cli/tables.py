"""Tables on stdout, as readable in a pipe and without colour as on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from oci_builder.cli.terminal import draw, printable, tell

_CELL, _FACT = 100, 400
"""Letters of what stands in a table, and beside a name."""


def tell_facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        tell(f"{printable(name):<{width}}  {printable(value, _FACT)}")


def tell_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table; the columns headed by a name in ``right`` are numbers. Without rows there is none."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False, header_style="bold")
    for heading in headings:
        number = heading in right
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell, _CELL)) for cell in row))
    if table.row_count:
        draw(table)
