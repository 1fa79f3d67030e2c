"""ln, cp and mv of maintainer scripts (coreutils)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from oci_builder.debian.commandoptions import SELINUX, check_unheard, values_of
from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Kind


def _ln(call: Call) -> int:
    words = {
        "--symbolic": "s",
        "--force": "f",
        "--no-dereference": "n",
        "--no-target-directory": "T",
        "--relative": "r",
    }
    letters, values, paths = values_of(call, "sfnTvr", {"t": "t"}, words)
    paths += [values["t"]] if "t" in values else []
    if len(paths) == 1:
        paths = [*paths, posixpath.basename(paths[0])]
    check_unheard(call, letters)
    *targets, path = paths
    into = "T" not in letters and call.tree.is_folder(path) and not ("n" in letters and call.tree.is_link(path))
    if not targets or (len(targets) > 1 and not into):
        raise call.unknown("a link of this kind is not known here")
    for target in targets:
        place = posixpath.join(path, posixpath.basename(target)) if into else path
        if _linked(call, letters, target, place):
            return 1
    return 0


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
        **SELINUX,
    }
    letters, values, paths = values_of(call, "pafdPvTrRnLuZ", {"t": "t"}, words)
    if "u" in letters:
        raise call.unknown("what it copies is not known here")
    status = 0
    for source, place in _places(call, letters, values, paths):
        status = _copied(call, letters, source, place) or status
    return status


def _places(call: Call, letters: set[str], values: Mapping[str, str], paths: list[str]) -> Iterator[tuple[str, str]]:
    """What cp and mv are to bring where. Raises NotKnown."""
    check_unheard(call, letters)
    *sources, path = [*paths, *([values["t"]] if "t" in values else [])] or [""]
    into = "T" not in letters and call.tree.is_folder(path)
    if not sources or (not into and (len(sources) > 1 or "t" in values)):
        raise call.unknown("where it brings what is not known here")
    for source in sources:
        yield source, posixpath.join(path, posixpath.basename(source.rstrip("/"))) if into else path


def _copied(call: Call, letters: set[str], source: str, place: str) -> int:
    keeps_links = bool(letters & {"a", "d", "P"}) or (bool(letters & {"r", "R"}) and "L" not in letters)
    entry = call.tree.get(source, follow=not keeps_links)
    if source == "/dev/null":
        call.tree.write(place, "")
        return 0
    if entry is None or _is_same(call, source, place):
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
    words = {"--force": "f", "--no-clobber": "n", "--no-target-directory": "T", "--verbose": "v", **SELINUX}
    letters, values, paths = values_of(call, "fTvnZ", {"t": "t"}, words)
    status = 0
    for source, place in _places(call, letters, values, paths):
        entry = call.tree.get(source, follow=False)
        if entry is None or _is_same(call, source, place):
            status = 1
            continue
        if entry.kind is Kind.DIRECTORY:
            raise call.unknown("a folder that is moved is not known here")
        if "n" in letters and call.tree.get(place, follow=False) is not None:
            continue
        call.tree.copy(entry, place)
        call.tree.remove(source)
    return status


def _is_same(call: Call, source: str, place: str) -> bool:
    """Whether two paths are one file: nothing is brought to itself."""
    one, other = (call.tree.get(path, follow=False) for path in (source, place))
    return one is not None and other is not None and one.path == other.path


COPIES: Mapping[str, Command] = {"cp": _cp, "ln": _ln, "mv": _mv}
"""The commands, by name."""
