"""What a shell starts, and where it looks for programs: command, which, type, exec, env and shells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from oci_builder.debian import shelltest
from oci_builder.debian.shell import SEARCHED, Call, Command

_BUILTINS = frozenset(
    (
        *("true", "false", ":", "echo", "printf", "exit", "return", "set", "shift", "command", "test", "[", "read"),
        *("cd", "pwd", "umask", "export", "eval", "break", "continue", "trap", "type", "unset", "wait", "hash"),
    )
)


def _command(call: Call) -> int:
    if call.arguments[:1] == ["-v"] and len(call.arguments) == 2:
        return _told(call, call.arguments[1:])
    if not call.arguments or call.arguments[0].startswith("-"):
        raise call.unknown("its option is not known here")
    return call.shell.call(call.arguments, functions=False)


def _which(call: Call) -> int:
    """Tell where programs are: in the tree, or among those that whoever installs packages has."""
    if call.name == "hash" and list(call.arguments) == ["-r"]:
        return 0
    if not call.arguments:
        raise call.unknown("what it looks for is not known here")
    return _told(call, call.arguments)


def _told(call: Call, names: Sequence[str]) -> int:
    status = 0
    for name in names:
        if name.startswith("-"):
            raise call.unknown("its option is not known here")
        if call.name != "_which" and (name in _BUILTINS or name in call.shell.functions):
            if call.name == "type" and call.is_heard:
                raise call.unknown("shells differ about what it says")
            call.say(f"{name}\n" if call.name == "command" else "")
            continue
        places = [name] if "/" in name else [f"{folder}/{name}" for folder in SEARCHED]
        found = next((place for place in places if not _test_fails(place, call)), "")
        if found and call.name not in ("type", "hash"):
            call.say(f"{found}\n")
        elif found and call.name == "type":
            call.say(f"{name} is {found}\n")
        status = status if found else (127 if call.name in ("command", "type") and not call.shell.is_bash else 1)
    return status


def _exec(call: Call) -> int:
    if not call.arguments:
        # Redirections alone: those that would matter are not known, and end the walk before.
        raise call.unknown("where it writes from now on is not known here")
    status = call.shell.call(call.arguments, functions=False)
    call.shell.leave("exit", status)
    return status


def _env(call: Call) -> int:
    """env: the command that it starts, with variables of its own."""
    words = list(call.arguments)
    before, exported = dict[str, str | None](), set(call.shell.exported)
    while words and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", words[0], re.DOTALL):
        name, _, value = words.pop(0).partition("=")
        before.setdefault(name, call.shell.variables.get(name))
        call.shell.assign(name, value)
        call.shell.exported.add(name)
    try:
        if not words or words[0].startswith("-"):
            raise call.unknown("its option is not known here")
        return call.shell.call(words, functions=False)
    finally:
        call.shell.unassign(before)
        call.shell.exported = exported


def _sh(call: Call) -> int:
    """A shell that is started: with a command, or a file."""
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


STARTING: Mapping[str, Command] = {
    **dict.fromkeys(("which", "type", "hash"), _which),
    **dict.fromkeys(("sh", "dash", "bash"), _sh),
    "command": _command,
    "env": _env,
    "exec": _exec,
}
"""The commands, by name."""
