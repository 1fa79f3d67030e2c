"""From words to an exit code: the only place that catches the root of all errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from oci_builder.cli import messages, terminal
from oci_builder.cli.app import app
from oci_builder.cli.settings import COMPLETION, completion_instruction
from oci_builder.cli.terminal import say
from oci_builder.errors import FileProblem, OcibuildError
from oci_builder.exhausted import exhaustion
from oci_builder.files import hint_of, in_words

DONE, FAILED, USAGE, OUR_BUG, INTERRUPTED = 0, 1, 2, 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ocibuild`` with ``argv`` (by default the process's own) and return its exit code. Raises nothing."""
    words = list(sys.argv[1:] if argv is None else argv)
    code = _outcome(words)
    try:
        terminal.finish()
    except terminal.Undelivered as error:
        code = code or _undelivered(error)
        terminal.forget()
    return code


def _outcome(words: list[str]) -> int:
    try:
        return _invoke(words)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        say(messages.usage_text(error), arranged=True)
        return USAGE
    except terminal.Undelivered as error:
        return _undelivered(error)
    except OcibuildError as error:
        say(messages.error_text(error, traceback="--debug" in words), arranged=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("\nocibuild: interrupted", arranged=True)
        return INTERRUPTED
    except Exception as error:
        if _was_interrupted(error):
            say("\nocibuild: interrupted", arranged=True)
            return INTERRUPTED
        if (ran_out := exhaustion(error)) is not None:
            say(messages.error_text(ran_out, traceback="--debug" in words), arranged=True)
            return ran_out.exit_code
        if isinstance(error, OSError):
            return _unnamed(error, traceback="--debug" in words)
        say(messages.bug_text(error, traceback="--debug" in words), arranged=True)
        return OUR_BUG


def _unnamed(error: OSError, *, traceback: bool) -> int:
    """What this machine did not let us do where nobody said so in better words."""
    if isinstance(error, BrokenPipeError):
        return FAILED  # who read what click prints has gone
    # Even to ask whether there is such a file can be too much: its folder is closed, its name too long.
    what = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file of this run"
    problem = FileProblem(what, in_words(error), hint=hint_of(error))
    say(messages.error_text(problem, traceback=traceback), arranged=True)
    return problem.exit_code


def _undelivered(error: terminal.Undelivered) -> int:
    """Who read us has gone (`| head`), and needs no word; a full disk is told of."""
    if not error.reader_left:
        say(messages.error_text(error), arranged=True)
    return FAILED


def _was_interrupted(error: BaseException | None) -> bool:
    # Ctrl-C while a class was being made, or a module of C loaded, comes as what went wrong with that.
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _invoke(words: list[str]) -> int:
    if instruction := completion_instruction():
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, app.name or "", COMPLETION, instruction)
    with app.make_context(app.name, words) as context:
        app.invoke(context)
    return DONE
