"""Commands that were written as one text, and the lists of words that a shell would make of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from oci_builder.bounded import load_texts
from oci_builder.shellwords import needs_shell

_BUILTIN = frozenset({"cd", "eval", "exec", "exit", "export", "set", "source", "test", "trap", "ulimit", "umask", "."})


def split(text: str, table: Mapping[str, Any]) -> list[str]:
    """The words of a command, with a shell before it where it needs one; none of a text that is no command.

    ``table`` is what the text stands in: what follows an entrypoint is no command, and a healthcheck is docker's.
    """
    if written := load_texts(text):
        return written  # the exec form of a Dockerfile, as text
    mark, _, command = text.strip().partition(" ")
    if table.get("test") == text and mark in ("CMD", "CMD-SHELL") and command.strip():
        return [mark, command.strip()] if mark == "CMD-SHELL" else [mark, *split(command, {})]
    if table.get("test") == text and mark.upper() == "NONE" and not command:
        return ["NONE"]
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    if not needs_shell(text) and words[:1] and words[0] not in _BUILTIN:
        return words
    if not words or table.get("entrypoint") not in (None, text):
        return words
    return ["CMD-SHELL", text] if table.get("test") == text else ["/bin/sh", "-c", text]


Entrypoint = Annotated[
    tuple[str, ...], Meta(description="a list of words, the first being the program", extra={"split": split})
]
Cmd = Annotated[
    tuple[str, ...],
    Meta(description="a list of words: the program, or what follows the entrypoint", extra={"split": split}),
]
Test = Annotated[tuple[str, ...], Meta(description="a list of words", extra={"split": split})]
