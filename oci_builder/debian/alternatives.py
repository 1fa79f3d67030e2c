"""update-alternatives: links to the best of several programs, and what dpkg's own tool would know of them later."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.debian.scripttree import ScriptTree, Unwritable
from oci_builder.debian.shell import Call
from oci_builder.tree.entry import Kind

LINKS = "/etc/alternatives"
STATES = "/var/lib/dpkg/alternatives"


_PRIORITY = re.compile(r"-?[0-9]{1,9}")
_NAME = re.compile(r"[^/\s]+")
_PLACE = re.compile(r"/[^\n]+")


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
        group = _read(call, words[1])
        if group is None:
            return 2
        if words[0] != "--auto":
            call.say(_told(call, words[0], words[1], group))
        return 0
    if words[:1] != ["--install"]:
        raise call.unknown("what it is to do is not known here")
    link, name, choice, slaves = _asked(call, words[1:])
    if not call.tree.has(choice.path):
        # Man pages are in packages, and not in images.
        return 0 if choice.path.startswith("/usr/share/man/") or "/man/man" in choice.path else 2
    group = _read(call, name) or _Group(link)
    if group.link != link:
        raise call.unknown(f"{name} has the link {group.link} already")
    group.slaves |= slaves
    group.choices[choice.path] = choice
    _write(call.tree, name, group)
    return 0


def _told(call: Call, action: str, name: str, group: _Group) -> str:
    """What it says of a group to programs (--query), or only its paths (--list)."""
    paths = sorted(group.choices)
    if action == "--list":
        return "".join(f"{path}\n" for path in paths)
    if action != "--query":
        raise call.unknown("what it tells people is not known here")
    best = group.best().path
    lines = [f"Name: {name}", f"Link: {group.link}"]
    if group.slaves:
        lines += ["Slaves:", *(f" {slave} {group.slaves[slave]}" for slave in sorted(group.slaves))]
    lines += ["Status: auto", f"Best: {best}", f"Value: {best}"]
    for path in paths:
        choice = group.choices[path]
        lines += ["", f"Alternative: {path}", f"Priority: {choice.priority}"]
        if group.slaves:
            named = [slave for slave in sorted(group.slaves) if choice.slaves.get(slave)]
            lines += ["Slaves:", *(f" {slave} {choice.slaves[slave]}" for slave in named)]
    return "".join(f"{line}\n" for line in lines)


def _asked(call: Call, words: Sequence[str]) -> tuple[str, str, _Choice, dict[str, str]]:
    if len(words) < 4 or not _PRIORITY.fullmatch(words[3]):
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
    names, places = [words[1], *paths], [words[0], words[2], *links.values(), *paths.values()]
    if not all(map(_NAME.fullmatch, names)) or not all(map(_PLACE.fullmatch, places)):
        raise call.unknown("its names are none of alternatives, or its paths none of files")
    return words[0], words[1], _Choice(words[2], int(words[3]), paths), links


def _read(call: Call, name: str) -> _Group | None:
    path = f"{STATES}/{name}"
    if not call.tree.has(path):
        return None
    text = call.tree.read(path)
    # Each call reads and writes all of a group.
    call.shell.spend(len(text))
    lines = iter(text.split("\n"))
    is_manual = next(lines) == "manual"
    group = _Group(next(lines, ""), is_manual)
    for slave in _until_blank(lines):
        group.slaves[slave] = next(lines, "")
    names = sorted(group.slaves)
    for choice in _until_blank(lines):
        number = next(lines, "")
        if not _PRIORITY.fullmatch(number):
            raise call.unknown(f"{path} is in no form that is known here")
        priority = int(number)
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
