"""Maintainer scripts of packages that are added: none is run, each is walked as on a first installation.

As dpkg would, ``config`` and ``preinst install`` see the base alone, ``postinst configure`` sees all that was unpacked,
package after package in the order of what they depend on. What they would make is what is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oci_builder.debian.archive import BinaryPackage
from oci_builder.debian.deb import DebFile
from oci_builder.debian.lock import Pin
from oci_builder.debian.rootfs import Diversions
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry
from oci_builder.tree.tree import Tree, parents

if TYPE_CHECKING:
    from oci_builder.debian.shell import NotKnown

RULES = 2
"""Raised when the same scripts make something else than before."""

JAVA_CERTIFICATES = "ca-certificates-java"
"""The package that makes Java's keystore of the links to certificates, which a base of ours has not."""

_COMPILING = frozenset(("python3-tk", "python3-gdbm", "python3-distutils", "python3-lib2to3"))
"""Packages of one source, whose scripts list their own files and compile these to bytecode; they do nothing else."""


@dataclass(frozen=True)
class Unpacked:
    """Packages with what their control files say, over ``below``.

    ``unpack`` gives the tree of all their files, those that a script diverts in another place. The scripts of packages
    in ``skipped`` are passed over. ``numbers`` are those that accounts have, where the lock knows them, by file
    (passwd, group) and name. ``waiting`` are packages of the base that wait for triggers, and ``answers`` what debconf
    was told there.
    """

    packages: Mapping[Pin, DebFile]
    described: Mapping[str, BinaryPackage]
    below: Tree
    unpack: Callable[[Diversions], Tree]
    architecture: str
    skipped: Collection[str] = ()
    numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    waiting: Mapping[Pin, DebFile] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)

    def of(self, pin: Pin) -> DebFile:
        """A package that comes, or one that waits."""
        return self.packages[pin] if pin in self.packages else self.waiting[pin]


@dataclass
class Configured:
    """What packages put over a base, less what their scripts take away, and what scripts make, by path.

    ``refused`` are the packages whose scripts would have to run, with what is not known of them; ``lacking`` are words
    for what an installation would make as well. ``accounts`` are the numbers of the users and groups among it.
    """

    tree: Tree = field(default_factory=Tree)
    made: dict[str, Entry] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()
    refused: dict[Pin, str] = field(default_factory=dict)
    accounts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def take(self, tree: Tree, before: ScriptTree, after: ScriptTree) -> None:
        """Hold what scripts left of ``tree``, and what they made of the base and after that."""
        gone = after.gone
        self.lacking = tuple({**before.lacking, **after.lacking})
        self.tree = tree.without(lambda path: path in gone) if gone else tree
        self.made = {**{path: each for path, each in before.made.items() if path not in gone}, **after.made}


