"""What a shell knows by itself, and what it asks of where it is (POSIX.1-2017, 2.14 and XCU)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian import shelltest
from oci_builder.debian.commandoptions import split_options
from oci_builder.debian.debconf import CONFMODULE
from oci_builder.debian.shell import SEARCHED, Call, Command

_BUILTINS = frozenset(
    (
        *("true", "false", ":", "echo", "printf", "exit", "return", "set", "shift", "command", "test", "[", "read"),
        *("cd", "pwd", "umask", "export", "eval", "break", "continue", "trap", "type", "unset", "wait", "hash"),
    )
)
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


_ECHOED = re.compile(r"\\(?:0[0-7]{0,3}|[1-7][0-7]{0,2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "r": "\r", "v": "\v"}


def _echo(call: Call) -> int:
    words = list(call.arguments)
    newline = "" if words[:1] == ["-n"] else "\n"
    text = " ".join(words[1:] if not newline else words)
    if call.shell.is_bash:
        if words[:1] and re.fullmatch("-[neE]*[eE][neE]*", words[0]):
            raise call.unknown("its option is not known here")
        call.say(text + newline)
        return 0
    # Dash's, which is Debian's sh, always reads escapes.
    text, stop, _ = text.partition("\\c") if "\\\\" not in text else (text, "", "")
    call.say(_ECHOED.sub(lambda match: _unescaped(call, match[0][1:]), text) + ("" if stop else newline))
    return 0


def _unescaped(call: Call, escape: str) -> str:
    if escape[0] in "01234567":
        return bytes([int(escape, 8) & 0xFF]).decode("utf-8", "surrogateescape")
    if escape == "c":
        raise call.unknown("shells differ about what it writes")
    return _ESCAPES.get(escape, f"\\{escape}")


_FORMAT = re.compile(r"%([-0]*)([0-9]{0,3})([sdib%])|\\([0-7]{1,3}|.)|([^%\\]+)", re.DOTALL)


def _printf(call: Call) -> int:
    words = list(call.arguments[1:] if call.arguments[:1] == ["--"] else call.arguments)
    if not words:
        raise call.unknown("it has no format")
    form, left = words[0], words[1:]
    pieces = list(_FORMAT.finditer(form))
    takes = sum(1 for each in pieces if each[3] and each[3] != "%")
    if "".join(each[0] for each in pieces) != form or (left and not takes):
        raise call.unknown("its format is not known here")
    while True:
        # The format is used again as long as there is anything left.
        call.say("".join(_formatted(call, each, left) for each in pieces))
        if not left:
            return 0


def _formatted(call: Call, piece: re.Match[str], left: list[str]) -> str:
    flags, width, kind, escape, plain = piece.groups()
    if plain is not None:
        return plain
    if escape is not None:
        if escape[0] in "01234567":
            return bytes([int(escape, 8) & 0xFF]).decode("utf-8", "surrogateescape")
        if escape not in _ESCAPES and escape not in "\"'":
            raise call.unknown("its format is not known here")
        return _ESCAPES.get(escape, escape)
    if kind == "%":
        return "%"
    word = left.pop(0) if left else ""
    if kind == "b":
        if "\\" in word:
            word = _ECHOED.sub(lambda match: _unescaped(call, match[0][1:]), word)
    elif kind in "di":
        if not re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})|", word):
            raise call.unknown(f"{word!r:.40} is no number")
        word = word or "0"
    if "0" in flags and kind in "di" and "-" not in flags:
        return word.zfill(int(width or 0))
    return word.ljust(int(width or 0)) if "-" in flags else word.rjust(int(width or 0))


def _leave(call: Call) -> int:
    usual = call.shell.status if call.name in ("exit", "return") else 1
    number = call.arguments[0] if call.arguments else str(usual)
    if not re.fullmatch(r"[0-9]{1,3}", number):
        raise call.unknown("its number is none")
    call.shell.leave(call.name, int(number))
    return 0


def _set(call: Call) -> int:
    words = list(call.arguments)
    while words and re.fullmatch(r"[-+][a-z]+", words[0]):
        option = words.pop(0)
        for letter in option[1:]:
            if letter == "o" and words[:1] in (["pipefail"], ["posix"]) and not call.shell.is_bash:
                # Dash of Debian 12 does not know it, and ends the script.
                raise call.unknown("its option is not known here")
            if letter not in "euxvfC":
                raise call.unknown(f"its option {letter} is not known here")
            call.shell.set_option(letter, on=option[0] == "-")
    if words[:1] == ["--"]:
        call.shell.arguments = words[1:]
    elif words:
        raise call.unknown("what it sets is not known here")
    return 0


def _shift(call: Call) -> int:
    count = int(call.arguments[0]) if call.arguments and call.arguments[0] in "123456789" else 1
    if count > len(call.shell.arguments):
        return 1
    del call.shell.arguments[:count]
    return 0


def _source(call: Call) -> int:
    path = call.arguments[0] if call.arguments else ""
    if path == CONFMODULE:
        return 0
    if not path.startswith("/"):
        raise call.unknown("where it lies is not known")
    return call.shell.source(call.tree.read(path), ending=True)


def _read(call: Call) -> int:
    options, names = split_options(call, "r")
    line, ends = call.shell.read_line()
    if "\\" in line and "r" not in options:
        raise call.unknown("a line with a backslash goes on in the next")
    for name, value in zip(names, _fields(call, line, len(names)), strict=True):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise call.unknown("what it reads into is no variable")
        call.shell.assign(name, value)
    return int(not ends)


def _fields(call: Call, line: str, count: int) -> list[str]:
    """A line's words for so many variables, the last of which gets what is left (POSIX, read)."""
    letters = call.shell.variables.get("IFS", " \t\n")
    blanks = "".join(each for each in letters if each in " \t\n")
    others = "".join(each for each in letters if each not in " \t\n")
    found: list[str] = []
    rest = line.lstrip(blanks) if blanks else line
    if others:
        end = (
            f"[{re.escape(blanks)}]*[{re.escape(others)}][{re.escape(blanks)}]*" if blanks else f"[{re.escape(others)}]"
        )
        end = f"(?:{end}|[{re.escape(blanks)}]+)" if blanks else end
    else:
        end = f"[{re.escape(blanks)}]+" if blanks else r"(?!)"
    while len(found) < count - 1:
        match = re.search(end, rest)
        found.append(rest[: match.start()] if match else rest)
        rest = rest[match.end() :] if match else ""
    if count:
        rest = rest.rstrip(blanks) if blanks else rest
        if others and rest[-1:] in others and rest and not re.search(end, rest[:-1]):
            rest = rest[:-1].rstrip(blanks) if blanks else rest[:-1]
        found.append(rest)
    return found


