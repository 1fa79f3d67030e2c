"""What of a project's files no image has: what its own ignore files say, and what tools leave behind."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from oci_builder import inputs
from oci_builder.confined import Within
from oci_builder.errors import OcibuildError
from oci_builder.tree.patterns import Patterns

DOCKERIGNORE, GITIGNORE = ".dockerignore", ".gitignore"
_LARGEST, _MOST = 256 << 10, 1_000

LEFT_OUT = (
    *(
        "Dockerfile*",
        ".dockerignore",
        "build",
        "*.tar",
        "*.tar.gz",
        "pylock.toml",
        "images.lock.json",
        "wheels",
        "debs",
    ),
    *("fetched", "copied"),
    *("**/.gitignore", ".github", ".gitlab-ci.yml", ".idea", ".vscode", "**/.env.*", "**/*.pyc", "**/*.egg-info"),
    *("**/node_modules", ".streamlit/secrets.toml", "venv"),
)
"""Files of tools, secrets, and what builds leave here: all that docker and git users leave out as well."""


def left_out(folder: Path) -> tuple[tuple[str, ...], str]:
    """The patterns of what is not copied out of ``folder``, and the name of the file that says most of them, or "".

    It is .dockerignore, which is for images, else .gitignore: what is not in the repository is nobody else's.
    """
    for name, translate in ((DOCKERIGNORE, _as_it_is), (GITIGNORE, _of_git)):
        if inputs.is_file(folder / name):
            lines = _lines(folder, name)
            kept = tuple(dict.fromkeys(each for line in lines for each in translate(line) if _is_read(each)))
            return (*LEFT_OUT, *(each for each in kept if each not in LEFT_OUT)), name
    return LEFT_OUT, ""


def is_ignored_by_git(folder: Path, path: str) -> bool:
    """Whether the .gitignore of ``folder`` keeps the file ``path`` in it out of the repository."""
    if not inputs.is_file(folder / GITIGNORE):
        return False
    patterns = [each for line in _lines(folder, GITIGNORE) for each in _of_git(line) if _is_read(each)]
    return Patterns(patterns).match(path)


def _lines(folder: Path, name: str) -> Sequence[str]:
    """The lines of an ignore file; none where a link leads out of the folder, for they go into recipes."""
    try:
        found = Within(folder, folder).find(name, follow=True)
        if found.kind != stat.S_IFREG:
            return ()
        with found.open() as stream:
            text = stream.read(_LARGEST).decode("utf-8-sig", errors="replace")
    except (OcibuildError, OSError):
        return ()
    lines = (line.rstrip() for line in text.splitlines()[:_MOST])
    # A recipe holds no control characters.
    return [line for line in lines if line.strip() and not line.startswith("#") and line.isprintable()]


def _is_read(pattern: str) -> bool:
    try:
        Patterns([pattern])
    except ValueError:
        return False
    return True


def _as_it_is(line: str) -> Iterator[str]:
    yield line.strip()


def _of_git(line: str) -> Iterator[str]:
    """A line of a .gitignore as lines of a .dockerignore (gitignore(5), PATTERN FORMAT)."""
    negative, pattern = line.startswith("!"), line.removeprefix("!")
    pattern = re.sub(r"^\\(?=[!#])", "", pattern)
    pattern = re.sub(r"\[!", "[^", pattern).rstrip("/")
    if not pattern:
        return
    anchored = "/" in pattern
    pattern = pattern.lstrip("/") if anchored else f"**/{pattern}"
    yield f"!{pattern}" if negative else pattern
