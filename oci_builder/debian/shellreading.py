"""read and getopts of a shell: words of a line, and options of arguments (POSIX.1-2017, XCU)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.shell import Call, Command


def _read(call: Call) -> int:
    options, _, names = values_of(call, "r", {}, {}, leading=True)
    if not names:
        raise call.unknown("what it reads into is not known here")
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


READING: Mapping[str, Command] = {"getopts": _getopts, "read": _read}
"""The commands, by name."""