def _command(call: Call) -> int:
    if call.arguments[:1] in (["-v"], ["-V"]):
        return which(call)
    if not call.arguments or call.arguments[0].startswith("-"):
        raise call.unknown("its option is not known here")
    return call.shell.call(call.arguments, functions=False)


def which(call: Call) -> int:
    """Tell where programs are: in the tree, or among those that whoever installs packages has."""
    status = 0
    for name in call.arguments:
        if name.startswith("-"):
            continue
        if call.name != "which" and (name in _BUILTINS or call.shell.is_function(name)):
            call.say(f"{name}\n")
            continue
        places = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in SEARCHED]
        found = next((place for place in places if not _test_fails(place, call)), "")
        if found and call.name != "type":
            call.say(f"{found}\n")
        elif found:
            call.say(f"{name} is {found}\n")
        status = status if found else (127 if call.name == "command" else 1)
    return status


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
    call.tree.cwd = call.tree.absolute(words[0])
    return 0


def _pwd(call: Call) -> int:
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
        call.shell.trap("" if action == "-" else action)
    elif {"ERR", "DEBUG", "RETURN"} & {each.upper() for each in signals}:
        raise call.unknown("what it waits for is not known here")
    return 0


def _eval(call: Call) -> int:
    line = call.shell.line
    try:
        return call.shell.source(" ".join(call.arguments))
    finally:
        call.shell.line = line


