"""Why a file of an index does not fit a target, in words a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from oci_builder.wheels.target import Target

# Each is tried once in a line, where its words first stand: a file's name may hold them a thousand times.
_LINKS = {
    "Skipping link: ": re.compile(r"(?P<why>.*?): (?P<link>(?:https?|file)://\S+)"),
    "Found link ": re.compile(r"(?P<why>)(?P<link>(?:https?|file)://\S+?)(?:,| \(|$)"),
}
_NEEDS_PYTHON = re.compile(r"Requires-Python (?P<what>\S+)$")
_INTERPRETER = re.compile(r"(cp|py)(\d)(\d+)?\Z")
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_SYSTEMS = {"win": "Windows", "macosx": "macOS", "musllinux": "musl libc", "android": "Android", "ios": "iOS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file an index offers for a project, and what pip said of it ("" when it would have taken it)."""

    filename: str
    name: str
    version: Version
    said: str = ""

    @property
    def is_sdist(self) -> bool:
        """Whether it is a source archive."""
        return not self.filename.endswith(".whl")


def candidates(log: str) -> tuple[Candidate, ...]:
    """The files a log of pip (``--log``) tells of, each once, in no telling order."""
    told: dict[str, dict[str, Candidate]] = {words: {} for words in _LINKS}
    for line in log.splitlines():
        for words, pattern in _LINKS.items():
            at = line.find(words)
            match = pattern.match(line, at + len(words)) if at >= 0 else None
            filename = _filename(match["link"]) if match else ""
            if match and (name := _name(filename)) is not None:
                each = Candidate(filename=filename, name=name[0], version=name[1], said=match["why"])
                told[words][filename] = each
    # What was skipped in one place and found in another is found.
    found = {filename: each for words in _LINKS for filename, each in told[words].items()}
    return tuple(found[filename] for filename in sorted(found))


def fitting(found: Iterable[Candidate], specifier: str) -> list[Candidate]:
    """Those whose version a specifier allows, newest first."""
    try:
        allowed = SpecifierSet(specifier, prereleases=True)
    except InvalidSpecifier:
        allowed = SpecifierSet(prereleases=True)
    chosen = [candidate for candidate in found if allowed.contains(candidate.version)]
    return sorted(chosen, key=lambda candidate: (candidate.version, candidate.filename), reverse=True)


def reasons(found: Iterable[Candidate], target: Target, *, limit: int = 8) -> list[str]:
    """One line for each file of the newest version, nearest to fitting first; the rest is counted."""
    newest = list(found)
    newest = [candidate for candidate in newest if candidate.version == newest[0].version]
    judged = sorted((_judge(candidate, target), candidate.filename) for candidate in newest)
    lines = [f"{filename}: {' and '.join(why)}" for (_, why), filename in judged[:limit]]
    return [*lines, f"and {len(judged) - limit} more of that version"] if len(judged) > limit else lines


def _judge(candidate: Candidate, target: Target) -> tuple[int, list[str]]:
    if candidate.is_sdist:
        return 9, ["a source archive, no wheel"]
    if needs := _NEEDS_PYTHON.search(candidate.said):
        return 1, [f"needs Python {needs['what']}"]
    tags = parse_wheel_filename(candidate.filename)[3]
    if not tags.isdisjoint(target.tags()):
        return 0, [candidate.said or "fits"]
    return min((len(why), why) for why in (_mismatch(tag, target) for tag in tags))


def _mismatch(tag: Tag, target: Target) -> list[str]:
    found = [_python(tag, target), _platform(tag.platform, target)]
    return [why for why in found if why] or [f"its tag {tag} is not one of the target's"]


def _python(tag: Tag, target: Target) -> str:
    if tag.interpreter.startswith("pp"):
        return "is for PyPy"
    if tag.abi == f"{target.abi}t":
        return "is for the free-threaded Python"
    found = _INTERPRETER.match(tag.interpreter)
    if tag.interpreter in (target.abi, "py3") or not found:
        return ""
    minor, wanted = int(found[3] or 0), f"{found[2]}.{found[3]}" if found[3] else found[2]
    later = found[1] == "py" or tag.abi == "abi3"
    if later and int(found[2]) == target.minor[0]:
        return f"needs Python {wanted} or newer" if minor > target.minor[1] else ""
    return f"is for {'Python' if found[1] == 'py' else 'CPython'} {wanted}"


def _platform(platform: str, target: Target) -> str:
    if platform == "any":
        return ""
    for prefix, system in _SYSTEMS.items():
        if platform.startswith(prefix):
            return f"is for {system}"
    machine = target.platform.machine
    if not platform.endswith(machine):
        return f"is for {re.sub(r'^(manylinux(_[0-9]+_[0-9]+|[0-9]+)|linux)_', '', platform)}"
    glibc = _glibc(platform)
    return f"needs glibc {glibc[0]}.{glibc[1]}" if glibc and glibc > target.promise.glibc else ""


def _glibc(platform: str) -> tuple[int, int] | None:
    if found := _GLIBC.match(platform):
        return int(found[1]), int(found[2])
    return _LEGACY.get(platform.partition("_")[0])


def _filename(link: str) -> str:
    try:
        return unquote(urlsplit(link).path).rpartition("/")[2]
    except ValueError:
        return ""


def _name(filename: str) -> tuple[str, Version] | None:
    try:
        if filename.endswith(".whl"):
            name, version = parse_wheel_filename(filename)[:2]
        else:
            name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return canonicalize_name(name), version
