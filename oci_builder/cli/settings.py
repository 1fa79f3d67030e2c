"""What a run knows of the machine: made once, from flags and environment, and passed down as values."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from oci_builder.cli.request import CommandRequest
from oci_builder.cli.terminal import is_terminal, say
from oci_builder.errors import InvalidValue
from oci_builder.machine import cpu_count
from oci_builder.surroundings import default_cache, with_home, with_temporary
from oci_builder.values import Value

if TYPE_CHECKING:
    from oci_builder.assemble.context import BuildContext
    from oci_builder.inputs import Recording
    from oci_builder.registry.registries import Registries
    from oci_builder.reporter import Reporter

COMPLETION = "_OCIBUILD_COMPLETE"
CACHE = "OCIBUILD_CACHE_DIR"
EPOCH = "SOURCE_DATE_EPOCH"
# Twelve octal digits and their terminator: the last moment that fits a tar header.
_LAST = 8_589_934_591

Shown = Literal["rich", "plain", "none"]


class Settings(Value):
    """The world of one run. ``now`` and ``epoch`` are seconds since 1970; no ``epoch`` means the base's date."""

    project: Path
    cache: Path
    jobs: int
    shown: Shown
    quiet: bool
    now: int
    epoch: int | None
    environ: Mapping[str, str]

    def context(self, registries: Registries, reporter: Reporter) -> BuildContext:
        """The world as builds want it."""
        from oci_builder.assemble.context import BuildContext
        from oci_builder.store import Store

        return BuildContext(
            store=Store(self.cache, now=self.now),
            reporter=reporter,
            registries=registries,
            project=self.project.absolute(),
            jobs=self.jobs,
            now=self.now,
            environ=self.environ,
        )

    def recording(self) -> Recording:
        """Where what decides a build of this run is noted; what is in the cache decides nothing."""
        from oci_builder.inputs import Recording

        return Recording(clock=time.time_ns, apart=(self.cache,))


def completion_instruction() -> str | None:
    """What the shell wants to have completed, if that is why it started us."""
    return os.environ.get(COMPLETION)


def make_settings(request: CommandRequest, *, epoch: int | None = None) -> Settings:
    """The settings of a run, as it was asked for. Raises InvalidValue, FileProblem."""
    quiet = request.quiet
    # Of a command without the option the variable says it all the same.
    named = request.cache_dir or Path(os.environ.get(CACHE) or "")
    cache = named.absolute() if named != Path() else _default_cache(quiet=quiet)
    environ, is_made = with_temporary(with_home(os.environ, cache), cache / "temporary")
    if is_made:
        # Programs that are started with no other environment (apt-get) want it as well.
        os.environ["TMPDIR"] = environ["TMPDIR"]
        if not quiet:
            say(f"ocibuild: there is no folder for temporary files: they are made in {environ['TMPDIR']}")
    return Settings(
        project=request.project_dir or Path(),
        cache=cache,
        jobs=request.jobs or cpu_count(),
        shown=_shown(request.progress, quiet=quiet, environ=environ),
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


def _default_cache(*, quiet: bool) -> Path:
    cache, is_temporary = default_cache()
    if is_temporary and not quiet:
        say(f"ocibuild: there is no home folder to write to: the cache is {cache}, as long as that is kept")
    return cache


def _shown(progress: str, *, quiet: bool, environ: Mapping[str, str]) -> Shown:
    if quiet or progress == "none":
        return "none"
    if progress in ("rich", "plain"):
        return "rich" if progress == "rich" else "plain"
    terminal = is_terminal() and environ.get("TERM") != "dumb" and not environ.get("CI")
    return "rich" if terminal else "plain"
