"""Small words that several rooms need: numbers of things, and what a command line calls an image."""

from __future__ import annotations

import shlex
from pathlib import Path


def counted(number: int, one: str, many: str = "") -> str:
    """``1 file``, ``2 files``; ``many`` is the plural where an s does not make it."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def making(folder: Path) -> str:
    """The command that makes ``folder``, quoted for a shell."""
    return f"mkdir -p {shlex.quote(str(folder))}"


def called(folder: Path) -> str:
    """How a command line calls the image of ``folder``, quoted for a shell: its name in build/, else its path.

    A path holds wherever the project is that its name would be looked for in.
    """
    if folder == Path("build", folder.name):
        return shlex.quote(folder.name)
    here = "/" in str(folder) or folder == Path()
    return shlex.quote(str(folder) if here else f"./{folder}")
