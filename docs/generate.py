"""Write the pages of docs/ that the program knows better: the references of the command line, of
Python and of errors, and the JSON Schemas.

Run it from anywhere after changing an option or a recipe's types; a test compares.
"""

from __future__ import annotations

import functools
import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import oci_builder
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


_PYTHON = """# Python

What `oci_builder` has for Python; `docs/generate.py` writes this page. [from-python.md](../how-to/from-python.md) shows
how it is used. Sizes are bytes, and every failure is an `OcibuildError`.
"""


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    return {
        DOCS / "reference" / "cli.md": command_line(),
        DOCS / "reference" / "errors.md": runpy.run_path(str(DOCS / "messages.py"))["page"](),
        DOCS / "reference" / "python.md": python(),
        DOCS / "image.schema.json": schema_text("image"),
        DOCS / "layer.schema.json": schema_text("layer"),
    }


def command_line() -> str:
    """The command line's reference, in Markdown."""
    sections = [f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps(app, None, "ocibuild")]
    return "\n".join([_HEAD, *sections])


def python() -> str:
    """The reference of what ``oci_builder`` has for Python, in Markdown."""
    names = [name for name in oci_builder.__all__ if not name.startswith("_")]
    return "\n".join([_PYTHON, *(_described(name, getattr(oci_builder, name)) for name in names)])


def _described(name: str, value: Any) -> str:
    lines = [f"## {name}", "", f"```python\n{_signature(name, value)}\n```", "", inspect.getdoc(value) or "", ""]
    for part, member in _members(value):
        said = inspect.getdoc(member) or ""
        if isinstance(member, property | functools.cached_property):
            lines += [f"`{name}.{part}`: {_flat(said)}", ""]
        else:
            lines += [f"`{_signature(f'{name}.{part}', member)}`: {_flat(said)}", ""]
    return "\n".join(lines)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if not inspect.isclass(value) or issubclass(value, Exception):
        return
    for part in sorted({part for kind in value.__mro__[:-1] for part in vars(kind) if not part.startswith("_")}):
        member = inspect.getattr_static(value, part)
        if isinstance(member, classmethod | staticmethod):
            member = member.__func__
        if callable(member) or isinstance(member, property | functools.cached_property):
            yield part, member


def _signature(name: str, value: Any) -> str:
    try:
        found = str(inspect.signature(value))
    except (TypeError, ValueError):
        return name
    # Where a default stands in memory is nobody's business.
    found = re.sub(r"<factory>|<[^<>]* at 0x[0-9a-f]+>", "...", found)
    found = re.sub(r"(: |-> )'([^']*)'", r"\1\2", found)
    return name + found.replace("(self, ", "(").replace("(self)", "()")


def _flat(text: str) -> str:
    return " ".join(text.split())


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
