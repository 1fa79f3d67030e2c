"""What a person reads when something went wrong: one sentence, and a hint after a blank line."""

from __future__ import annotations

import contextlib
import traceback as tracebacks

import click

from oci_builder.errors import OcibuildError


def say(text: str) -> None:
    """Talk: to stderr, where it mixes with no data. What cannot be told (a full disk, a log that is gone) is not."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


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
    return _with_hint(f"ocibuild: {message[:1].lower()}{message[1:]}", f"`{path} --help` says what fits")


def bug_text(error: Exception, *, traceback: bool) -> str:
    """An error that is ours, in one line; the traceback for those who asked."""
    line = f"ocibuild: internal error: {type(error).__name__}: {str(error) or 'no message'}".splitlines()[0]
    hint = "this is a bug in ocibuild: please report it with the output of the same command and --debug"
    return _trace(error, wanted=traceback) + _with_hint(line, hint)


def _trace(error: Exception, *, wanted: bool) -> str:
    return "".join(tracebacks.format_exception(error)) if wanted else ""


def _with_hint(message: str, hint: str | None) -> str:
    return f"{message}\n\nhint: {hint}" if hint else message
