"""Modes and owners as maintainer scripts write them: in octal and in letters, by name and by number."""

from __future__ import annotations

import re

from oci_builder.debian.shell import Call
from oci_builder.tree.entry import Kind

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ALL = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}


def mode_of(call: Call, text: str) -> int:
    """The mode that is written in octal digits. Raises NotKnown for any other."""
    if not re.fullmatch(r"0?[0-7]{1,4}", text):
        raise call.unknown(f"the mode {text!r} is not known here")
    return int(text, 8)


def change_mode(call: Call, path: str, text: str) -> None:
    """Give what is at ``path`` the mode ``text``, in octal or in letters (chmod(1))."""
    if re.fullmatch(r"[0-7]{1,5}", text):
        mode, entry = int(text, 8) & 0o7777, call.tree.get(path)
        if entry is not None and entry.kind is Kind.DIRECTORY and len(text) < 5:
            # GNU's leaves these bits of a folder, unless five digits say otherwise.
            mode |= entry.mode & 0o6000
        call.tree.change(path, mode=mode)
        return
    entry = call.tree.get(path)
    if entry is None:
        raise call.unknown(f"{path} is not there")
    mode = entry.mode
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise call.unknown(f"the mode {text!r} is not known here")
        mode = _changed(call, match, mode, is_folder=entry.kind is Kind.DIRECTORY)
    call.tree.change(path, mode=mode)


def _changed(call: Call, match: re.Match[str], mode: int, *, is_folder: bool) -> int:
    who = set(match[1] or "a") & set("ugo") or set("ugo")
    # Without anybody named umask's bits stay as they are.
    reach = sum(_ALL[each] for each in who) & ~(0 if match[1] else call.tree.mask)
    for operator, letters in re.findall(r"([-+=])([rwxXstugo]*)", match[2]):
        bits = 0
        for letter in letters:
            if letter in _BITS:
                bits |= _BITS[letter]
            elif letter == "X":
                bits |= 0o111 if is_folder or mode & 0o111 else 0
            elif letter == "s":
                bits |= 0o6000
            elif letter == "t":
                bits |= 0o1000
            else:
                shift = {"u": 6, "g": 3, "o": 0}[letter]
                bits |= (mode >> shift & 7) * 0o111
        bits &= reach
        if operator == "+":
            mode |= bits
        elif operator == "-":
            mode &= ~bits
        else:
            kept = mode & 0o6000 if is_folder else 0
            mode = mode & ~reach | bits | kept
    return mode


def owner_of(call: Call, user: str, group: str) -> tuple[int | None, int | None]:
    """The numbers of a user and a group, either of which may be nobody named."""
    return number_of(call, "passwd", user), number_of(call, "group", group)


def number_of(call: Call, database: str, name: str) -> int | None:
    """The number of an account; None without a name. Raises NotKnown for a name that is not there."""
    if not name or name.isdecimal():
        if len(name) > 9 or not name.isascii():
            raise call.unknown(f"{name[:40]!r} is no number of /etc/{database}")
        return int(name) if name else None
    line = account(call, database, name)
    if line is None:
        raise call.unknown(f"there is no {name} in /etc/{database}")
    number = line.split(":")[2]
    if not re.fullmatch("[0-9]{1,9}", number):
        raise call.unknown(f"/etc/{database} has no number for {name}")
    return int(number)


def account(call: Call, database: str, name: str) -> str | None:
    """The line of an account, by its name or number."""
    lines = call.tree.read(f"/etc/{database}").splitlines() if call.tree.has(f"/etc/{database}") else []
    at = 2 if name.isdecimal() and database in ("passwd", "group") else 0
    return next((line for line in lines if line.count(":") >= 3 and line.split(":")[at] == name), None)


def account_name(call: Call, database: str, number: int) -> str:
    """The name of an account, or UNKNOWN as stat says."""
    line = account(call, database, str(number))
    return line.split(":")[0] if line is not None else "UNKNOWN"
