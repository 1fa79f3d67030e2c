"""Maintainer scripts of packages that are added: none is run, each is walked as on a first installation.

As dpkg would, ``config`` and ``preinst install`` see the base alone, ``postinst configure`` sees all that was unpacked,
package after package in the order of what they depend on. What they would make is what is made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.debian.archive import BinaryPackage
from oci_builder.debian.deb import DebFile
from oci_builder.debian.lock import Pin
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry
from oci_builder.tree.tree import Tree

RULES = 2
"""Raised when the same scripts make something else than before."""

_COMPILING = frozenset(("python3-tk", "python3-gdbm", "python3-distutils", "python3-lib2to3"))
"""Packages of one source, whose scripts list their own files and compile these to bytecode; they do nothing else."""

_SHELL = re.compile(rb"#! ?(?:/usr)?/bin/(?:sh|dash|bash)(?: -e| -u| -eu)?[ \t]*\n")


@dataclass(frozen=True)
class Unpacked:
    """Packages with what their control files say, over ``below``; ``together`` is that with all their files.

    ``waiting`` are packages of the base that wait for triggers, and ``answers`` what debconf was told there.
    """

    packages: Mapping[Pin, DebFile]
    described: Mapping[str, BinaryPackage]
    below: Tree
    together: Tree
    architecture: str
    waiting: Mapping[Pin, DebFile] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)

    def of(self, pin: Pin) -> DebFile:
        """A package that comes, or one that waits."""
        return self.packages[pin] if pin in self.packages else self.waiting[pin]


@dataclass
class Configured:
    """What scripts make, by path, and the packages whose scripts would have to run, with what is not known of them."""

    made: dict[str, Entry] = field(default_factory=dict)
    refused: dict[Pin, str] = field(default_factory=dict)


def configured(unpacked: Unpacked) -> Configured:
    """Walk the scripts of all packages. What is made by a refused one may be among what is made."""
    found = Configured()
    if not any(package.scripts for package in (*unpacked.packages.values(), *unpacked.waiting.values())):
        return found
    # Loaded where there is a script alone: parsing takes a library.
    from oci_builder.debian.commands import COMMANDS, TRIGGER
    from oci_builder.debian.debconf import PREFIX, answers
    from oci_builder.debian.shell import NotKnown, Shell

    known = {key: text for package in unpacked.packages.values() for key, text in answers(package.templates).items()}
    known.update({f"{PREFIX}{name}": answer for name, answer in unpacked.answers.items()})

    def walk(pin: Pin, name: str, arguments: Sequence[str], tree: ScriptTree) -> None:
        text = unpacked.of(pin).scripts.get(name)
        if text is None or pin in found.refused or pin.name in _COMPILING:
            return
        if not _SHELL.match(text):
            found.refused[pin] = f"its {name} script would have to run, and is none of a shell"
            return
        tree.origin = str(pin)
        shell = Shell(tree, COMMANDS, {**_variables(pin, name, unpacked.architecture), **known}, list(arguments))
        try:
            status = shell.run(text.decode("utf-8", "surrogateescape"))
        except NotKnown as error:
            at = f"line {error.line}" if error.line else "as a whole"
            command = f", {error.command!r}" if error.command else ""
            found.refused[pin] = f"its {name} script would have to run, {at}{command}: {error.why}"
            return
        if status:
            found.refused[pin] = f"its {name} script would have to run, and ends with status {status}"
        known.update({key: value for key, value in shell.variables.items() if key.startswith((PREFIX, TRIGGER))})

    order = list(_in_order(unpacked))
    with MappedFiles() as sources:
        before = ScriptTree(unpacked.below, sources)
        for pin in order:
            walk(pin, "config", ["configure", ""], before)
            walk(pin, "preinst", ["install"], before)
        after = ScriptTree(unpacked.together.overlaid(before.made.values()), sources)
        for pin in order:
            walk(pin, "postinst", ["configure", ""], after)
        named = {key.removeprefix(TRIGGER) for key in known if key.startswith(TRIGGER)}
        for pin, triggers in _triggered(unpacked, [*order, *unpacked.waiting], named):
            walk(pin, "postinst", ["triggered", triggers], after)
    found.made = {**before.made, **after.made}
    return found


def _triggered(unpacked: Unpacked, order: Sequence[Pin], named: Collection[str]) -> Iterator[tuple[Pin, str]]:
    """The packages that wait for a trigger that was ``named``, or for files that came, and what they wait for."""
    directives = {pin: _directives(unpacked.of(pin).triggers) for pin in order}
    coming = [directives[pin] for pin in order if pin in unpacked.packages]
    active = {*named, *(name for each in coming for kind, name in each if kind.startswith("activate"))}
    # What is left out of them wakes nobody.
    paths = [entry.path for package in unpacked.packages.values() for entry in package.entries]
    for pin in order:
        waiting = dict.fromkeys(name for kind, name in directives[pin] if kind.startswith("interest"))
        fitting = [name for name in waiting if name in active or _came(name.lstrip("/"), paths, unpacked.together)]
        if fitting:
            yield pin, " ".join(fitting)


def _directives(triggers: bytes) -> list[tuple[str, str]]:
    lines = (line.partition("#")[0].split() for line in triggers.decode("utf-8", "replace").splitlines())
    return [(words[0], words[1]) for words in lines if len(words) == 2]


def _came(path: str, paths: Sequence[str], together: Tree) -> bool:
    return any((each == path or each.startswith(f"{path}/")) and together.place(each) in together for each in paths)


def _variables(pin: Pin, script: str, architecture: str) -> dict[str, str]:
    """What is in the environment of a script, as far as scripts look."""
    return {
        "0": f"/var/lib/dpkg/info/{pin.name}.{script}",
        "DEBIAN_FRONTEND": "noninteractive",
        "DPKG_ADMINDIR": "/var/lib/dpkg",
        "DPKG_MAINTSCRIPT_ARCH": architecture,
        "DPKG_MAINTSCRIPT_NAME": script,
        "DPKG_MAINTSCRIPT_PACKAGE": pin.name,
        "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
        "DPKG_ROOT": "",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }


def _in_order(unpacked: Unpacked) -> Iterator[Pin]:
    """The packages, each after those that it depends on; in a circle, and else, by name."""
    pins = {pin.name: pin for pin in sorted(unpacked.packages, key=lambda pin: pin.name)}
    providers: dict[str, list[str]] = {}
    for name in pins:
        for virtual in unpacked.described[name].provided:
            providers.setdefault(virtual.name, []).append(name)
    done: set[str] = set()
    for first in pins:
        stack = [(first, iter(_needed(first, unpacked, pins, providers)))] if first not in done else []
        done.add(first)
        while stack:
            name, others = stack[-1]
            other = next(others, None)
            if other is None:
                stack.pop()
                yield pins[name]
            elif other not in done:
                done.add(other)
                stack.append((other, iter(_needed(other, unpacked, pins, providers))))


def _needed(
    name: str, unpacked: Unpacked, pins: Collection[str], providers: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    found: dict[str, None] = {}
    for group in unpacked.described[name].needs:
        for one in group:
            found |= dict.fromkeys(each for each in (one.name, *providers.get(one.name, ())) if each in pins)
    return sorted(found)
