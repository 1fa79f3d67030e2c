"""What a person reads when something went wrong: one sentence, and a hint after a blank line."""

from __future__ import annotations

import re

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
    message = _in_words(error.format_message().rstrip("."))
    path = context.command_path if context else "ocibuild"
    known = None
    if isinstance(error, click.NoSuchOption):
        message = f"no such option: {error.option_name}"
        known = option_hint(error.option_name) or _nearest(error.option_name, context)
    elif isinstance(error, click.MissingParameter) and path == "ocibuild push":
        known = (
            "ocibuild push FILE REFERENCE sends a file that was built; `ocibuild NAME --push REFERENCE` builds it first"
        )
    hint = known or f"`{path} --help` says what fits"
    return _with_hint(f"ocibuild: {as_clause(message)}", hint)


_RANGE = re.compile(r"(\S+) is not in the range (-?\d+)<=x(?:<=(\d+))?")


def _in_words(message: str) -> str:
    """What click says of numbers, without its mathematics."""
    message = message.replace("is not a valid integer range", "is not a whole number")
    message = message.replace("is not a valid integer", "is not a whole number")
    return _RANGE.sub(lambda found: f"{found[1]} is not from {found[2]} to {found[3] or 'any'}", message)


def _nearest(option: str, context: click.Context | None) -> str | None:
    """The option that was meant, where one is near: a letter or two away, or longer by some."""
    from difflib import get_close_matches

    known = [name for each in context.command.params for name in each.opts] if context else []
    long = [name for name in known if name.startswith("--")]
    begun = [name for name in long if len(option) > 4 and name.startswith(option)]
    close = begun[:1] or get_close_matches(option, long, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else None


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
