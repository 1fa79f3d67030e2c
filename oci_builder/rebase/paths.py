"""What an image's own layers replace, bring or delete of a base: on another base, that has to mean the same."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from oci_builder.gate.facts import head_of
from oci_builder.gate.finding import Finding
from oci_builder.rebase.sides import Sides, refused, resolved
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind, known_sha256
from oci_builder.tree.tree import parents

_PASSING = (
    *("var/cache/", "var/log/", "var/tmp/", "tmp/", "run/", "var/lib/apt/lists/", "root/.cache/", "dev/", "proc/"),
    "sys/",
)
"""Folders whose content nothing is built upon: caches, logs, and what engines fill."""

_ALSO_PASSING = frozenset(
    (
        *("etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", "etc/.pwd.lock", ".dockerenv"),
        *("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-"),
        *("var/lib/dpkg/status-old", "var/lib/dpkg/available-old", "var/lib/dpkg/diversions-old"),
        *("var/lib/dpkg/statoverride-old", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend"),
        # What the loader finds by it is what the libraries are judged by.
        "etc/ld.so.cache",
    )
)
_WHAT = {
    Kind.FILE: "a file",
    Kind.HARDLINK: "a file",
    Kind.DIRECTORY: "a folder",
    Kind.SYMLINK: "a symbolic link",
}
_CHECKED_BY_SOURCE = (0, 3)
"""Flags of bytecode that Python holds to its source whenever it reads it (PEP 552)."""

_AGAIN = "build the image anew, or say with --keep PATH that what its own layers have there is right"


def path_findings(sides: Sides) -> Iterator[Finding]:
    """Every path of the own layers that meets something of the new base that it did not meet in the old one."""
    yield from _through_links(sides)
    with MappedFiles() as sources:
        for entry in sides.tree:
            if not is_passing(entry.path):
                yield from _held(sides, entry, sources)
        yield from _stale_bytecode(sides, sources)
    yield from _deleted(sides)


def is_passing(path: str) -> bool:
    """Whether a path is of those that no program is hurt by when they are another's."""
    return path in _ALSO_PASSING or path.startswith(_PASSING)


def _through_links(sides: Sides) -> Iterator[Finding]:
    """Folders of the own layers that are something else in the new base: a layer's folder takes a link's place."""
    seen: set[str] = set()
    for path in sides.tree.paths:
        for folder in parents(path):
            if folder in seen:
                continue
            seen.add(folder)
            old, new = sides.before.base.get(folder), sides.after.base.get(folder)
            as_before = old is not None and new is not None and old.kind is new.kind and old.target == new.target
            if new is not None and new.kind is not Kind.DIRECTORY and not as_before:
                why = f"/{folder} is {_WHAT[new.kind]} in the new base, and a folder in {sides.layer(path)}"
                yield refused("path", f"/{folder}", f"{why}: what lies behind it there would be gone", _AGAIN)


def _held(sides: Sides, own: Entry, sources: MappedFiles) -> Iterator[Finding]:
    path, layer = own.path, sides.layer(own.path)
    old, new = sides.before.base.get(path), sides.after.base.get(path)
    old, new = resolved(sides.before.base, old), resolved(sides.after.base, new)
    if own.kind is Kind.DIRECTORY:
        yield from _folder(own, old, new, layer)
        return
    if (old is None and new is None) or (new is not None and (_same(own, new) or (old and _same(old, new)))):
        return
    if own.path.endswith(".pyc") and _is_held_to_source(own, sources):
        return
    subject = f"/{path}"
    if new is None:
        why = f"{layer} replaces /{path} of the old base, and the new base has no such file"
    elif old is None:
        why = f"{layer} brings /{path}, and so does the new base, another one"
    elif _same(own, old):
        why = f"{layer} holds /{path} as the old base has it, and would hide the new base's"
    else:
        why = f"{layer} changed /{path} of the old base, and the new base has another one than that had"
    yield refused("path", subject, why, _AGAIN)


def _folder(own: Entry, old: Entry | None, new: Entry | None, layer: str) -> Iterator[Finding]:
    if new is None or _rights(own) == _rights(new):
        return
    if new.kind is Kind.DIRECTORY and (old is None or _rights(old) != _rights(new)):
        why = f"/{own.path} has {_said(new)} in the new base, and {layer} makes it {_said(own)}"
        yield refused("path", f"/{own.path}", why, _AGAIN)


def _same(one: Entry, other: Entry) -> bool:
    """Whether two are the same to a program: whatever their times are."""
    if one.kind is Kind.SYMLINK or other.kind is Kind.SYMLINK:
        return one.kind is other.kind and one.target == other.target
    known = known_sha256(one)
    return _rights(one) == _rights(other) and known == known_sha256(other) and bool(known or one.size == 0)


def _rights(entry: Entry) -> tuple[str, int, int, int]:
    kind = Kind.FILE if entry.kind is Kind.HARDLINK else entry.kind
    return kind.value, entry.mode, entry.uid, entry.gid


def _said(entry: Entry) -> str:
    return f"mode {entry.mode:04o}, owner {entry.uid}:{entry.gid}"


def _is_held_to_source(entry: Entry, sources: MappedFiles) -> bool:
    """Whether bytecode is looked at against its source whenever it is read."""
    head = head_of(entry, sources, 8)
    return len(head) == 8 and struct.unpack_from("<I", head, 4)[0] in _CHECKED_BY_SOURCE


def _stale_bytecode(sides: Sides, sources: MappedFiles) -> Iterator[Finding]:
    """Bytecode of the image's own, never held to its source, of a module of the base that is another one now."""
    for entry in sides.tree:
        folder, _, name = entry.path.rpartition("/__pycache__/")
        if not name.endswith(".pyc") or not folder or entry.kind is Kind.DIRECTORY:
            continue
        source = f"{folder}/{name.partition('.')[0]}.py"
        if source in sides.tree or _is_held_to_source(entry, sources):
            continue
        old, new = sides.before.base.get(source), sides.after.base.get(source)
        if old is not None and new is not None and known_sha256(old) != known_sha256(new):
            why = f"{sides.layer(entry.path)} has bytecode of /{source}, which is another one in the new base"
            yield refused("path", f"/{entry.path}", f"{why}, and Python would not notice", _AGAIN)


def _deleted(sides: Sides) -> Iterator[Finding]:
    """What the own layers delete of the old base is in the new one, and what they delete of their own is not."""
    old, new = sides.before.base, sides.after.base
    for number, layer in enumerate(sides.own, sides.first):
        for item in layer.entries:
            if item.kind not in ("whiteout", "opaque") or is_passing(item.path) or item.path.endswith(".pyc"):
                continue
            before, after = old.get(item.path), new.get(item.path)
            if before is None and after is None:
                continue
            if before is None:
                why = f"layer {number} deletes /{item.path}, which the new base brings, and the old one did not"
                yield refused("path", f"/{item.path}", why, _AGAIN)
            elif after is None:
                why = f"layer {number} deletes /{item.path} of the old base, and the new base has no such path"
                yield refused("path", f"/{item.path}", f"{why}: what took its place would stay", _AGAIN)
            elif before.kind is not after.kind:
                why = f"layer {number} deletes /{item.path}, {_WHAT[before.kind]} in the old base"
                yield refused("path", f"/{item.path}", f"{why}, and {_WHAT[after.kind]} in the new one", _AGAIN)
