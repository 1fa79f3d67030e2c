"""What a shell knows by itself, and what it asks of where it is (POSIX.1-2017, 2.14 and XCU)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian import shelltest
from oci_builder.debian.debconf import CONFMODULE
from oci_builder.debian.shell import Call, Command
from oci_builder.debian.shellprinting import PRINTING
from oci_builder.debian.shellprograms import STARTING
from oci_builder.debian.shellreading import READING

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAX_STATUS = 255
_SIGNAL = re.compile(r"(?:SIG)?[A-Z0-9]+\Z")


def idle(status: int) -> Command:
    """A command that does nothing, and says so by ``status``."""

    def command(call: Call) -> int:
        return status

    return command


def _test(call: Call) -> int:
    words = list(call.arguments)
    if call.name == "[":
        if words[-1:] != ["]"]:
            raise call.unknown("its bracket is not closed")
        words.pop()
    try:
        return int(not shelltest.holds(words, call.tree))
    except shelltest.BadTest as error:
        raise call.unknown(str(error)) from error


def _leave(call: Call) -> int:
    usual = call.shell.status if call.name in ("exit", "return") else 1
    number = call.arguments[0] if call.arguments else str(usual)
    if not re.fullmatch(r"[0-9]{1,3}", number) or int(number) > _MAX_STATUS or len(call.arguments) > 1:
        raise call.unknown("its number is none")
    call.shell.leave(call.name, int(number))
    return 0


def _set(call: Call) -> int:
    words = list(call.arguments)
    if not words:
        raise call.unknown("which variables there are is not known here")
    while words and re.fullmatch(r"[-+][A-Za-z]+", words[0]):
        option = words.pop(0)
        for letter in option[1:]:
            if letter not in "euxvfC":
                raise call.unknown(f"its option {letter} is not known here")
            (call.shell.options.add if option[0] == "-" else call.shell.options.discard)(letter)
    if words[:1] == ["--"]:
        call.shell.arguments = words[1:]
    elif words:
        raise call.unknown("what it sets is not known here")
    return 0


def _shift(call: Call) -> int:
    number = (call.arguments or ["1"])[0]
    if len(call.arguments) > 1 or not re.fullmatch("[0-9]{1,5}", number):
        raise call.unknown("its number is none")
    count = int(number)
    if count > len(call.shell.arguments):
        if not call.shell.is_bash:
            # Dash ends the script there.
            raise call.unknown("there are not so many arguments")
        return 1
    del call.shell.arguments[:count]
    return 0


def _source(call: Call) -> int:
    path = call.arguments[0] if call.arguments else ""
    if len(call.arguments) > 1:
        raise call.unknown("shells differ about its arguments")
    if path == CONFMODULE:
        return 0
    if not path.startswith("/"):
        raise call.unknown("where it lies is not known")
    return call.shell.source(call.tree.read(path), ending=True)


def _umask(call: Call) -> int:
    words = list(call.arguments)
    if not words:
        call.say(f"{call.tree.mask:04o}\n")
        return 0
    if len(words) != 1 or not re.fullmatch("0?[0-7]{1,3}", words[0]):
        raise call.unknown("what is made after that would have modes that are not known")
    call.tree.mask = int(words[0], 8)
    return 0


def _cd(call: Call) -> int:
    words = [word for word in call.arguments if word not in ("-P", "-L", "--")]
    if len(words) != 1 or not words[0] or words[0] == "-":
        raise call.unknown("where it goes is not known here")
    if not call.tree.is_folder(words[0]):
        return 2 if not call.shell.is_bash else 1
    call.tree.cwd = call.tree.real(words[0]) if "-P" in call.arguments else call.tree.absolute(words[0])
    return 0


def _pwd(call: Call) -> int:
    if not set(call.arguments) <= {"-P", "-L"} or len(call.arguments) > 1:
        raise call.unknown("its option is not known here")
    call.say(f"{call.tree.cwd if '-P' not in call.arguments else call.tree.real('.')}\n")
    return 0


def _trap(call: Call) -> int:
    words = [word for word in call.arguments if word != "--"]
    if not words:
        return 0
    if _SIGNAL.match(words[0]) and len(words) == 1:
        words = ["-", *words]
    action, *signals = words
    if not signals or not all(_SIGNAL.match(each.upper()) for each in signals):
        raise call.unknown("what it waits for is not known here")
    if {"EXIT", "0"} & {each.upper() for each in signals}:
        # No signal ever comes.
        call.shell.at_exit = "" if action == "-" else action
    elif {"ERR", "DEBUG", "RETURN"} & {each.upper() for each in signals}:
        raise call.unknown("what it waits for is not known here")
    return 0


def _export(call: Call) -> int:
    """export where it is not parsed as what declares: behind ``command``, or by a variable."""
    for word in call.arguments:
        name, equals, value = word.partition("=")
        if not _NAME.match(name):
            raise call.unknown("what it exports is not known here")
        if equals:
            call.shell.assign(name, value)
        call.shell.exported.add(name)
    if not call.arguments:
        raise call.unknown("which variables there are is not known here")
    return 0


def _wait(call: Call) -> int:
    if call.arguments:
        raise call.unknown("what it waits for is not known here")
    return 0


def _eval(call: Call) -> int:
    line = call.shell.line
    try:
        return call.shell.source(" ".join(call.arguments))
    finally:
        call.shell.line = line


BUILTINS: Mapping[str, Command] = {
    **PRINTING,
    **READING,
    **STARTING,
    **dict.fromkeys(("true", ":"), idle(0)),
    **dict.fromkeys(("test", "["), _test),
    **dict.fromkeys(("exit", "return", "break", "continue"), _leave),
    ".": _source,
    "cd": _cd,
    "eval": _eval,
    "export": _export,
    "false": idle(1),
    "pwd": _pwd,
    "set": _set,
    "shift": _shift,
    "source": _source,
    "trap": _trap,
    "umask": _umask,
    "wait": _wait,
}
"""The commands, by name."""
