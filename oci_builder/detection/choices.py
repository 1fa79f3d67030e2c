"""What could be started, and the one of it that is."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from oci_builder.errors import UnclearCommand

WORKDIR = "/app"
"""Where the files of a project lie in its image."""

PORT = 8000
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a container starts, and ``why`` that.

    ``root`` is the folder of the project that it starts in, and ``paths`` others that are imported from. ``port`` is
    what it listens on, ``health`` a path that is answered when all is well. Where not ``in_files``, all of it is in
    installed packages. ``left_out`` are files that are nobody's business.
    """

    words: tuple[str, ...]
    why: str
    is_entrypoint: bool = False
    root: str = ""
    paths: tuple[str, ...] = ()
    port: int | None = None
    health: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    in_files: bool = True
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The words as they are typed."""
        return shlex.join(self.words)

    @property
    def workdir(self) -> str:
        """Where it starts in the image."""
        return posixpath.join(WORKDIR, self.root).rstrip("/")


@dataclass(frozen=True, kw_only=True)
class Startable:
    """Something that could be started: what ``--app`` calls it, what it is, and how it would be started.

    ``start`` raises UnclearCommand where something is missing.
    """

    name: str
    what: str
    start: Callable[[], Launch]


def only(candidates: Sequence[Startable], folder: Path) -> Startable:
    """The one that there is. Raises UnclearCommand for several, which are equally right."""
    if len(candidates) == 1:
        return candidates[0]
    raise UnclearCommand(str(folder), several(candidates), hint=f"say which: {init(folder)} --app {_word(candidates)}")


def named(name: str, candidates: Sequence[Startable], folder: Path) -> Startable:
    """The one of that name. Raises UnclearCommand where there is none."""
    # A file that has an application is that, before it is a program.
    in_file = [each for each in candidates if each.what.startswith(f"{name}: ") or each.name.startswith(f"{name}:")]
    exact = [each for each in candidates if each.name == name]
    found = in_file if len(in_file) == 1 else exact or in_file
    if len(found) == 1:
        return found[0]
    if not candidates:
        hint = f"say the command itself: {init(folder)} --cmd 'python3 FILE'"
        raise UnclearCommand(str(folder), f"there is no {name} to start, and nothing else", hint=hint)
    why = several(found) if found else f"there is no {name} to start; {several(candidates)}"
    raise UnclearCommand(str(folder), why, hint=f"say which: {init(folder)} --app {_word(found or candidates)}")


def several(candidates: Sequence[Startable]) -> str:
    """What could be started, in words."""
    shown = ", ".join(f"{each.name} ({each.what})" for each in candidates[:_SHOWN])
    more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
    return f"it could start {shown}{more}"


def is_port(value: object) -> TypeGuard[int]:
    """Whether a source says a port; True is none."""
    return type(value) is int and 0 < value < 65536


def init(folder: Path) -> str:
    """The command that writes the recipe of a folder."""
    return "ocibuild init" if folder == Path() else f"ocibuild init {shlex.quote(_path(folder))}"


def _path(folder: Path) -> str:
    return str(folder) if "/" in str(folder) else f"./{folder}"


def _word(candidates: Sequence[Startable]) -> str:
    return shlex.quote(candidates[0].name)
