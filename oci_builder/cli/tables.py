"""Tables on stdout, as readable in a pipe and without colour as on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 400
"""Columns where there is no terminal: nothing is folded there, so that lines can be searched."""


def printable(text: str, longest: int = 100) -> str:
    """Text that came with an image, made safe to print: a name may hold what moves the cursor or is no Unicode."""
    safe = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: longest + 1])
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def tell_json(document: Mapping[str, object]) -> None:
    """A document on one line."""
    click.echo(json.dumps(document))


def tell_facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {printable(value, 400)}")


def tell_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table; the columns headed by a name in ``right`` are numbers. Without rows there is none."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False, header_style="bold")
    for heading in headings:
        number = heading in right
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    if table.row_count:
        tell(table)


def tell(shown: Table | Text) -> None:
    """Anything of rich's on stdout, without the blanks it fills lines up with."""
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, width=None if terminal else _WIDE)
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=terminal or None)
