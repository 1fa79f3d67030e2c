"""Commands of maintainer scripts that make, change and name files, links and folders of the tree (coreutils)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from oci_builder.debian.commandoptions import SELINUX, check_unheard, values_of
from oci_builder.debian.copycommands import COPIES
from oci_builder.debian.filemodes import account, change_mode, owner_of
from oci_builder.debian.pathcommands import PATHS
from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Kind


def _mkdir(call: Call) -> int:
    words = {"--parents": "p", "--verbose": "v", "--mode": "m", **SELINUX}
    plain, values, folders = values_of(call, "pvZ", {"m": "m"}, words)
    check_unheard(call, plain)
    for folder in folders:
        made = False
        for path in with_parents(folder) if "p" in plain else [folder]:
            if call.tree.is_folder(path):
                if "p" not in plain:
                    return 1
                made = False
                continue
            if call.tree.get(path, follow=False) is not None or not call.tree.is_folder(posixpath.dirname(path) or "."):
                return 1
            call.tree.folder(path)
            made = True
        if "m" in values and made:
            change_mode(call, folder, values["m"])
    return 0


def with_parents(path: str) -> list[str]:
    """The folders above ``path``, from the root, and itself."""
    parts, root = [part for part in path.split("/") if part], "/" if path.startswith("/") else ""
    return [root + "/".join(parts[: number + 1]) for number in range(len(parts))]


def _touch(call: Call) -> int:
    letters, _, paths = values_of(call, "acm", {"d": "d", "t": "d", "r": "d"}, {"--no-create": "c"})
    for path in paths:
        if not call.tree.has(path) and "c" not in letters:
            call.tree.write(path, "")
    return 0


def _rm(call: Call) -> int:
    words = {"--force": "f", "--recursive": "r", "--verbose": "v", "--dir": "d", "--one-file-system": "o"}
    letters, _, paths = values_of(call, "rfRdv", {}, words)
    check_unheard(call, letters)
    status = 0
    for path in paths:
        entry = call.tree.get(path, follow=False)
        if entry is None and not call.tree.is_folder(path):
            status = status if "f" in letters else 1
        elif entry is None or entry.kind is Kind.DIRECTORY:
            is_empty = "d" in letters and not call.tree.children(path)
            if not letters & {"r", "R"} and not is_empty:
                status = 1
                continue
            # Said of the whole before any of it: what the base has is not taken away.
            call.tree.check_removable(path)
            for inner in list(call.tree.below(path)):
                call.tree.remove(inner)
            call.tree.remove(path)
        else:
            call.tree.remove(path)
    return status


def _rmdir(call: Call) -> int:
    words = {"--ignore-fail-on-non-empty": "i", "--parents": "p", "--verbose": "v"}
    letters, _, paths = values_of(call, "pv", {}, words)
    check_unheard(call, letters)
    status = 0
    for path in paths:
        todo = with_parents(path)[::-1] if "p" in letters else [path]
        for each in todo:
            if not call.tree.is_folder(each) or call.tree.children(each):
                is_full = call.tree.is_folder(each) and "i" in letters
                status = status if is_full else 1
                break
            call.tree.remove(each)
    return status


def _chmod(call: Call) -> int:
    letters, words = _changing(call, "fvRc")
    if not words:
        raise call.unknown("it has no mode")
    for path in _each(call, words[1:], letters):
        if "R" in letters and call.tree.is_link(path):
            # What links in folders lead to is left alone.
            continue
        if not call.tree.has(path):
            return 1
        change_mode(call, path, words[0])
    return 0


def _changing(call: Call, known: str) -> tuple[set[str], list[str]]:
    """Options and words of chmod and chown; a mode may begin with a dash."""
    words = list(call.arguments)
    mode = next((n for n, word in enumerate(words) if re.fullmatch(r"-[rwxXst]+(?:,.*)?", word)), None)
    if mode is not None and call.name == "chmod":
        words.insert(mode, "--")
    long = {"--recursive": "R", "--quiet": "f", "--silent": "f", "--verbose": "v"}
    long |= {"--no-dereference": "h"} if "h" in known else {}
    letters, _, others = values_of(call, known, {}, long, words)
    check_unheard(call, letters)
    return letters, others


def _each(call: Call, paths: list[str], letters: set[str]) -> list[str]:
    """The paths, and what is in them where all is to be changed."""
    if "R" not in letters:
        return paths
    inner = [path for folder in paths if call.tree.is_folder(folder) for path in call.tree.below(folder)]
    return [*paths, *inner]


def _chown(call: Call) -> int:
    letters, words = _changing(call, "fhvRc")
    if not words:
        raise call.unknown("it names nobody")
    user, _, group = words[0].partition(":") if ":" in words[0] else words[0].partition(".")
    if call.name == "chgrp":
        user, group = "", words[0]
    owner = owner_of(call, user, group)
    # Of links in folders the links themselves change hands, with -R those that are named as well.
    follows = not letters & {"h", "R"}
    for path in _each(call, words[1:], letters):
        if call.tree.get(path, follow=follows) is None:
            return 1
        call.tree.change(path, owner=owner, follow=follows)
        entry = call.tree.get(path, follow=follows)
        if entry is not None and entry.kind is Kind.FILE and entry.mode & 0o6000:
            # The kernel takes these bits away from a file that changes hands.
            kept = entry.mode & ~0o4000 if not entry.mode & 0o010 else entry.mode & ~0o6000
            call.tree.change(path, mode=kept, follow=follows)
    return 0


def _getent(call: Call) -> int:
    if len(call.arguments) not in (1, 2) or call.arguments[0] not in ("passwd", "group", "shadow", "gshadow"):
        raise call.unknown("what it asks for is not known here")
    database, *names = call.arguments
    if not names:
        call.say(call.tree.read(f"/etc/{database}"))
        return 0
    line = account(call, database, names[0])
    call.say(f"{line}\n" if line is not None else "")
    return 0 if line is not None else 2


def _cat(call: Call) -> int:
    _, _, paths = values_of(call, "u", {}, {})
    status, found = 0, list[str]()
    for path in paths or ["-"]:
        if path == "-":
            found.append(call.stdin)
        elif path == "/dev/null" or call.tree.has(path):
            found.append(call.tree.read(path))
        else:
            status = 1
    call.say("".join(found))
    return status


FILES: Mapping[str, Command] = {
    **COPIES,
    **PATHS,
    **dict.fromkeys(("chown", "chgrp"), _chown),
    "cat": _cat,
    "chmod": _chmod,
    "getent": _getent,
    "mkdir": _mkdir,
    "rm": _rm,
    "rmdir": _rmdir,
    "touch": _touch,
}
"""The commands, by name."""