def configured(unpacked: Unpacked) -> Configured:
    """Walk the scripts of all packages. What is made by a refused one may be among what is made."""
    if not any(package.scripts for package in (*unpacked.packages.values(), *unpacked.waiting.values())):
        return Configured(unpacked.unpack({}))
    # Loaded where there is a script alone: parsing takes a library.
    from oci_builder.debian.commands import COMMANDS, TRIGGER
    from oci_builder.debian.debconf import PREFIX, answers
    from oci_builder.debian.newusers import made_accounts
    from oci_builder.debian.shell import IS_SHELL, NotKnown, Shell

    found, known = Configured(), dict[str, str]()
    for package in unpacked.packages.values():
        known |= answers(package.templates)
    known |= {f"{PREFIX}{name}": answer for name, answer in unpacked.answers.items()}

    def walk(pin: Pin, name: str, arguments: Sequence[str], tree: ScriptTree) -> None:
        text = unpacked.of(pin).scripts.get(name)
        if text is None or pin in found.refused or pin.name in _COMPILING or pin.name in unpacked.skipped:
            return
        if not IS_SHELL.match(text.decode("latin-1")):
            found.refused[pin] = f"its {name} script would have to run, and is none of a shell"
            return
        tree.origin = str(pin)
        shell = Shell(tree, COMMANDS, {**_variables(pin, name, unpacked.architecture), **known}, list(arguments))
        try:
            status = shell.run(text.decode("utf-8", "surrogateescape"))
        except NotKnown as error:
            found.refused[pin] = f"its {name} script would have to run, {_where(error)}"
            return
        if status:
            found.refused[pin] = f"its {name} script would have to run, and ends with status {status}"
        known.update({key: value for key, value in shell.variables.items() if key.startswith((PREFIX, TRIGGER))})

    order = list(_in_order(unpacked))
    with MappedFiles() as sources:
        before = ScriptTree(unpacked.below, sources, unpacked.numbers)
        for pin in order:
            walk(pin, "config", ["configure", ""], before)
            walk(pin, "preinst", ["install"], before)
        tree = unpacked.unpack(before.diversions)
        after = _unpacked_over(unpacked, tree, before, sources)
        for pin in order:
            walk(pin, "postinst", ["configure", ""], after)
        named = {key.removeprefix(TRIGGER) for key in known if key.startswith(TRIGGER)}
        together = unpacked.below.overlaid(tree)
        for pin, triggers in _triggered(unpacked, [*order, *unpacked.waiting], named, together):
            walk(pin, "postinst", ["triggered", triggers], after)
        found.accounts = made_accounts(after, ScriptTree(unpacked.below, sources))
    found.take(tree, before, after)
    return found


def _where(error: NotKnown) -> str:
    """What is not known of a script, and at which of its lines."""
    why = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in error.why)
    at = f"line {error.line}" if error.line else "as a whole"
    command = f", {error.command!r}" if error.command else ""
    return f"{at}{command}: {why}"


def _unpacked_over(unpacked: Unpacked, tree: Tree, before: ScriptTree, sources: MappedFiles) -> ScriptTree:
    """What ``postinst`` sees: the files of all packages, and what was made before them."""
    from oci_builder.debian.keystore import certificate_links

    together = unpacked.below.overlaid(tree).overlaid(before.made.values())
    after = ScriptTree(together, sources, unpacked.numbers, fixed=unpacked.below)
    after.diversions = before.diversions
    after.packages = {pin.name: [e.path for e in package.entries] for pin, package in unpacked.packages.items()}
    if any(pin.name == JAVA_CERTIFICATES for pin in unpacked.packages):
        for entry in list(certificate_links(after)):
            after.show(entry)
    return after


def _triggered(
    unpacked: Unpacked, order: Sequence[Pin], named: Collection[str], together: Tree
) -> Iterator[tuple[Pin, str]]:
    """The packages that wait for a trigger that was ``named``, or for files that came, and what they wait for."""
    directives = {pin: _directives(unpacked.of(pin).triggers) for pin in order}
    coming = [directives[pin] for pin in order if pin in unpacked.packages]
    active = {*named, *(name for each in coming for kind, name in each if kind.startswith("activate"))}
    # What is left out of them wakes nobody.
    came = {
        place
        for package in unpacked.packages.values()
        for e in package.entries
        if (place := together.place(e.path)) in together
    }
    came |= {folder for path in came for folder in parents(path)}
    for pin in order:
        waiting = dict.fromkeys(name for kind, name in directives[pin] if kind.startswith("interest"))
        fitting = [
            name
            for name in waiting
            if name in active or (name.startswith("/") and together.place(name.strip("/")) in came)
        ]
        if fitting:
            yield pin, " ".join(fitting)


def _directives(triggers: bytes) -> list[tuple[str, str]]:
    lines = (line.partition("#")[0].split() for line in triggers.decode("utf-8", "replace").splitlines())
    return [(words[0], words[1]) for words in lines if len(words) == 2]


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
