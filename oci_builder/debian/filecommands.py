"""Commands of maintainer scripts that make, change and name files, links and folders of the tree (coreutils)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from oci_builder.debian.commandoptions import split_options, values_of
from oci_builder.debian.filemodes import account, account_name, change_mode, mode_of, number_of, owner_of
from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Kind

__all__ = ["FILES", "account_name", "mode_of", "number_of"]

_SELINUX = {"--context": "Z", "-Z": "Z"}


def _mkdir(call: Call) -> int:
    words = {"--parents": "p", "--verbose": "v", "--mode": "m", **_SELINUX}
    plain, values, folders = values_of(call, "pvZ", {"m": "m"}, words)
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
    status = 0
    for path in paths:
        entry = call.tree.get(path, follow=False)
        if entry is None and not call.tree.is_folder(path):
            status = status if "f" in letters else 1
        elif entry is None or entry.kind is Kind.DIRECTORY:
            if not letters & {"r", "R"}:
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


def _ln(call: Call) -> int:
    words = {
        "--symbolic": "s",
        "--force": "f",
        "--no-dereference": "n",
        "--no-target-directory": "T",
        "--relative": "r",
    }
    letters, values, paths = values_of(call, "sfnTvr", {"t": "t"}, words)
    if "t" in values:
        paths = [*paths, values["t"]]
    if len(paths) == 1:
        paths = [*paths, posixpath.basename(paths[0])]
    *targets, path = paths
    into = "T" not in letters and call.tree.is_folder(path) and not ("n" in letters and _is_link(call, path))
    if not targets or (len(targets) > 1 and not into):
        raise call.unknown("a link of this kind is not known here")
    for target in targets:
        place = posixpath.join(path, posixpath.basename(target)) if into else path
        if _linked(call, letters, target, place):
            return 1
    return 0


def _is_link(call: Call, path: str) -> bool:
    entry = call.tree.get(path, follow=False)
    return entry is not None and entry.kind is Kind.SYMLINK


def _linked(call: Call, letters: set[str], target: str, place: str) -> int:
    source = call.tree.get(target, follow=False)
    if "s" not in letters and (source is None or source.kind is Kind.DIRECTORY):
        return 1
    if "r" in letters:
        folder = call.tree.real(posixpath.dirname(call.tree.absolute(place)))
        target = posixpath.relpath(call.tree.absolute(target), folder)
    present = call.tree.get(place, follow=False)
    if present is not None:
        if "f" not in letters or present.kind is Kind.DIRECTORY:
            return 1
        if present.kind is Kind.SYMLINK and present.target == target:
            return 0
        call.tree.make_room(place)
    if "s" in letters:
        call.tree.link(place, target)
    elif source is not None:
        call.tree.copy(source, place)
    return 0


def _cp(call: Call) -> int:
    words = {
        "--archive": "a",
        "--force": "f",
        "--preserve": "p",
        "--no-clobber": "n",
        "--update": "u",
        "--recursive": "r",
        "--dereference": "L",
        "--no-dereference": "P",
        "--no-target-directory": "T",
        **_SELINUX,
    }
    letters, values, paths = values_of(call, "pafdPvTrRnLuZ", {"t": "t"}, words)
    if "t" in values:
        paths = [*paths, values["t"]]
    if len(paths) < 2 or "u" in letters:
        raise call.unknown("what it copies is not known here")
    *sources, path = paths
    status = 0
    for source in sources:
        into = "T" not in letters and call.tree.is_folder(path)
        place = posixpath.join(path, posixpath.basename(source.rstrip("/"))) if into else path
        status = _copied(call, letters, source, place) or status
    return status


def _copied(call: Call, letters: set[str], source: str, place: str) -> int:
    keeps_links = bool(letters & {"a", "d", "P"}) or (bool(letters & {"r", "R"}) and "L" not in letters)
    entry = call.tree.get(source, follow=not keeps_links)
    if source == "/dev/null":
        call.tree.write(place, "")
        return 0
    if entry is None:
        return 1
    if entry.kind is Kind.DIRECTORY:
        if not letters & {"r", "R", "a"}:
            return 1
        if not call.tree.is_folder(place):
            call.tree.folder(place)
            if letters & {"a", "p"}:
                call.tree.change(place, mode=entry.mode, owner=(entry.uid, entry.gid))
        return max([_copied(call, letters, f"{source}/{n}", f"{place}/{n}") for n in call.tree.children(source)] or [0])
    present = call.tree.get(place, follow=False)
    if present is not None and "n" in letters:
        return 0
    if present is not None and present.kind is Kind.SYMLINK and not keeps_links:
        place = call.tree.real(place)
    if entry.kind is Kind.FILE and call.tree.get(place) is not None and not letters & {"p", "a"}:
        before = call.tree.get(place)
        assert before is not None
        call.tree.copy(entry, place)
        call.tree.change(place, mode=before.mode, owner=(before.uid, before.gid))
        return 0
    call.tree.copy(entry, place)
    if entry.kind is Kind.FILE and not letters & {"p", "a"}:
        call.tree.change(place, mode=entry.mode & 0o777 & ~call.tree.mask, owner=(0, 0))
    return 0


def _mv(call: Call) -> int:
    words = {"--force": "f", "--no-clobber": "n", "--no-target-directory": "T", "--verbose": "v", **_SELINUX}
    letters, values, paths = values_of(call, "fTvnZ", {"t": "t"}, words)
    if "t" in values:
        paths = [*paths, values["t"]]
    if len(paths) < 2:
        raise call.unknown("what it moves is not known here")
    *sources, path = paths
    for source in sources:
        entry = call.tree.get(source, follow=False)
        if entry is None:
            return 1
        if entry.kind is Kind.DIRECTORY:
            raise call.unknown("a folder that is moved is not known here")
        into = "T" not in letters and call.tree.is_folder(path)
        place = posixpath.join(path, posixpath.basename(source)) if into else path
        if "n" in letters and call.tree.get(place, follow=False) is not None:
            continue
        call.tree.copy(entry, place)
        call.tree.remove(source)
    return 0


def _chmod(call: Call) -> int:
    letters, words = _changing(call, "fvRc")
    if not words:
        raise call.unknown("it has no mode")
    for path in _each(call, words[1:], letters):
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
    long = {"--recursive": "R", "--no-dereference": "h", "--quiet": "f", "--silent": "f", "--verbose": "v"}
    letters, _, others = values_of(call, known, {}, long, words)
    return letters, others


def _each(call: Call, paths: list[str], letters: set[str]) -> list[str]:
    """The paths, and what is in them where all is to be changed; links in folders are left alone."""
    if "R" not in letters:
        return paths
    inner = [path for folder in paths if call.tree.is_folder(folder) for path in call.tree.below(folder)]
    return [*paths, *(path for path in inner if not _is_link(call, path))]


def _chown(call: Call) -> int:
    letters, words = _changing(call, "fhvRc")
    if not words:
        raise call.unknown("it names nobody")
    user, _, group = words[0].partition(":") if ":" in words[0] else words[0].partition(".")
    if call.name == "chgrp":
        user, group = "", words[0]
    owner = owner_of(call, user, group)
    for path in _each(call, words[1:], letters):
        if call.tree.get(path, follow="h" not in letters) is None:
            return 1
        call.tree.change(path, owner=owner, follow="h" not in letters)
        entry = call.tree.get(path, follow="h" not in letters)
        if entry is not None and entry.kind is Kind.FILE and entry.mode & 0o6000:
            # The kernel takes these bits away from a file that changes hands.
            kept = entry.mode & ~0o4000 if not entry.mode & 0o010 else entry.mode & ~0o6000
            call.tree.change(path, mode=kept, follow="h" not in letters)
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
    _, paths = split_options(call, "u")
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


def _named(call: Call) -> int:
    letters, values, words = values_of(call, "az", {"s": "s"}, {"--multiple": "a", "--suffix": "s"})
    if not words or "z" in letters or (call.name == "dirname" and (letters or values)):
        raise call.unknown("its option is not known here")
    several = bool(letters or values) or call.name == "dirname"
    ending = values.get("s", "" if several or len(words) == 1 else words[1])
    for word in words if several else words[:1]:
        path = word.rstrip("/") or ("/" if word else "")
        if call.name == "dirname":
            call.say(f"{posixpath.dirname(path).rstrip('/') or ('/' if path.startswith('/') else '.')}\n")
        else:
            name = posixpath.basename(path) or path
            call.say(f"{name.removesuffix(ending) if name != ending else name}\n")
    return 0


def _readlink(call: Call) -> int:
    words = {"--canonicalize": "f", "--canonicalize-existing": "e", "--canonicalize-missing": "m", "--no-newline": "n"}
    letters, _, paths = values_of(call, "efmnqsz", {}, {**words, "--strip": "s"})
    if len(paths) != 1 or letters & {"s", "z"}:
        raise call.unknown("what it asks for is not known here")
    end = "" if "n" in letters else "\n"
    if letters & {"e", "f", "m"} or call.name == "realpath":
        must = "e" in letters and not call.tree.has(paths[0])
        above = posixpath.dirname(call.tree.real(paths[0]))
        if must or ("m" not in letters and not call.tree.is_folder(above)):
            return 1
        call.say(f"{call.tree.real(paths[0])}{end}")
        return 0
    entry = call.tree.get(paths[0], follow=False)
    if entry is None or entry.kind is not Kind.SYMLINK:
        return 1
    call.say(f"{entry.target}{end}")
    return 0


def _mktemp(call: Call) -> int:
    """A file or folder below /tmp that no other is named as; it is in no image."""
    letters, values, words = values_of(
        call, "dtqu", {"p": "p"}, {"--directory": "d", "--tmpdir": "T", "--quiet": "q", "--suffix": "s"}
    )
    template = words[0] if words else "tmp.XXXXXXXXXX"
    if len(words) > 1 or not template.endswith("XXX") or "u" in letters:
        raise call.unknown("what name it is to give is not known here")
    if not words or letters & {"t", "T"} or "p" in values:
        template = posixpath.join(values.get("p", "/tmp"), template)
    stem = template.rstrip("X")
    width = len(template) - len(stem)
    path = next(p for n in range(1000) if not call.tree.has(p := f"{stem}{n:0{width}d}"))
    if "d" in letters:
        call.tree.folder(path)
    else:
        call.tree.write(path, "")
    call.tree.change(path, mode=0o700 if "d" in letters else 0o600)
    call.say(f"{path}\n")
    return 0


FILES: Mapping[str, Command] = {
    **dict.fromkeys(("chown", "chgrp"), _chown),
    **dict.fromkeys(("basename", "dirname"), _named),
    **dict.fromkeys(("readlink", "realpath"), _readlink),
    "cat": _cat,
    "chmod": _chmod,
    "cp": _cp,
    "getent": _getent,
    "ln": _ln,
    "mkdir": _mkdir,
    "mktemp": _mktemp,
    "mv": _mv,
    "rm": _rm,
    "rmdir": _rmdir,
    "touch": _touch,
}
"""The commands, by name."""
