"""What pip meant when it failed: its output and its log, turned into the error a person can act on."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from oci_builder.errors import (
    DigestMismatch,
    FileProblem,
    NoMatchingWheel,
    OcibuildError,
    ResolutionError,
    TransportError,
)
from oci_builder.files import hint_of
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.pythons import offer_of
from oci_builder.wheels.rejected import Candidate, candidates, fitting, reasons
from oci_builder.wheels.requirements import RequirementLine
from oci_builder.wheels.slips import hint_of_name, hint_of_version
from oci_builder.wheels.target import Target

_NO_MATCH = re.compile(r"No matching distribution found for (?P<what>.+)")
_CONFLICT = re.compile(r"The conflict is caused by:\n(?P<lines>(?:[ \t]+\S.*\n)+)")
_CANNOT = re.compile(r"Cannot install (?P<what>.+) because these package versions have conflicting dependencies")
_BY_LINE = re.compile(r"-[rc] (\S+ \(line \d+\))")
_DIFFERS = re.compile(
    r"^\s+(?P<what>\S+).*\n\s+Expected (?P<kind>\w+) (?P<expected>\w+)\s+Got\s+(?P<actual>\w+)", re.MULTILINE
)
_NETWORK = re.compile(
    r"connection broken by|Max retries exceeded|Connection (?:refused|reset)"
    r"|Could not fetch URL(?!.* 404 )|(?:401|403|407|429|5\d\d) (?:Client|Server) Error|\b401 Error"
    r"|timed out|CERTIFICATE_VERIFY_FAILED"
)
_OTHER_PYTHON = re.compile(r"Package '(?P<what>[^'\n]+)' requires a different Python: \S+ not in '(?P<asked>[^'\n]*)'")
_OTHER_PYTHONS = re.compile(r"^['\"](?P<asked>[^'\"\n]*)['\"] \(required by (?P<what>[^\n]+)\)$", re.MULTILINE)
_HASHES = ("Hashes are required", "THESE PACKAGES DO NOT MATCH THE HASHES", "which --require-hashes")
_DISK = re.compile(r"OSError: \[Errno (?P<number>\d{1,3})\] [^\n:]+(?:: '(?P<place>[^'\n]+)')?")
_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_PREFIX = re.compile(r"^(?:\d{4}-\S+\s+)?(?:(?:ERROR|WARNING|CRITICAL): )?")
_OBJECT = re.compile(r"<[\w.]+(?: object)? at 0x[0-9a-fA-F]+>:? ?")
_CAUSED = re.compile(
    r"(?:Caused by|connection broken by) ['\"]?(?:\w+\()+(?:\d{1,5}, )?(?P<quote>['\"])(?P<said>[^\n]*?)(?P=quote)\)"
)
_NEEDED = re.compile(
    r"\bneeds Python (?:(?P<oldest>\d+\.\d+) or newer|(?P<asked>\S+))|\bis for CPython (?P<minor>3\.\d+)(?!\d)"
)
_OTHER_MACHINE = re.compile(r"\bis for (?!CPython|Python|PyPy|the free-threaded)")
_SHOWN = 12
_NEAR = 50
"""Lines after the one that says hashes differ, in which the first of them is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A resolution that failed: what pip said, its log, and what had been asked."""

    said: str
    log: str
    target: Target
    lines: Sequence[RequirementLine]
    sources: WheelSources

    def error(self) -> OcibuildError:
        """The error to raise: FileProblem, NoMatchingWheel, DigestMismatch, TransportError or ResolutionError."""
        if disk := disk_error(self.said):
            return disk
        if mismatch := mismatch_error(
            self.said, hint=f"correct its --hash, or find out who changed the wheel{self._or_bring()}"
        ):
            return mismatch
        found = candidates(self.log)
        if unfit := self._other_python(found):
            return unfit
        if conflict := self._conflict():
            return conflict
        if missing := _NO_MATCH.search(self.said):
            return self._missing(missing["what"].partition(" (from ")[0].strip(), found)
        if network := network_error(self.said):
            return network
        return ResolutionError(self._what(), " ".join(distilled(self.said)))

    def _other_python(self, found: Sequence[Candidate]) -> NoMatchingWheel | None:
        """The error for wheels of which nobody said beforehand which Python they need: a folder does not."""
        listed = self.said if "Packages require a different Python." in self.said else ""
        matches = [*_OTHER_PYTHON.finditer(self.said), *_OTHER_PYTHONS.finditer(listed)]
        if not matches:
            return None
        told = [(match["what"], match["asked"]) for match in matches]
        names = {what: canonicalize_name(what.split(" ", 1)[0].partition("[")[0]) for what, _ in told}
        lines = []
        for what, asked in dict.fromkeys(told):
            there = [each for each in found if each.name == names[what] and not each.said]
            which = f"{names[what]} {_newest(each.version for each in there)}" if there else what
            lines.append(f"{which} needs Python {asked}, and the base has {self.target.promise.version}")
        version = self.target.promise.version
        places = " and ".join(dict.fromkeys(self._place(name) for name in names.values()))
        offer = offer_of((asked for _, asked in told), version)
        hint = self.sources.bring(version) if self.sources.offline else f"relax {places}"
        hint += offer or ("" if self.sources.offline else ", or use a newer base")
        return NoMatchingWheel(", ".join(sorted(set(names.values()))), str(self.target), rejected=lines, hint=hint)

    def _missing(self, what: str, found: Sequence[Candidate]) -> OcibuildError:
        name, specifier = _split(what)
        ours = [candidate for candidate in found if candidate.name == name]
        # A page that did not come is an error for a person, and a line of the log for pip.
        network = None if ours or self.sources.offline else network_error(self.said) or network_error(self.log)
        if network:
            return network
        allowed = fitting(ours, specifier)
        if any(not candidate.said for candidate in allowed):
            return ResolutionError(what, " ".join(distilled(self.said)), hint=self._relax(name))
        if allowed:
            why = reasons(allowed, self.target)
            return NoMatchingWheel(what, str(self.target), rejected=why, hint=self._hint(name, allowed, why))
        hint = hint_of_version(specifier) or self._relax(name) if ours else hint_of_name(name) or self._unknown(name)
        return ResolutionError(what, self._which(name, ours), hint=hint)

    def _which(self, name: str, ours: Sequence[Candidate]) -> str:
        if not ours:
            where = " or ".join(map(str, self.sources.find_links)) if self.sources.offline else "the index"
            return f"{where or 'offline'} has nothing named {name}"
        versions = _newest(candidate.version for candidate in ours if not candidate.said)
        if versions:
            return f"no such version; those that run on {self.target} are {versions}"
        return f"no such version; there are {_newest(candidate.version for candidate in ours)}"

    def _conflict(self) -> ResolutionError | None:
        listed = _CONFLICT.search(self.said)
        what = _CANNOT.search(self.said)
        if not listed and not what:
            return None
        causes = [" ".join(line.split()) for line in listed["lines"].splitlines()] if listed else []
        more = f" (and {len(causes) - 4} more)" if len(causes) > 4 else ""
        why = ", but ".join(map(_our_words, causes[:4])) + more or "their dependencies contradict each other"
        asked = self._named(what["what"]) if what else self._what()
        names = [_split(part)[0] for part in re.split(r",\s*|\s+and\s+", asked)]
        places = ", ".join(dict.fromkeys(line.place for line in self.lines if line.name in names))
        return ResolutionError(
            asked, why, hint=f"relax one of them{f' ({places})' if places else ''}{self._or_bring(self._version)}"
        )

    def _named(self, what: str) -> str:
        """``what`` with the requirements that pip names by file and line only."""
        texts = {f"{line.file.absolute()} (line {line.line})": line.text for line in self.lines}
        return _BY_LINE.sub(lambda found: texts.get(found[1], found[0]), what)

    def _hint(self, name: str, allowed: Sequence[Candidate], why: Sequence[str]) -> str:
        folder = f"put a wheel of it into {self._folder()}"
        version = self._version
        if all(candidate.is_sdist for candidate in allowed):
            if known := hint_of_name(name):
                return known
            pure = f'if it is pure Python, name it in image.toml ([python] build = ["{name}"]); else {folder}'
            return f"{pure}{self._or_bring(version)}"
        if any("needs glibc" in line for line in why):
            # pip takes what fits the C library of the machine that it runs on: it would bring the same again.
            return f"relax {self._place(name)}, or use a base with a newer glibc{self._or_bring()}"
        elsewhere = f" on {self.target.platform}" if any(map(_OTHER_MACHINE.search, why)) else ""
        bring = self._or_bring(version, where=elsewhere)
        if asked := next(filter(None, map(_asked_python, why)), ""):
            offer = offer_of([asked], version) or "; or use a base with a newer Python"
            return f"relax {self._place(name)}{offer}{bring}"
        return f"relax {self._place(name)}, leave it out with a marker, or {folder}{bring}"

    def _unknown(self, name: str) -> str:
        if self.sources.offline:
            return f"put its wheel, and those it depends on, into {self._folder()}; {self.sources.bring(self._version)}"
        return f"check the spelling at {self._place(name)}, and which index pip is configured for (pip config list)"

    def _relax(self, name: str) -> str:
        return f"change {self._place(name)}{self._or_bring(self._version)}"

    def _or_bring(self, version: str = "", *, where: str = "") -> str:
        return f", or bring another; {self.sources.bring(version, where=where)}" if self.sources.offline else ""

    @property
    def _version(self) -> str:
        return self.target.promise.version

    def _folder(self) -> str:
        return str(self.sources.find_links[0]) if self.sources.find_links else "the image's wheels/"

    def _place(self, name: str) -> str:
        places = [line.place for line in self.lines if line.name == name]
        return " and ".join(places) or f"what depends on {name}"

    def _what(self) -> str:
        return ", ".join(sorted({str(line.file) for line in self.lines if not line.constraint}))


def _asked_python(line: str) -> str:
    """The specifier of the Pythons that a file is for, by what is said of it; empty where that is not the matter."""
    found = _NEEDED.search(line)
    if found is None:
        return ""
    if found["minor"]:
        return f"=={found['minor']}.*"
    return f">={found['oldest']}" if found["oldest"] else found["asked"]


def disk_error(said: str) -> FileProblem | None:
    """The error for a failure in which a disk let pip down, None for others."""
    found = _DISK.search(said)
    if found is None or int(found["number"]) not in _DISKS:
        return None
    error = OSError(int(found["number"]), "")
    return FileProblem(
        found["place"] or "a file of pip's", os.strerror(int(found["number"])).lower(), hint=hint_of(error)
    )


def mismatch_error(said: str, *, hint: str) -> DigestMismatch | None:
    """The error for a wheel whose bytes are not those that were asked for, None for other failures."""
    _, mark, rest = said.partition("DO NOT MATCH THE HASHES")
    # The lines that follow at once: blank ones without end would be walked again and again.
    found = _DIFFERS.search("\n".join(line for line in rest.splitlines()[:_NEAR] if line.strip())) if mark else None
    if not found:
        return None
    expected, actual = f"{found['kind']}:{found['expected']}", f"{found['kind']}:{found['actual']}"
    return DigestMismatch(found["what"], expected=expected, actual=actual, hint=hint)


def network_error(said: str) -> TransportError | None:
    """The error for a failure in which pip complains of the network, None for others."""
    told = next((line for line in said.splitlines() if _NETWORK.search(line)), None)
    if told is None:
        return None
    line = _PREFIX.sub("", told.strip()).removesuffix(" - skipping")
    url = re.search(r"https?://[^\s'\"),]+", line)
    hint = "check pip's index, proxy and credentials (pip config list), or put the wheels into the image's wheels/"
    return TransportError(url[0].rstrip(".:") if url else "the package index", _in_words(line), hint=hint)


def _in_words(line: str) -> str:
    """What a line of pip's says of a connection, without the Python that it quotes."""
    line = _OBJECT.sub("", line)
    inner = _CAUSED.search(line)
    return inner["said"].strip() if inner and inner["said"].strip() else line


