"""A failure, what its hint says, and the doing of it."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.cli import main
from tests.support.tiny import IMAGE, Tiny

Words = list[str]


@dataclass(frozen=True, kw_only=True)
class Try:
    """One hint. ``spoil`` makes a project fail and gives the command that does; ``hint`` finds in the hint what to do.

    ``follow`` does that and gives the next command, by default the same. That command succeeds, or fails with ``then``,
    which is about something else. ``kind`` is the class of the error.
    """

    kind: str
    name: str
    spoil: Callable[[Tiny], Words]
    hint: str
    follow: Callable[[Tiny, re.Match[str], Words], Words | None]
    then: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


def said(words: Words) -> tuple[int, str]:
    """The exit code of ``ocibuild words``, and all that it says."""
    out = io.StringIO()
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
        code = main(words)
    return code, out.getvalue()


def hint_in(text: str) -> str:
    """What stands behind "hint:" in what a failure says."""
    return text.partition("\nhint: ")[2].strip()


def recipe(tiny: Tiny, *lines: str, top: str = "") -> Words:
    """image.toml with ``lines`` at its end and ``top`` at its head, and the build of it."""
    (tiny.image / "image.toml").write_text(top + IMAGE + "".join(f"{line}\n" for line in lines))
    return tiny.words()


def rewritten(tiny: Tiny, old: str, new: str) -> None:
    """Replace the line of image.toml that is ``old`` by ``new``, whatever stands there."""
    file = tiny.image / "image.toml"
    lines = file.read_text().splitlines()
    assert old in lines, f"{old} in {lines}"
    file.write_text("".join(f"{new if line == old else line}\n" for line in lines))


def typed(tiny: Tiny, command: str, *, folder: Path | None = None) -> None:
    """Type a command of a hint: ``rm``, ``pip`` and ``ocibuild``, with ``&&`` between them. It has to succeed."""
    for part in command.split(" && "):
        words = shlex.split(part)
        if words[0] == "ocibuild":
            code, text = said([*words[1:], "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache)])
            assert code == 0, text
        elif words[0] == "rm":
            for path in words[1:]:
                Path(path).unlink()
        else:
            assert words[0] == "pip", command
            pip = [sys.executable, "-m", "pip", *words[1:], "--no-index", "--disable-pip-version-check"]
            subprocess.run(pip, cwd=folder, check=True, capture_output=True, timeout=120)
