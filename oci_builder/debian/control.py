"""Debian's control files: stanzas, and what a dependency field says (deb-control(5))."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from oci_builder.errors import PackageError

_DEPENDENCY = re.compile(
    # Possessive: nothing that matched is tried again in pieces, whatever follows.
    r"\s*+(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*+)(?::(?P<architecture>[a-z0-9-]++))?+"
    r"\s*+(?:\(\s*+(?P<relation><<|<=|=|>=|>>|<|>)\s*+(?P<version>[^)\s]++)\s*+\))?+\s*+\Z"
)
_NAME = b"Package: "


@dataclass(frozen=True, slots=True)
class Dependency:
    """One alternative of a dependency; ``relation`` is empty where any version will do.

    ``architecture`` is what follows a colon: ``any``, ``native``, one of Debian's architectures; empty without one.
    """

    name: str
    relation: str = ""
    version: str = ""
    architecture: str = ""

    def __str__(self) -> str:
        name = f"{self.name}:{self.architecture}" if self.architecture else self.name
        return f"{name} ({self.relation} {self.version})" if self.relation else name


def stanza(text: str) -> dict[str, str]:
    """The fields of one stanza by lower-case name; the lines of a folded field are joined with newlines."""
    fields: dict[str, list[str]] = {}
    folded: list[str] = []
    # Not splitlines(): dpkg knows no other end of a line, and a description may hold any letter.
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            folded.append(line.strip())
        elif line.strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = folded = [value.strip()]
    return {name: "\n".join(lines) for name, lines in fields.items()}


def stanzas(index: bytes, names: Container[str]) -> Iterator[dict[str, str]]:
    """The stanzas of a Packages index whose package is one of ``names``; the other 60,000 are stepped over."""
    at = 0
    while at < len(index):
        end = index.find(b"\n\n", at)
        end = len(index) if end < 0 else end
        if index.startswith(_NAME, at):
            stop = index.find(b"\n", at, end)
            name = index[at + len(_NAME) : end if stop < 0 else stop]
            if name.strip().decode("utf-8", "replace") in names:
                yield stanza(index[at:end].decode("utf-8", "replace"))
        at = end + 2


def dependencies(fields: Mapping[str, str], *names: str) -> Iterator[list[Dependency]]:
    """Each group of alternatives in the fields ``names`` of a package. Raises PackageError on an unreadable one."""
    for name in names:
        for group in fields.get(name, "").replace("\n", " ").split(","):
            if group.strip():
                yield [_dependency(text, fields.get("package", "")) for text in group.split("|")]


def provides(fields: Mapping[str, str]) -> Iterator[Dependency]:
    """What a package stands in for. Raises PackageError: an alternative means nothing there."""
    for virtual, *others in dependencies(fields, "provides"):
        if others:
            raise PackageError(
                fields.get("package", ""), f"it provides {virtual} or {others[0]}, and nobody knows which"
            )
        yield virtual


def _dependency(text: str, package: str) -> Dependency:
    found = _DEPENDENCY.match(text)
    if found is None:
        raise PackageError(package, f"a dependency that cannot be read: {text.strip()!r:.200}")
    # Debian policy 7.1: the old signs mean what these do.
    relation = {"<": "<=", ">": ">="}.get(found["relation"], found["relation"] or "")
    return Dependency(found["name"], relation, found["version"] or "", found["architecture"] or "")
