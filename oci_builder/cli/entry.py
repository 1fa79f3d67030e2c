"""From words to an exit code: the only place that catches the root of all errors."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

import click

from oci_builder.cli import messages
from oci_builder.cli.app import app
from oci_builder.cli.settings import COMPLETION, completion_instruction
from oci_builder.errors import FileProblem, OcibuildError
from oci_builder.files import hint_of

_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""What a write fails with, which tells no name: the file was opened long before."""

DONE, FAILED, USAGE, OUR_BUG, INTERRUPTED = 0, 1, 2, 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ocibuild`` with ``argv`` (by default the process's own) and return its exit code. Raises nothing."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _outcome(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read us has gone (`| head`): say nothing, and keep the interpreter from saying it at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _outcome(words: list[str]) -> int:
    try:
        return _invoke(words)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        messages.say(messages.usage_text(error))
        return USAGE
    except OcibuildError as error:
        messages.say(messages.error_text(error, traceback="--debug" in words))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        messages.say("\nocibuild: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if _was_interrupted(error):
            messages.say("\nocibuild: interrupted")
            return INTERRUPTED
        if isinstance(error, OSError) and (error.filename is not None or error.errno in _OF_DISKS):
            problem = _in_words(error)
            messages.say(messages.error_text(problem, traceback="--debug" in words))
            return problem.exit_code
        messages.say(messages.bug_text(error, traceback="--debug" in words))
        return OUR_BUG


def _in_words(error: OSError) -> FileProblem:
    # Even to ask whether there is such a file can be too much: its folder is closed, its name too long.
    place = os.fsdecode(error.filename) if error.filename is not None else "a file of this run"
    return FileProblem(place, os.strerror(error.errno or errno.EIO).lower(), hint=hint_of(error))


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
