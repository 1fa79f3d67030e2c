"""Packages written down as installed: in dpkg's own list, for dpkg, apt and scanners, or else in ``status.d``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping

from oci_builder.debian.configure import ORIGIN
from oci_builder.debian.configure import status as status_d
from oci_builder.debian.control import stanza
from oci_builder.debian.deb import DebFile
from oci_builder.debian.ground import INFO, Ground
from oci_builder.debian.installed import STATUS, stanzas_of, status_text
from oci_builder.debian.lock import Pin
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind, file

_ORDER = (
    *("Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size", "Origin", "Maintainer"),
    *("Bugs", "Architecture", "Multi-Arch", "Source", "Version", "Config-Version", "Replaces", "Provides", "Depends"),
    *("Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles", "Description"),
)
"""The fields of a package in the order in which dpkg writes them; others follow as they came."""

_PLACES = {name.lower(): place for place, name in enumerate(_ORDER)}
_RELATIONS = frozenset(
    ("replaces", "provides", "depends", "pre-depends", "recommends", "suggests", "breaks", "conflicts", "enhances")
)
_TRIGGERS = "var/lib/dpkg/triggers"


def recorded(packages: Mapping[Pin, DebFile], ground: Ground) -> list[Entry]:
    """What says of ``packages``, which ``ground`` does not have, that they are there.

    Where dpkg has a list of its own it is that one, with all that dpkg keeps beside it; else a file for each package,
    as in distroless images.
    """
    if not ground.has_dpkg:
        found = [entry for pin, package in packages.items() for entry in status_d(pin.name, package)]
        return [entry for entry in found if entry.path not in ground.tree]
    if not packages:
        return []
    with MappedFiles() as sources:
        entries = [file(STATUS, _status(packages, ground, sources), origin=ORIGIN)]
    entries += [entry for pin, package in packages.items() for entry in _info(pin, package)]
    return [*entries, *_interests(packages, ground)]


def _status(packages: Mapping[Pin, DebFile], ground: Ground, sources: MappedFiles) -> bytes:
    new = {(pin.name, pin.architecture): _stanza(package, sources) for pin, package in packages.items()}
    names = {name for name, _ in new}
    kept = {key: text for text in stanzas_of(status_text(ground.tree, sources)) if (key := _key(text)) not in new}
    # What was removed from the base and left its configuration is written down anew.
    kept = {key: text for key, text in kept.items() if key[0] not in names or " installed" in _line(text, "Status")}
    both = {**kept, **new}
    return "".join(f"{both[key]}\n\n" for key in sorted(both)).encode("utf-8", "surrogateescape")


def _key(text: str) -> tuple[str, str]:
    return _line(text, "Package"), _line(text, "Architecture")


def _line(text: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*(.*)$", text, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""


def _stanza(package: DebFile, sources: MappedFiles) -> str:
    """A package as dpkg writes it down once it is configured."""
    fields = dict(_fields(package.control.decode("utf-8", "replace")))
    fields["Status"] = " install ok installed"
    sums = "".join(_sums(package, sources))
    if sums:
        fields["Conffiles"] = sums
    named = sorted(fields, key=lambda name: _PLACES.get(name.lower(), len(_PLACES)))
    return "\n".join(f"{name}:{fields[name]}" for name in named)


def _fields(control: str) -> Iterator[tuple[str, str]]:
    """The fields of a control file, each as it is written behind its colon."""
    for found in re.finditer(r"^([!-9;-~]+):(.*(?:\n[ \t].*)*)", control, re.MULTILINE):
        name, value = found[1], found[2].rstrip()
        known = _ORDER[_PLACES[name.lower()]] if name.lower() in _PLACES else name
        if name.lower() in _RELATIONS:
            value = " " + ", ".join(" ".join(each.split()) for each in value.split(",") if each.strip())
        yield known, value


def _sums(package: DebFile, sources: MappedFiles) -> Iterator[str]:
    """A line for each configuration file with the sum of what the package has there, by which dpkg sees changes."""
    held: dict[str, Entry] = {entry.path: entry for entry in package.entries}
    for path in package.conffiles:
        entry = held.get(path)
        if entry is not None and entry.kind is Kind.FILE and entry.content is not None:
            data = sources.read(entry.content, what=f"{entry.origin}: {path}")
            yield f"\n /{path} {hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def _info(pin: Pin, package: DebFile) -> Iterator[Entry]:
    fields = stanza(package.control.decode("utf-8", "replace"))
    # Of what may be there for several machines at once the files are called by the machine, too.
    name = f"{pin.name}:{pin.architecture}" if fields.get("multi-arch") == "same" else pin.name
    listed = "".join(f"/{entry.path}\n" for entry in package.entries)
    yield file(f"{INFO}{name}.list", f"/.\n{listed}".encode(), origin=ORIGIN)
    for what, (data, mode) in sorted(package.described.items()):
        yield file(f"{INFO}{name}.{what}", data, mode=mode, origin=ORIGIN)


def _interests(packages: Mapping[Pin, DebFile], ground: Ground) -> Iterator[Entry]:
    """What is written down of those that wait for triggers (deb-triggers(5)): by files, and by names."""
    files, named = list[str](), dict[str, list[str]]()
    for pin, package in packages.items():
        for kind, name in directives(package.triggers):
            waits = f"{pin.name}/noawait" if kind.endswith("-noawait") else pin.name
            if kind.startswith("interest") and name.startswith("/"):
                files.append(f"{name} {waits}\n")
            elif kind.startswith("interest"):
                named.setdefault(name, []).append(f"{waits}\n")
    if files:
        yield _appended(f"{_TRIGGERS}/File", files, ground)
    for name, lines in sorted(named.items()):
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._-]*", name):
            yield _appended(f"{_TRIGGERS}/{name}", lines, ground)


def _appended(path: str, lines: Iterable[str], ground: Ground) -> Entry:
    text = "".join([ground.text(path), *lines])
    return file(path, text.encode("utf-8", "surrogateescape"), origin=ORIGIN)


def directives(triggers: bytes) -> list[tuple[str, str]]:
    """What a package says of triggers, in pairs: what it does, and the name of the trigger."""
    lines = (line.partition("#")[0].split() for line in triggers.decode("utf-8", "replace").splitlines())
    return [(words[0], words[1]) for words in lines if len(words) == 2]
