"""basename, dirname, readlink, realpath and mktemp of maintainer scripts (coreutils): what a path is called."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Kind


def _named(call: Call) -> int:
    letters, values, words = values_of(call, "az", {"s": "s"}, {"--multiple": "a", "--suffix": "s"})
    most = len(words) if letters or values or call.name == "dirname" else 2
    if not 0 < len(words) <= most or "z" in letters or (call.name == "dirname" and (letters or values)):
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
    letters, values, words = values_of(call, "dtqu", {"p": "p"}, {"--directory": "d", "--tmpdir": "T", "--quiet": "q"})
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


PATHS: Mapping[str, Command] = {
    **dict.fromkeys(("basename", "dirname"), _named),
    **dict.fromkeys(("readlink", "realpath"), _readlink),
    "mktemp": _mktemp,
}
"""The commands, by name."""
