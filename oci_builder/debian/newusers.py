"""Users and groups of the system's that maintainer scripts make, in the tree's files (passwd(5), group(5), shadow(5)).

Numbers are those that Debian's own programs would give: adduser takes the first that is free from 100 on, useradd and
groupadd go down from the lowest that is taken. They follow from the packages and their order alone, unless the lock has
them already: then they stay, whatever packages come along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.debian.scripttree import ScriptTree, Unwritable
from oci_builder.debian.shell import Call, Command
from oci_builder.errors import UnsafePath

_FIRST, _LAST = 100, 999
_LOWEST = 101
_USERS = 100
_NOGROUP = 65_534
_NOBODYS = "/nonexistent"
_NO_SHELL = "/usr/sbin/nologin"
_NUMBER = re.compile(r"[0-9]{1,9}")

_FLAGS = frozenset(
    (
        *("--system", "--quiet", "--group", "--no-create-home", "--disabled-password", "--disabled-login"),
        *("--force-badname", "--allow-badname", "--allow-bad-names", "--allow-all-names"),
        *("-r", "-f", "-M", "-N", "-U", "-l", "--no-log-init", "--no-user-group", "--user-group", "--force"),
    )
)
_VALUES = {
    "--home": "home",
    "--home-dir": "home",
    "-d": "home",
    "--shell": "shell",
    "-s": "shell",
    "--gecos": "gecos",
    "--comment": "gecos",
    "-c": "gecos",
    "--uid": "uid",
    "-u": "uid",
    "--gid": "gid",
    "-g": "gid",
    "--ingroup": "ingroup",
    "--groups": "groups",
    "-G": "groups",
}


@dataclass
class _Asked:
    """What a command asks for: its flags, values and names."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


def _asked(call: Call) -> _Asked:
    found, words = _Asked(), list(call.arguments)
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if not word.startswith("-"):
            found.names.append(word)
        elif word in _FLAGS:
            found.flags.add(word)
        elif option in _VALUES and (equals or words):
            found.values[_VALUES[option]] = value if equals else words.pop(0)
        else:
            raise call.unknown(f"its option {word} is not known here")
    for text in (*found.values.values(), *found.names):
        if ":" in text or "\n" in text:
            raise call.unknown("a line of an account cannot hold that")
    return found


def _lines(call: Call, file: str) -> list[list[str]]:
    path = f"/etc/{file}"
    text = call.tree.read(path) if call.tree.has(path) else ""
    return [line.split(":") for line in text.splitlines() if line]


def _find(call: Call, file: str, name: str) -> list[str] | None:
    return next((line for line in _lines(call, file) if line[0] == name), None)


def _append(call: Call, file: str, line: str) -> None:
    path = f"/etc/{file}"
    if file in ("passwd", "group") or call.tree.has(path):
        text = call.tree.read(path) if call.tree.has(path) else ""
        call.tree.write(path, f"{text}{line}\n")


def _taken(call: Call, file: str) -> set[int]:
    return {_number(call, line[2]) for line in _lines(call, file) if len(line) > 2}


def _up(call: Call, file: str, name: str) -> int:
    """The first free number, as adduser looks for one."""
    return _first(call, range(_FIRST, _LAST + 1), file, name)


def _down(call: Call, file: str, name: str) -> int:
    """The number below the lowest that is taken, as useradd and groupadd take it; else the highest free one."""
    taken = _taken(call, file)
    lowest = min((number for number in taken if _LOWEST <= number <= _LAST), default=_LAST + 1)
    return _first(call, (*range(lowest - 1, _LOWEST - 1, -1), *range(_LAST, lowest, -1)), file, name)


def _first(call: Call, numbers: Iterable[int], file: str, name: str) -> int:
    """The number that the lock has for ``name``; else the first that is free, and nobody's there."""
    locked, taken = call.tree.numbers.get(file, {}), _taken(call, file)
    if (known := locked.get(name)) is not None and known not in taken:
        return known
    taken |= set(locked.values())
    found = next((number for number in numbers if number not in taken), None)
    if found is None:
        raise call.unknown("no number of the system's is free")
    return found