def distilled(said: str) -> list[str]:
    """The two lines of pip's that say most: what it says of hashes, else its last errors."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    lines = [_OBJECT.sub("", line) for line in lines]
    errors = [_PREFIX.sub("", line) for line in lines if line.startswith("ERROR: ")]
    if errors[-1:] == ["Exception:"]:
        # What pip did not foresee: its traceback follows, and what happened stands last.
        errors[-1] = f"pip failed: {lines[-1]}"
    hashes = [_PREFIX.sub("", line) for line in lines if any(mark in line for mark in _HASHES)]
    return (hashes or errors or lines or ["pip said nothing"])[-2:]


def _our_words(cause: str) -> str:
    """A cause of a conflict: what pip calls the user are the files and constraints that were given to it."""
    said = re.sub(r"\AThe user requested \(constraint\) ", "a constraint asks for ", cause)
    return re.sub(r"\AThe user requested ", "the requirements ask for ", said)


def _split(what: str) -> tuple[str, str]:
    try:
        requirement = Requirement(what)
    except InvalidRequirement:
        return canonicalize_name(re.split(r"[^\w.-]", what.strip(), maxsplit=1)[0]), ""
    return canonicalize_name(requirement.name), str(requirement.specifier)


def _newest(versions: Iterable[Version]) -> str:
    ordered = sorted(set(versions), reverse=True)
    shown = ", ".join(map(str, ordered[:_SHOWN]))
    return f"{shown} and {len(ordered) - _SHOWN} older ones" if len(ordered) > _SHOWN else shown
