"""Commands that enter something in a list that a program reads: drivers of ODBC, filters of git, shells."""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
import zlib
from collections.abc import Mapping

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.shell import Call, Command

_DRIVERS = "/etc/odbcinst.ini"
_LFS = """[filter "lfs"]
\tclean = git-lfs clean -- %f
\tsmudge = git-lfs smudge -- %f
\tprocess = git-lfs filter-process
\trequired = true
"""
_MAX_UNPACKED = 4 << 20


def _odbcinst(call: Call) -> int:
    """odbcinst -i -d -f FILE: enter drivers, each with how often it was."""
    words = [word for word in call.arguments if word != "-q"]
    if len(words) != 4 or words[:3] != ["-i", "-d", "-f"]:
        raise call.unknown("what it is to do is not known here")
    known = _sections(call, call.tree.read(_DRIVERS)) if call.tree.has(_DRIVERS) else {}
    for name, fields in _sections(call, call.tree.read(words[3])).items():
        count = known.get(name, {}).get("UsageCount", "0")
        others = {key: value for key, value in fields.items() if key != "UsageCount"}
        known[name] = {**others, "UsageCount": str(int(count) + 1)}
    text = ""
    for name, fields in known.items():
        text += f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in fields.items()) + "\n"
    call.tree.write(_DRIVERS, text)
    return 0


def _sections(call: Call, text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        if line.startswith("[") and line.rstrip().endswith("]"):
            fields = found.setdefault(line.strip()[1:-1].strip(), {})
            continue
        key, equals, value = line.partition("=")
        if not equals or not found:
            raise call.unknown("a line of its file is not known here")
        fields[key.strip()] = value.strip()
    return found


def _git(call: Call) -> int:
    """git lfs install --skip-repo --system: what ``git`` has to know of ``git-lfs``."""
    if list(call.arguments) != ["lfs", "install", "--skip-repo", "--system"] or call.tree.has("/etc/gitconfig"):
        raise call.unknown("what it is to do is not known here")
    call.tree.write("/etc/gitconfig", _LFS)
    return 0


def _shells(call: Call) -> int:
    """add-shell and remove-shell: who may log in with what."""
    text = call.tree.read("/etc/shells") if call.tree.has("/etc/shells") else "# /etc/shells: valid login shells\n"
    lines = text.splitlines()
    if any(not each.startswith("/") for each in call.arguments):
        raise call.unknown("what it is to enter is not known here")
    for shell in call.arguments:
        if call.name == "add-shell" and shell not in lines:
            lines.append(shell)
        elif call.name == "remove-shell":
            lines = [line for line in lines if line != shell]
    call.tree.write("/etc/shells", "".join(f"{line}\n" for line in lines))
    return 0


def _run_parts(call: Call) -> int:
    """run-parts: the scripts of a folder, of which each is walked."""
    letters, values, folders = values_of(
        call,
        "v",
        {"a": "a"},
        {"--verbose": "v", "--arg": "a", "--exit-on-error": "e", "--regex": "x", "--lsbsysinit": "l"},
    )
    if len(folders) != 1 or letters & {"x", "l"}:
        raise call.unknown("what it is to do is not known here")
    if not call.tree.is_folder(folders[0]):
        return 1
    status = 0
    for name in call.tree.children(folders[0]):
        path = posixpath.join(folders[0], name)
        entry = call.tree.get(path)
        if (
            re.fullmatch("[A-Za-z0-9_-]+", name)
            and entry is not None
            and entry.mode & 0o111
            and not call.tree.is_folder(path)
        ):
            status = call.shell.call([path, *([values["a"]] if "a" in values else [])]) or status
            if status and "e" in letters:
                break
    return status


def _base64(call: Call) -> int:
    letters, _, paths = values_of(call, "di", {}, {"--decode": "d", "--ignore-garbage": "i"})
    if "d" not in letters or paths not in ([], ["-"]):
        raise call.unknown("what it encodes is not known here")
    try:
        data = base64.b64decode("".join(call.stdin.split()), validate=True)
    except (binascii.Error, ValueError):
        return 1
    call.say(data.decode("utf-8", "surrogateescape"))
    return 0


def _unzip(call: Call) -> int:
    """zcat, and gzip and gunzip that write to their output."""
    letters, _, paths = values_of(call, "cdfq", {}, {"--decompress": "d", "--stdout": "c"})
    if (call.name == "gzip" and "d" not in letters) or (paths and call.name != "zcat" and "c" not in letters):
        raise call.unknown("what it packs is not known here")
    for path in paths or ["-"]:
        data = call.stdin.encode("utf-8", "surrogateescape") if path == "-" else call.tree.data(path)
        call.shell.spend(len(data))
        try:
            unpacker = zlib.decompressobj(wbits=31)
            found = unpacker.decompress(data, _MAX_UNPACKED)
        except zlib.error:
            return 1
        if not unpacker.eof or unpacker.unused_data:
            raise call.unknown("what it unpacks is not known here")
        call.say(found.decode("utf-8", "surrogateescape"))
    return 0


REGISTRIES: Mapping[str, Command] = {
    **dict.fromkeys(("add-shell", "remove-shell"), _shells),
    **dict.fromkeys(("zcat", "gunzip", "gzip"), _unzip),
    "base64": _base64,
    "git": _git,
    "odbcinst": _odbcinst,
    "run-parts": _run_parts,
}
"""The commands, by name."""