def _number(call: Call, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise call.unknown(f"{text!r} is no number")
    return int(text)


def _make_group(call: Call, name: str, number: int) -> int:
    _append(call, "group", f"{name}:x:{number}:")
    _append(call, "gshadow", f"{name}:!::")
    return number


def _group_of(call: Call, name: str) -> int:
    if name.isdecimal():
        return _number(call, name)
    line = _find(call, "group", name)
    if line is None or len(line) < 3:
        raise call.unknown(f"there is no group {name}")
    return _number(call, line[2])


def _group(call: Call) -> int:
    """addgroup --system and groupadd."""
    asked = _asked(call)
    if len(asked.names) != 1 or asked.flags.isdisjoint(("--system", "-r")):
        raise call.unknown("only groups of the system's are known here")
    if _find(call, "group", asked.names[0]) is not None:
        return 0 if call.name == "addgroup" or not asked.flags.isdisjoint(("-f", "--force")) else 9
    wanted, next_one = asked.values.get("gid"), _down if call.name == "groupadd" else _up
    number = next_one(call, "group", asked.names[0]) if wanted is None else _number(call, wanted)
    _make_group(call, asked.names[0], number)
    return 0


def _adduser(call: Call) -> int:
    """adduser --system, and adduser USER GROUP."""
    asked = _asked(call)
    if len(asked.names) == 2 and not asked.values and asked.flags <= {"--quiet"}:
        return _join(call, asked.names[0], asked.names[1:])
    if len(asked.names) != 1 or "--system" not in asked.flags:
        raise call.unknown("only users of the system's are known here")
    (name,) = asked.names
    if _find(call, "passwd", name) is not None:
        return 0
    uid = _up(call, "passwd", name) if "uid" not in asked.values else _number(call, asked.values["uid"])
    if "--group" in asked.flags:
        there = _find(call, "group", name)
        gid = _make_group(call, name, _up(call, "group", name)) if there is None else _number(call, there[2])
    else:
        group = asked.values.get("ingroup", asked.values.get("gid"))
        gid = _NOGROUP if group is None else _group_of(call, group)
    home = asked.values.get("home", _NOBODYS)
    _make_user(call, name, uid, gid, asked, home=home)
    if "--no-create-home" not in asked.flags and home != _NOBODYS and not call.tree.is_folder(home):
        call.tree.folder(home)
        call.tree.change(home, owner=(uid, gid))
    return 0


def _useradd(call: Call) -> int:
    """useradd -r; no home is made."""
    asked = _asked(call)
    if len(asked.names) != 1 or asked.flags.isdisjoint(("--system", "-r")):
        raise call.unknown("only users of the system's are known here")
    (name,) = asked.names
    if _find(call, "passwd", name) is not None:
        return 9
    group, alone = asked.values.get("gid"), asked.flags.isdisjoint(("-N", "--no-user-group"))
    given = asked.values.get("uid")
    uid = _down(call, "passwd", name) if given is None else _number(call, given)
    if group is None and not alone:
        group = str(_USERS)
    # Its own group has its number, where that is free.
    locked = call.tree.numbers.get("group", {})
    is_free = name not in locked and uid not in {*_taken(call, "group"), *locked.values()}
    own = uid if is_free else _down(call, "group", name)
    gid = _make_group(call, name, own) if group is None else _group_of(call, group)
    _make_user(call, name, uid, gid, asked, home=asked.values.get("home", f"/home/{name}"))
    return _join(call, name, [each for each in asked.values.get("groups", "").split(",") if each])


def _make_user(call: Call, name: str, uid: int, gid: int, asked: _Asked, *, home: str) -> None:
    usual = "/bin/sh" if call.name == "useradd" else _NO_SHELL
    shell, gecos = asked.values.get("shell", usual), asked.values.get("gecos", "")
    if gecos and call.name == "adduser":
        # It has chfn write the name, which has three more fields: room and telephones.
        gecos += "," * max(3 - gecos.count(","), 0)
    _append(call, "passwd", f"{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}")
    # Without the day of the last change, which would be another tomorrow.
    _append(call, "shadow", f"{name}:!:::::::")


def _usermod(call: Call) -> int:
    """usermod -aG GROUPS USER."""
    words = list(call.arguments)
    if len(words) == 4 and words[:2] in (["-a", "-G"], ["--append", "--groups"]):
        words = ["-aG", *words[2:]]
    if len(words) != 3 or words[0] != "-aG":
        raise call.unknown("what it changes is not known here")
    return _join(call, words[2], words[1].split(","))


def _join(call: Call, user: str, groups: Sequence[str]) -> int:
    """Have ``user`` be in ``groups`` too, which are there."""
    if ":" in user or "\n" in user:
        raise call.unknown("a line of an account cannot hold that")
    if any(_find(call, "group", group) is None for group in groups):
        return 6
    for file in ("group", "gshadow") if groups else ():
        changed = [
            _with_member(line, user) if line[0] in groups and len(line) == 4 else line for line in _lines(call, file)
        ]
        if changed:
            call.tree.write(f"/etc/{file}", "".join(f"{':'.join(line)}\n" for line in changed))
    return 0


def _with_member(line: list[str], user: str) -> list[str]:
    members = [each for each in line[3].split(",") if each]
    return [*line[:3], ",".join(members if user in members else [*members, user])]


def made_accounts(tree: ScriptTree, below: ScriptTree) -> dict[str, dict[str, int]]:
    """By file of /etc (passwd, group) the numbers of the accounts that ``tree`` has, and ``below`` has not."""
    found: dict[str, dict[str, int]] = {}
    for file in ("passwd", "group"):
        before, after = (_numbers_in(each, f"/etc/{file}") for each in (below, tree))
        found[file] = {name: number for name, number in sorted(after.items()) if name not in before}
    return found


def _numbers_in(tree: ScriptTree, path: str) -> dict[str, int]:
    try:
        text = tree.read(path)
    except (Unwritable, UnsafePath):
        return {}
    lines = (line.split(":") for line in text.splitlines())
    return {line[0]: int(line[2]) for line in lines if len(line) > 2 and _NUMBER.fullmatch(line[2])}


ACCOUNTS: Mapping[str, Command] = {
    "addgroup": _group,
    "adduser": _adduser,
    "groupadd": _group,
    "useradd": _useradd,
    "usermod": _usermod,
}
"""The commands, by name."""
