"""update-alternatives: links to the best of several programs, and what dpkg's own tool would know of them later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.debian.scripttree import ScriptTree, Unwritable
from oci_builder.debian.shell import Call
from oci_builder.tree.entry import Kind

LINKS = "/etc/alternatives"
STATES = "/var/lib/dpkg/alternatives"


@dataclass(frozen=True)
class _Choice:
    """One that may be chosen: its path and priority, and the path of each slave."""

    path: str
    priority: int
    slaves: Mapping[str, str]


@dataclass
class _Group:
    """A group of alternatives: the link that all have, that of each slave, and the choices by path.

    In one that is ``manual`` somebody chose, and the links stay as they are whoever comes.
    """

    link: str
    manual: bool = False
    slaves: dict[str, str] = field(default_factory=dict)
    choices: dict[str, _Choice] = field(default_factory=dict)

    def best(self) -> _Choice:
        """The choice of the highest priority; of several the one that came first."""
        return max(self.choices.values(), key=lambda choice: choice.priority)

    def state(self) -> str:
        """The text of its file in dpkg's folder (as dpkg 1.21 writes it)."""
        names = sorted(self.slaves)
        lines = [
            "manual" if self.manual else "auto",
            self.link,
            *(line for name in names for line in (name, self.slaves[name])),
            "",
        ]
        for path in sorted(self.choices):
            choice = self.choices[path]
            lines += [path, str(choice.priority), *(choice.slaves.get(name, "") for name in names)]
        return "\n".join([*lines, "", ""])


def update_alternatives(call: Call) -> int:
    """Install an alternative, the best of which is linked to. Raises NotKnown for what is none of a first install."""
    words = [word for word in call.arguments if word not in ("--quiet", "--force", "--skip-auto")]
    if (words[:1] == ["--remove"] and len(words) == 3) or (words[:1] == ["--remove-all"] and len(words) == 2):
        if call.tree.has(f"{STATES}/{words[1]}"):
            raise call.unknown("it would take away an alternative that is there")
        return 0
    if words[:1] in (["--auto"], ["--query"], ["--list"], ["--display"]) and len(words) == 2:
        if call.tree.has(f"{STATES}/{words[1]}"):
            if words[0] == "--auto":
                return 0
            raise call.unknown("what it tells of alternatives is not known here")
        return 2
    if words[:1] != ["--install"]:
        raise call.unknown("what it is to do is not known here")
    link, name, choice, slaves = _asked(call, words[1:])
    if not call.tree.has(choice.path):
        return 2
    group = _read(call.tree, name) or _Group(link)
    if group.link != link:
        raise call.unknown(f"{name} has the link {group.link} already")
    group.slaves |= slaves
    group.choices[choice.path] = choice
    _write(call.tree, name, group)
    return 0


def _asked(call: Call, words: Sequence[str]) -> tuple[str, str, _Choice, dict[str, str]]:
    if len(words) < 4 or not words[3].lstrip("-").isdecimal() or len(words[3]) > 9:
        raise call.unknown("its arguments are not known here")
    links: dict[str, str] = {}
    paths: dict[str, str] = {}
    rest = list(words[4:])
    while rest:
        if rest[0] != "--slave" or len(rest) < 4:
            raise call.unknown("its slaves are not known here")
        link, name, path = rest[1:4]
        links[name], paths[name] = link, path
        del rest[:4]
    return words[0], words[1], _Choice(words[2], int(words[3]), paths), links


def _read(tree: ScriptTree, name: str) -> _Group | None:
    path = f"{STATES}/{name}"
    if not tree.has(path):
        return None
    lines = iter(tree.read(path).split("\n"))
    is_manual = next(lines) == "manual"
    group = _Group(next(lines, ""), is_manual)
    for slave in _until_blank(lines):
        group.slaves[slave] = next(lines, "")
    names = sorted(group.slaves)
    for choice in _until_blank(lines):
        priority = int(next(lines, "0"))
        paths = {slave: path for slave in names if (path := next(lines, ""))}
        group.choices[choice] = _Choice(choice, priority, paths)
    return group


def _until_blank(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line:
            return
        yield line


def _write(tree: ScriptTree, name: str, group: _Group) -> None:
    for folder in (LINKS, "/var/lib/dpkg", STATES):
        if not tree.is_folder(folder):
            tree.folder(folder)
    tree.write(f"{STATES}/{name}", group.state())
    if group.manual:
        return
    best = group.best()
    _link(tree, group.link, name, best.path)
    for slave, link in sorted(group.slaves.items()):
        path = best.slaves.get(slave, "")
        # Where man pages are left out the folders for links to them are not there.
        if path and tree.has(path) and tree.is_folder(link.rpartition("/")[0]):
            _link(tree, link, slave, path)
        else:
            _unlink(tree, link, slave)


def _link(tree: ScriptTree, link: str, name: str, path: str) -> None:
    present = tree.get(link, follow=False)
    if present is not None and present.kind is not Kind.SYMLINK:
        # dpkg leaves files that are no links of its own.
        return
    for place, target in ((f"{LINKS}/{name}", path), (link, f"{LINKS}/{name}")):
        found = tree.get(place, follow=False)
        if found is None or found.target != target:
            tree.link(place, target)


def _unlink(tree: ScriptTree, link: str, name: str) -> None:
    for place in (link, f"{LINKS}/{name}"):
        if tree.get(place, follow=False) is not None:
            # A link of the base stays, and leads where it led: man pages of what comes are left out.
            with contextlib.suppress(Unwritable):
                tree.remove(place)
