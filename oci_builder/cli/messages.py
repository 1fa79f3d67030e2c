"""What a person reads when something went wrong: one sentence, and a hint after a blank line."""

from __future__ import annotations

import click

from oci_builder.cli.habits import option_hint
from oci_builder.cli.terminal import indented
from oci_builder.errors import OcibuildError


def error_text(error: OcibuildError, *, traceback: bool = False) -> str:
    """An error of the user's world, with its next step; the traceback for those who asked."""
    return _trace(error, wanted=traceback) + _with_hint(f"ocibuild: {error}", error.hint)


def misused(why: str) -> click.UsageError:
    """The error of flags that cannot be together, or mean nothing here."""
    return click.UsageError(why, ctx=click.get_current_context(silent=True))


def usage_text(error: click.ClickException) -> str:
    """Words on the command line that do not fit, and where to read which do."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip(".")
    path = context.command_path if context else "ocibuild"
    known = option_hint(error.option_name) if isinstance(error, click.NoSuchOption) else None
    hint = known or f"`{path} --help` says what fits"
    return _with_hint(f"ocibuild: {as_clause(message)}", hint)


def as_clause(sentence: str) -> str:
    """``sentence`` after a colon: its first letter small, unless it begins a name such as OCIBUILD_CACHE_DIR."""
    first = sentence.split(maxsplit=1)[0] if sentence.strip() else ""
    return sentence[:1].lower() + sentence[1:] if first[1:].islower() or len(first) == 1 else sentence


def bug_text(error: Exception, *, traceback: bool) -> str:
    """An error that is ours, in one line; the traceback for those who asked."""
    said = next(iter(str(error).splitlines()), "") or "no message"
    line = f"ocibuild: internal error: {type(error).__name__}: {said}"
    hint = "this is a bug in ocibuild: please report it with the output of the same command and --debug"
    return _trace(error, wanted=traceback) + _with_hint(line, hint)


def _trace(error: Exception, *, wanted: bool) -> str:
    if not wanted:
        return ""
    import traceback

    return "".join(traceback.format_exception(error))


def _with_hint(message: str, hint: str | None) -> str:
    return f"{indented(message)}\n\nhint: {indented(hint)}" if hint else indented(message)
