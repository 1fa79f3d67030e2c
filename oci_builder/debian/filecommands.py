"""Commands of maintainer scripts that make, change and name files, links and folders of the tree."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from oci_builder.debian.commandoptions import split_options
from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Kind


def _mkdir(call: Call) -> int:
    rest, mode = _with_mode(call)
    plain, folders = _letters(call, rest, "p")
    for folder in folders:
        for path in _with_parents(folder) if "p" in plain else [folder]:
            if call.tree.is_folder(path):
                if "p" not in plain:
                    return 1
                continue
            call.tree.folder(path)
        if mode is not None:
            call.tree.change(folder, mode=mode)
    return 0


def _with_parents(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))]


def _with_mode(call: Call) -> tuple[list[str], int | None]:
    """The arguments without ``-m MODE``, and the mode."""
    rest, mode = [], None
    words = iter(call.arguments)
    for word in words:
        if word in ("-m", "--mode"):
            mode = mode_of(call, next(words, ""))
        elif re.fullmatch(r"-m0?[0-7]{3,4}|--mode=0?[0-7]{3,4}", word):
            mode = mode_of(call, word.removeprefix("-m").removeprefix("-mode="))
        else:
            rest.append(word)
    return rest, mode


def mode_of(call: Call, text: str) -> int:
    """The mode that is written in octal digits. Raises NotKnown for any other."""
    if not re.fullmatch(r"0?[0-7]{3,4}", text):
        raise call.unknown(f"the mode {text!r} is not known here")
    return int(text, 8)


def _letters(call: Call, words: Sequence[str], known: str) -> tuple[set[str], list[str]]:
    return split_options(Call(call.shell, call.name, words, call.stdin), known, "--parents", "--verbose")


def _touch(call: Call) -> int:
    _, paths = split_options(call, "")
    for path in paths:
        if not call.tree.has(path):
            call.tree.write(path, "")
    return 0


def _rm(call: Call) -> int:
    options, paths = split_options(call, "rfR", "--force", "--recursive")
    for path in paths:
        entry = call.tree.get(path, follow=False)
        if entry is None and not call.tree.is_folder(path):
            if not options & {"f", "--force"}:
                return 1
        elif entry is None or entry.kind is Kind.DIRECTORY:
            raise call.unknown(f"{path} is a folder that is there")
        else:
            call.tree.remove(path)
    return 0


def _rmdir(call: Call) -> int:
    options, paths = split_options(call, "p", "--ignore-fail-on-non-empty")
    for path in paths:
        if call.tree.is_folder(path):
            if call.tree.children(path) and "--ignore-fail-on-non-empty" in options:
                continue
            if call.tree.children(path):
                return 1
            raise call.unknown(f"{path} is an empty folder that is there")
        if "--ignore-fail-on-non-empty" not in options:
            return 1
    return 0


def _ln(call: Call) -> int:
    options, paths = split_options(call, "sfnTv")
    if "s" not in options or len(paths) != 2:
        raise call.unknown("a link of this kind is not known here")
    target, path = paths
    if "T" not in options and "n" not in options and call.tree.is_folder(path):
        path = posixpath.join(path, posixpath.basename(target))
    present = call.tree.get(path, follow=False)
    if present is not None:
        if present.kind is Kind.SYMLINK and present.target == target:
            return 0 if "f" in options else 1
        if "f" not in options:
            return 1
        call.tree.remove(path)
    call.tree.link(path, target)
    return 0


def _cp(call: Call) -> int:
    _, paths = split_options(call, "pafdPv")
    if len(paths) != 2:
        raise call.unknown("what it copies is not known here")
    source, path = paths
    entry = call.tree.get(source)
    if entry is None:
        return 1
    if entry.kind is not Kind.FILE:
        raise call.unknown(f"{source} is no file")
    if call.tree.is_folder(path):
        path = posixpath.join(path, posixpath.basename(source))
    call.tree.copy(entry, path)
    return 0


def _mv(call: Call) -> int:
    _, paths = split_options(call, "fTv")
    if len(paths) != 2 or call.tree.is_folder(paths[1]):
        raise call.unknown("what it moves is not known here")
    entry = call.tree.get(paths[0], follow=False)
    if entry is None:
        return 1
    if entry.kind is Kind.DIRECTORY:
        raise call.unknown(f"{paths[0]} is a folder")
    call.tree.copy(entry, paths[1])
    call.tree.remove(paths[0])
    return 0


def _chmod(call: Call) -> int:
    options, words = split_options(call, "fv")
    mode = mode_of(call, words[0] if words else "")
    for path in words[1:]:
        if not call.tree.has(path):
            return 0 if "f" in options else 1
        call.tree.change(path, mode=mode)
    return 0


def _chown(call: Call) -> int:
    options, words = split_options(call, "fhv", "--no-dereference")
    user, _, group = (words[0] if words else "").replace(".", ":").partition(":")
    if call.name == "chgrp":
        user, group = "", user
    owner = number_of(call, "passwd", user), number_of(call, "group", group)
    for path in words[1:]:
        if not call.tree.has(path):
            return 0 if "f" in options else 1
        call.tree.change(path, owner=owner)
    return 0


def number_of(call: Call, database: str, name: str) -> int | None:
    """The number of an account; None without a name. Raises NotKnown for a name that is not there."""
    if not name:
        return None
    line = _account(call, database, name)
    if line is None and not name.isdecimal():
        raise call.unknown(f"there is no {name} in /etc/{database}")
    number = name if line is None else line.split(":")[2]
    if not (number.isascii() and number.isdecimal()) or len(number) > 9:
        raise call.unknown(f"{number[:40]!r} is no number of /etc/{database}")
    return int(number)


def _account(call: Call, database: str, name: str) -> str | None:
    lines = call.tree.read(f"/etc/{database}").splitlines() if call.tree.has(f"/etc/{database}") else []
    return next((line for line in lines if line.split(":")[0] == name and line.count(":") >= 3), None)


def _getent(call: Call) -> int:
    if len(call.arguments) != 2 or call.arguments[0] not in ("passwd", "group"):
        raise call.unknown("what it asks for is not known here")
    line = _account(call, *call.arguments)
    call.say(f"{line}\n" if line is not None else "")
    return 0 if line is not None else 2


def _install(call: Call) -> int:
    rest, mode = _with_mode(call)
    options, paths = _letters(call, rest, "d")
    if "d" not in options:
        raise call.unknown("what it copies is not known here")
    for path in (each for folder in paths for each in _with_parents(folder)):
        if not call.tree.is_folder(path):
            call.tree.folder(path)
    for path in paths:
        call.tree.change(path, mode=0o755 if mode is None else mode)
    return 0


def _cat(call: Call) -> int:
    call.say("".join(call.tree.read(path) for path in call.arguments) if call.arguments else call.stdin)
    return 0


def _named(call: Call) -> int:
    if not call.arguments or call.arguments[0].startswith("-"):
        raise call.unknown("its option is not known here")
    path = call.arguments[0].rstrip("/") or "/"
    if call.name == "dirname":
        call.say(f"{posixpath.dirname(path) or '.'}\n")
    else:
        name = posixpath.basename(path) or "/"
        ending = call.arguments[1] if len(call.arguments) > 1 else ""
        call.say(f"{name.removesuffix(ending) if name != ending else name}\n")
    return 0


def _readlink(call: Call) -> int:
    options, paths = split_options(call, "efm")
    if len(paths) != 1:
        raise call.unknown("what it asks for is not known here")
    if options:
        if "e" in options and not call.tree.has(paths[0]):
            return 1
        call.say(f"{call.tree.real(paths[0])}\n")
        return 0
    entry = call.tree.get(paths[0], follow=False)
    if entry is None or entry.kind is not Kind.SYMLINK:
        return 1
    call.say(f"{entry.target}\n")
    return 0


FILES: Mapping[str, Command] = {
    **dict.fromkeys(("chown", "chgrp"), _chown),
    **dict.fromkeys(("basename", "dirname"), _named),
    "cat": _cat,
    "chmod": _chmod,
    "cp": _cp,
    "getent": _getent,
    "install": _install,
    "ln": _ln,
    "mkdir": _mkdir,
    "mv": _mv,
    "readlink": _readlink,
    "rm": _rm,
    "rmdir": _rmdir,
    "touch": _touch,
}
"""The commands, by name."""
