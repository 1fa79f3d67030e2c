"""What a run knows of the machine: made once, from flags and environment, and passed down as values."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from oci_builder.cli.terminal import is_terminal
from oci_builder.errors import InvalidValue

COMPLETION = "_OCIBUILD_COMPLETE"
EPOCH = "SOURCE_DATE_EPOCH"
# Twelve octal digits and their terminator: the last moment that fits a tar header.
_LAST = 8_589_934_591

Shown = Literal["rich", "plain", "none"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The world of one run. ``now`` and ``epoch`` are seconds since 1970; no ``epoch`` means the base's date."""

    project: Path
    cache: Path
    jobs: int
    shown: Shown
    quiet: bool
    now: int
    epoch: int | None
    environ: Mapping[str, str]


def completion_instruction() -> str | None:
    """What the shell wants to have completed, if that is why it started us."""
    return os.environ.get(COMPLETION)


def make_settings(
    *,
    project_dir: Path | None = None,
    cache_dir: Path | None = None,
    jobs: int | None = None,
    progress: str = "auto",
    quiet: bool = False,
    epoch: int | None = None,
    **_: Any,
) -> Settings:
    """The settings of a run, from the flags of its command; others are ignored. Raises InvalidValue."""
    environ = dict(os.environ)
    return Settings(
        project=project_dir or Path(),
        cache=(cache_dir or _default_cache()).absolute(),
        jobs=jobs or len(os.sched_getaffinity(0)),
        shown=_shown(progress, quiet=quiet, environ=environ),
        quiet=quiet,
        now=int(time.time()),
        epoch=epoch if epoch is not None else parse_epoch(environ.get(EPOCH)),
        environ=environ,
    )


def parse_epoch(text: str | None) -> int | None:
    """The value of SOURCE_DATE_EPOCH; unset or empty is None. Raises InvalidValue."""
    if not text:
        return None
    from oci_builder.bounded import parse_decimal

    try:
        return parse_decimal(text, most=_LAST)
    except ValueError as error:
        why = f"expected whole seconds since 1970, at most {_LAST}"
        raise InvalidValue(f"{EPOCH} value", text, why) from error


def _default_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("ocibuild")


def _shown(progress: str, *, quiet: bool, environ: Mapping[str, str]) -> Shown:
    if quiet or progress == "none":
        return "none"
    if progress in ("rich", "plain"):
        return "rich" if progress == "rich" else "plain"
    terminal = is_terminal() and environ.get("TERM") != "dumb" and not environ.get("CI")
    return "rich" if terminal else "plain"
