"""Write the pages of docs/ that the program knows better: the command line's reference and the JSON Schemas.

Run it from anywhere after changing an option or a recipe's types; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from oci_builder.cli.app import app
from oci_builder.cli.schema import schema_text

DOCS = Path(__file__).parent
WIDTH = 96
_HEAD = """# Command line

What `--help` says of every command; `docs/generate.py` writes this page.
Data goes to stdout, talk to stderr.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command line or a recipe says something that cannot be |
| 3 | a check said no: the gate of a build, `check`, `verify`, `lock --check`, `diff --exit-code` |
| 70 | a bug in ocibuild |
| 130 | interrupted |
"""


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    return {
        DOCS / "reference" / "cli.md": command_line(),
        DOCS / "image.schema.json": schema_text("image"),
        DOCS / "layer.schema.json": schema_text("layer"),
    }


def command_line() -> str:
    """The command line's reference, in Markdown."""
    sections = [f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps(app, None, "ocibuild")]
    return "\n".join([_HEAD, *sections])


def _helps(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, **command.context_settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _helps(found, context, inner)


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
