"""ls and stat of maintainer scripts (coreutils), by the order of names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.filemodes import account_name
from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Entry, Kind


def _ls(call: Call) -> int:
    options, _, paths = values_of(call, "1aAd", {}, {})
    if options & {"a"}:
        raise call.unknown("its option is not known here")
    status, files, folders = 0, list[str](), list[str]()
    for path in sorted(paths or ["."]):
        if call.tree.is_folder(path) and "d" not in options:
            folders.append(path)
        elif call.tree.has(path) or call.tree.get(path, follow=False) is not None:
            files.append(path)
        else:
            status = 2
    call.say("".join(f"{path}\n" for path in files))
    for number, path in enumerate(folders):
        if len(paths) > 1:
            call.say(f"{chr(10) if number or files else ''}{path}:\n")
        names = (name for name in call.tree.children(path) if "A" in options or not name.startswith("."))
        call.say("".join(f"{name}\n" for name in names))
    return status


def _stat(call: Call) -> int:
    letters, values, paths = values_of(call, "L", {"c": "c"}, {"--format": "c", "--dereference": "L"})
    form = values.get("c", "")
    if not form or not re.fullmatch(r"(?:[^%]|%[augUGnsF])*", form):
        raise call.unknown("what it tells is not known here")
    for path in paths:
        entry = call.tree.get(path, follow="L" in letters)
        if entry is None and not call.tree.is_folder(path):
            return 1
        pieces = re.split("%([augUGnsF])", form)
        told = (_told(call, piece, path, entry) if at % 2 else piece for at, piece in enumerate(pieces))
        call.say("".join(told) + "\n")
    return 0


def _told(call: Call, letter: str, path: str, entry: Entry | None) -> str:
    uid, gid = (entry.uid, entry.gid) if entry is not None else (0, 0)
    kind = entry.kind if entry is not None else Kind.DIRECTORY
    if letter == "s" and (entry is None or kind is Kind.DIRECTORY):
        raise call.unknown("the size of a folder is not known")
    return {
        "a": f"{entry.mode if entry is not None else 0o755:o}",
        "u": str(uid),
        "g": str(gid),
        "U": account_name(call, "passwd", uid),
        "G": account_name(call, "group", gid),
        "n": path,
        "s": str(entry.size if entry is not None else 0),
        "F": {Kind.DIRECTORY: "directory", Kind.SYMLINK: "symbolic link"}.get(kind, "regular file"),
    }[letter]


LISTING: Mapping[str, Command] = {"ls": _ls, "stat": _stat}
"""The commands, by name."""
