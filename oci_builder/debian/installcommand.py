"""install of coreutils: files and folders with modes and owners."""

from __future__ import annotations

import posixpath

from oci_builder.debian.commandoptions import check_unheard, values_of
from oci_builder.debian.filecommands import with_parents
from oci_builder.debian.filemodes import change_mode, owner_of
from oci_builder.debian.shell import Call

_WORDS = {
    "--directory": "d",
    "--mode": "m",
    "--owner": "o",
    "--group": "g",
    "--target-directory": "t",
    "--no-target-directory": "T",
    "--verbose": "v",
    "--compare": "C",
    "--preserve-timestamps": "p",
    "--context": "Z",
}


def install(call: Call) -> int:
    """Copy files, or make folders, with a mode and an owner."""
    letters, values, paths = values_of(call, "dDvcCpTZ", {each: each for each in "mogt"}, _WORDS)
    check_unheard(call, letters & {"v"})
    owner = owner_of(call, values.get("o", ""), values.get("g", ""))
    mode = values.get("m", "0755")
    if "d" in letters:
        for folder in paths:
            _folder(call, folder)
            _settle(call, folder, mode, owner)
        return 0
    if "t" in values:
        paths = [*paths, values["t"]]
    if len(paths) < 2:
        raise call.unknown("what it copies is not known here")
    *sources, target = paths
    if "D" in letters:
        _folder(call, target if "t" in values else posixpath.dirname(target))
    into = "T" not in letters and call.tree.is_folder(target)
    if len(sources) > 1 and not into:
        return 1
    for source in sources:
        place = posixpath.join(target, posixpath.basename(source)) if into else target
        if source != "/dev/null" and (call.tree.get(source) is None or call.tree.is_folder(source)):
            return 1
        call.tree.make_room(place)
        entry = call.tree.get(source)
        if entry is None or source == "/dev/null":
            call.tree.write(place, "")
        else:
            call.tree.copy(entry, place)
        call.tree.change(place, owner=(owner[0] or 0, owner[1] or 0))
        _settle(call, place, mode, owner)
    return 0


def _folder(call: Call, folder: str) -> None:
    for path in with_parents(folder):
        if not call.tree.is_folder(path):
            call.tree.folder(path)
            call.tree.change(path, mode=0o755)


def _settle(call: Call, path: str, mode: str, owner: tuple[int | None, int | None]) -> None:
    if owner != (None, None):
        call.tree.change(path, owner=owner)
    change_mode(call, path, mode)