def _exec(call: Call) -> int:
    if not call.arguments:
        # Redirections alone: those that would matter are not known, and end the walk before.
        raise call.unknown("where it writes from now on is not known here")
    status = call.shell.call(call.arguments, functions=False)
    call.shell.leave("exit", status)
    return status


def _env(call: Call) -> int:
    """env, nice and the like: the command that they start, with variables of its own."""
    words = list(call.arguments)
    before, exported = dict(call.shell.variables), set(call.shell.exported)
    while words and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", words[0], re.DOTALL):
        name, _, value = words.pop(0).partition("=")
        call.shell.assign(name, value)
        call.shell.exported.add(name)
    try:
        if not words or words[0].startswith("-"):
            raise call.unknown("its option is not known here")
        return call.shell.call(words, functions=False)
    finally:
        call.shell.variables, call.shell.exported = before, exported


def _getopts(call: Call) -> int:
    """getopts: the next option of the arguments (POSIX); ``OPTIND`` says which, and how many letters of it are done."""
    if len(call.arguments) < 2 or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", call.arguments[1]):
        raise call.unknown("its options are not known here")
    known, name, *given = call.arguments
    words, variables = given or call.shell.arguments, call.shell.variables
    at, _, done = variables.get("OPTIND", "1").partition(":")
    number, letter = int(at if at.isdecimal() and len(at) < 6 else "1"), int(done or "1")
    word = words[number - 1] if number <= len(words) else ""
    if number > len(words) or not word.startswith("-") or word in ("-", "--"):
        variables["OPTIND"], variables[name] = str(number + (word == "--")), "?"
        return 1
    option, rest = word[letter], word[letter + 1 :]
    where = known.lstrip(":").find(option) if option != ":" else -1
    variables.pop("OPTARG", None)
    if where >= 0 and known.lstrip(":")[where + 1 : where + 2] == ":":
        if not rest and number >= len(words):
            variables[name], variables["OPTARG"] = (":", option) if known.startswith(":") else ("?", "")
            variables["OPTIND"] = str(number + 1)
            return 0
        variables["OPTARG"] = rest or words[number]
        number, rest = number + (1 if rest else 2), ""
        variables["OPTIND"] = str(number)
    else:
        variables["OPTIND"] = f"{number}:{letter + 1}" if rest else str(number + 1)
    if where < 0 and known.startswith(":"):
        variables["OPTARG"] = option
    variables[name] = option if where >= 0 else "?"
    return 0


def _sh(call: Call) -> int:
    """A shell that is started: with a command, a file, or what is piped into it."""
    words = list(call.arguments)
    options = set[str]()
    while words and re.fullmatch("-[euxc]+", words[0]):
        options |= set(words.pop(0)[1:])
    head = f"#!/bin/{call.name} -{'e' if 'e' in options else ''}{'u' if 'u' in options else ''}".rstrip(" -") + "\n"
    if "c" in options and words:
        text, zero, rest = words[0], (words[1:2] or [call.name])[0], words[2:]
    elif words and not words[0].startswith("-"):
        text, zero, rest = call.tree.read(words[0]), words[0], words[1:]
    else:
        raise call.unknown("what it is to do is not known here")
    return call.shell.script(f"{head}{text}", rest, zero)


def _test_fails(path: str, call: Call) -> bool:
    return not shelltest.holds(["-x", path], call.tree) or call.tree.is_folder(path)


BUILTINS: Mapping[str, Command] = {
    **dict.fromkeys(("true", ":", "export", "hash", "wait"), idle(0)),
    **dict.fromkeys(("test", "["), _test),
    **dict.fromkeys(("exit", "return", "break", "continue"), _leave),
    **dict.fromkeys(("which", "type"), which),
    **dict.fromkeys(("sh", "dash", "bash"), _sh),
    ".": _source,
    "cd": _cd,
    "command": _command,
    "echo": _echo,
    "env": _env,
    "eval": _eval,
    "exec": _exec,
    "false": idle(1),
    "getopts": _getopts,
    "printf": _printf,
    "pwd": _pwd,
    "read": _read,
    "set": _set,
    "shift": _shift,
    "source": _source,
    "trap": _trap,
    "umask": _umask,
}
"""The commands, by name."""
