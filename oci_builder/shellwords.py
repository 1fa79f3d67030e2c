"""Commands that were written as one text: whether a shell has to read them, and what of them installers add."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FOR_A_SHELL = "|&;<>()$`*?~#\n"
"""What means something to a shell where it stands in no quotes; and the two that do in double ones, too."""

_ASSIGNMENT = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*=")
RUNNERS = ("uv", "poetry", "pipenv", "pdm")


def needs_shell(text: str) -> bool:
    """Whether a command means something else to a shell than its words."""
    quote, before = "", ""
    for char in text:
        if before == "\\" and quote != "'":
            before = ""
            continue
        if quote:
            if char == quote:
                quote = ""
            elif quote == '"' and char in "$`":
                return True
        elif char in "'\"":
            quote = char
        elif char in _FOR_A_SHELL:
            return True
        before = char
    return bool(_ASSIGNMENT.match(text))


def without_runner(words: Sequence[str]) -> list[str]:
    """The words behind ``uv run`` and its like: in an image, programs are on PATH."""
    if len(words) < 3 or words[0] not in RUNNERS or words[1] != "run":
        return list(words)
    rest = list(words[2:])
    while rest and rest[0].startswith("-"):
        rest = rest[1:]
    return rest
