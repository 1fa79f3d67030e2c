"""Commands that maintainer scripts call: what each makes of a tree, or that it does nothing there.

Each is a function of its call: it changes the tree that the script is walked over, and gives its status. An argument
that none of them knows ends the walk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from oci_builder.debian import shelltest
from oci_builder.debian.alternatives import update_alternatives
from oci_builder.debian.commandoptions import split_options
from oci_builder.debian.debconf import CONFMODULE, DEBCONF
from oci_builder.debian.filecommands import FILES, mode_of, number_of
from oci_builder.debian.grep import grep
from oci_builder.debian.newusers import ACCOUNTS
from oci_builder.debian.shell import Call, Command
from oci_builder.debian.versions import version_key
from oci_builder.tree.entry import Kind

_BUILTINS = frozenset(
    (
        *("true", "false", ":", "echo", "printf", "exit", "return", "set", "shift", "command", "test", "[", "read"),
        *("cd", "pwd", "umask", "export", "eval", "break", "continue", "trap", "type", "unset", "wait"),
    )
)
_SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def _status(status: int) -> Command:
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


def _echo(call: Call) -> int:
    words = list(call.arguments)
    newline = "" if words[:1] == ["-n"] else "\n"
    if any("\\" in word for word in words) or words[:1] == ["-e"]:
        raise call.unknown("shells differ about what it writes")
    call.say(" ".join(words[1:] if not newline else words) + newline)
    return 0


def _printf(call: Call) -> int:
    if not call.arguments:
        raise call.unknown("it has no format")
    form, *values = call.arguments
    pieces = re.split(r"(%s|%%|\\n|\\t)", form)
    if any("%" in piece or "\\" in piece for piece in pieces[::2]) or ("%s" not in form and values):
        raise call.unknown("its format is not known here")
    left = list(values)
    known = {"%%": "%", "\\n": "\n", "\\t": "\t"}
    while True:
        # The format is used again as long as there is anything left.
        for each in pieces:
            word = (left.pop(0) if left else "") if each == "%s" else each
            call.say(known.get(each, word))
        if not left:
            return 0


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
            if letter not in "euxvf":
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
    return call.shell.source(call.tree.read(path))


def _read(call: Call) -> int:
    options, names = split_options(call, "r")
    line = call.shell.read_line()
    parts = (line or "").split(None, max(len(names) - 1, 0)) if names else []
    if "\\" in (line or "") and "r" not in options:
        raise call.unknown("a line with a backslash goes on in the next")
    for number, name in enumerate(names):
        call.shell.variables[name] = parts[number].rstrip() if number < len(parts) else ""
    return int(line is None)


def _command(call: Call) -> int:
    if call.arguments[:1] in (["-v"], ["-V"]):
        return _which(call)
    if not call.arguments or call.arguments[0].startswith("-"):
        raise call.unknown("its option is not known here")
    return call.shell.call(call.arguments)


def _umask(call: Call) -> int:
    if list(call.arguments) not in (["022"], ["0022"]):
        raise call.unknown("what is made after that would have other modes")
    return 0


def _uname(call: Call) -> int:
    if list(call.arguments) not in ([], ["-s"]):
        raise call.unknown("what it asks for is not known here")
    call.say("Linux\n")
    return 0


def _ucf(call: Call) -> int:
    """Copy a configuration file to where it is read; nobody has changed it."""
    _, paths = split_options(call, "", "--three-way", "--debconf-ok", "--sum-file")
    if len(paths) != 2:
        raise call.unknown("what it is to do is not known here")
    source, path = paths
    entry = call.tree.get(source)
    if entry is None or entry.kind is not Kind.FILE:
        return 1
    if not call.tree.has(path):
        call.tree.copy(entry, path)
    return 0


def _which(call: Call) -> int:
    """Tell where programs are: in the tree, or among those that whoever installs packages has."""
    status = 0
    for name in call.arguments:
        if name.startswith("-"):
            continue
        if call.name == "command" and (name in _BUILTINS or call.shell.is_function(name)):
            call.say(f"{name}\n")
            continue
        places = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in _SEARCHED]
        found = next((place for place in places if not shelltest_fails(place, call)), "")
        if found:
            call.say(f"{found}\n")
        status = status if found else 1
    return status


def shelltest_fails(path: str, call: Call) -> bool:
    """Whether no program is at ``path``."""
    return not shelltest.holds(["-x", path], call.tree) or call.tree.is_folder(path)


def _id(call: Call) -> int:
    if list(call.arguments) not in (["-u"], ["-g"]):
        raise call.unknown("whom it asks about is not known here")
    call.say("0\n")
    return 0


def _cd(call: Call) -> int:
    if list(call.arguments) != ["/"]:
        raise call.unknown("the folder that a script is in is the root here")
    return 0


# dpkg's.

_COMPARISONS = {"lt": (-1,), "le": (-1, 0), "eq": (0,), "ne": (-1, 1), "ge": (0, 1), "gt": (1,)}


def _dpkg(call: Call) -> int:
    words = list(call.arguments)
    if words == ["--print-architecture"]:
        call.say(f"{call.shell.variables['DPKG_MAINTSCRIPT_ARCH']}\n")
        return 0
    if len(words) == 4 and words[0] == "--compare-versions":
        one, relation, other = words[1:]
        known = _COMPARISONS.get(relation.removesuffix("-nl"))
        if known is None:
            raise call.unknown("its comparison is not known here")
        return int(_compared(one, other, without=1 if relation.endswith("-nl") else -1) not in known)
    raise call.unknown("what it asks for is not known here")


def _compared(one: str, other: str, *, without: int) -> int:
    """Like ``cmp``; no version at all is before any, or after any (dpkg(1), ``lt-nl``), as ``without`` says."""
    if not one or not other:
        return (bool(other) - bool(one)) * without
    first, second = version_key(one), version_key(other)
    return (first > second) - (first < second)


def _maintscript_helper(call: Call) -> int:
    if call.arguments[:1] and call.arguments[0] in _MAINTSCRIPT:
        # What was there before is moved or taken away, and nothing was.
        return 0
    raise call.unknown("what it is to do is not known here")


_MAINTSCRIPT = ("rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink", "supports")


TRIGGER = "trigger:"
"""Before the name of a trigger in the variables of a shell, where no variable of a script can be."""


def _trigger(call: Call) -> int:
    """Have the packages that wait for a trigger configured for it, at the end."""
    _, words = split_options(call, "", "--no-await", "--await")
    if len(words) != 1:
        raise call.unknown("what it is to do is not known here")
    call.shell.variables[f"{TRIGGER}{words[0]}"] = "1"
    return 0


_STATUS, _OVERRIDES = "/var/lib/dpkg/status", "/var/lib/dpkg/statoverride"


def _statoverride(call: Call) -> int:
    overridden = call.tree.read(_OVERRIDES) if call.tree.has(_OVERRIDES) else ""
    if "--list" in call.arguments:
        patterns = [word for word in call.arguments if not word.startswith("--")] or ["*"]
        lines = [line for line in overridden.splitlines() if any(fnmatchcase(_path(line), each) for each in patterns)]
        call.say("".join(f"{line}\n" for line in lines))
        return int(not lines)
    words = [word for word in call.arguments if word not in ("--update", "--add", "--force", "--force-all", "--quiet")]
    if "--add" not in call.arguments or "--update" not in call.arguments or len(words) != 4:
        raise call.unknown("what it is to do is not known here")
    user, group, mode, path = words
    if not call.tree.has(path):
        return 2
    owner = number_of(call, "passwd", user), number_of(call, "group", group)
    call.tree.change(path, mode=mode_of(call, mode), owner=owner)
    if call.tree.has(_STATUS):
        # Where dpkg keeps its lists it unpacks the next version like this, too.
        kept = [line for line in overridden.splitlines() if _path(line) != path]
        call.tree.write(_OVERRIDES, "".join(f"{line}\n" for line in [*kept, f"{user} {group} {mode} {path}"]))
    return 0


def _path(line: str) -> str:
    """The path in a line of what is overridden: owner, group, mode, path."""
    return "".join(line.split(None, 3)[3:])


def _schemas(call: Call) -> int:
    folder = "/usr/share/glib-2.0/schemas"
    if call.tree.is_folder(folder) and any(name.endswith(".xml") for name in call.tree.children(folder)):
        raise call.unknown(f"it would compile the settings in {folder}")
    return 0


_IDLE = (
    # Services: no init system runs in a container.
    *("deb-systemd-helper", "deb-systemd-invoke", "systemctl", "update-rc.d", "invoke-rc.d", "service"),
    # Caches that a program makes when it lacks them, or that only make it faster.
    *("fc-cache", "py3compile", "py3clean", "pypy3compile", "pypy3clean", "ldconfig", "gio-querymodules"),
    # Menus and icons of desktops, and what only they ask for.
    *("update-menus", "update-mime", "update-desktop-database", "update-icon-caches", "gtk-update-icon-cache"),
    "update-mime-database",
    # What the kernel has, which is the host's; the words of a dictionary for readers who chose none.
    *("apparmor_parser", "modprobe", "update-dictcommon-hunspell", "update-dictcommon-aspell"),
)
"""What does nothing, or nothing that a container has a use for."""

COMMANDS: Mapping[str, Command] = {
    **dict.fromkeys(_IDLE, _status(0)),
    **dict.fromkeys(("true", ":"), _status(0)),
    **dict.fromkeys(("test", "["), _test),
    **dict.fromkeys(("exit", "return", "break", "continue"), _leave),
    **dict.fromkeys(("grep", "egrep", "fgrep"), grep),
    **DEBCONF,
    **ACCOUNTS,
    **FILES,
    ".": _source,
    "aa-enabled": _status(1),
    "cd": _cd,
    "command": _command,
    "dpkg": _dpkg,
    "dpkg-maintscript-helper": _maintscript_helper,
    "dpkg-statoverride": _statoverride,
    "dpkg-trigger": _trigger,
    "echo": _echo,
    "false": _status(1),
    "glib-compile-schemas": _schemas,
    "id": _id,
    "printf": _printf,
    "read": _read,
    "set": _set,
    "shift": _shift,
    "ucf": _ucf,
    "ucfr": _status(0),
    "umask": _umask,
    "uname": _uname,
    "update-alternatives": update_alternatives,
    "which": _which,
}
"""All that are known, by name."""
