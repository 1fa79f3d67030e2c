"""What the gate finds, how bad it is, and what a recipe may say about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from packaging.utils import canonicalize_name

Severity = Literal["error", "warning"]

KINDS = (
    *("library", "library-path", "symbol-version", "machine", "program-loader", "damaged-elf"),
    *("start", "interpreter"),
    *("requirement", "requires-python", "script", "import"),
    *("setuid", "world-writable", "secret", "installed-twice", "same-bytes", "max-size", "scripts-skipped"),
    "locale",
    "unused-allow",
)
"""Every kind of finding: what ``[checks] allow`` calls ``finding``."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing wrong. ``origin`` says whose it is ("numpy 2.4.6", "copy"), ``subject`` what: a library, a path.

    An error would be met by whoever runs the image; a warning only by some. ``supplier`` is the Debian package that
    brings a missing library.
    """

    severity: Severity
    kind: str
    origin: str
    subject: str
    message: str
    hint: str = ""
    supplier: str = ""

    @property
    def package(self) -> str:
        """The origin without its version, as distributions are compared."""
        return canonicalize_name(self.origin.partition(" ")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A finding that somebody looked at and found right; empty text fits everything, globs are understood.

    ``library`` stands for the subject of findings about libraries and their versions.
    """

    reason: str
    finding: str = ""
    library: str = ""
    package: str = ""
    subject: str = ""

    def covers(self, finding: Finding) -> bool:
        """Whether this permission is about ``finding``."""
        if self.library and finding.kind not in ("library", "library-path", "symbol-version"):
            return False
        if self.package and canonicalize_name(self.package) != finding.package:
            return False
        pairs = ((self.finding, finding.kind), (self.subject, finding.subject))
        # A symbol version's subject is "libc.so.6 GLIBC_2.38": the library is its first word.
        library = (self.library, finding.subject.partition(" ")[0])
        return all(not pattern or fnmatchcase(text, pattern) for pattern, text in (*pairs, library))

    def __str__(self) -> str:
        fields = ("finding", "library", "package", "subject")
        return ", ".join(f"{name} = {getattr(self, name)!r}" for name in fields if getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What the gate said of an image. ``allowed`` pairs a finding with the reason it was allowed for."""

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    allowed: tuple[tuple[Finding, str], ...] = ()


def judged(findings: Iterable[Finding], allow: Sequence[Allowance]) -> GateResult:
    """Errors, warnings and what is allowed; an allowance for nothing is a warning of its own."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    allowed: list[tuple[Finding, str]] = []
    used: set[Allowance] = set()
    for finding in sorted(set(findings)):
        reasons = [allowance for allowance in allow if allowance.covers(finding)]
        used.update(reasons)
        if reasons:
            allowed.append((finding, reasons[0].reason))
        else:
            (errors if finding.severity == "error" else warnings).append(finding)
    warnings += [_unused(allowance) for allowance in allow if allowance not in used]
    return GateResult(errors=tuple(errors), warnings=tuple(warnings), allowed=tuple(allowed))


def _unused(allowance: Allowance) -> Finding:
    return Finding(
        severity="warning",
        kind="unused-allow",
        origin="image.toml",
        subject=str(allowance),
        message=f"[checks] allow with {allowance} fits no finding",
        hint="take it out",
    )


def summary(findings: Sequence[Finding], *, limit: int) -> list[str]:
    """Warnings in ``limit`` lines at most: one for each kind and origin."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.kind, finding.origin), []).append(finding)
    lines = [_together(members) for members in groups.values()]
    if len(lines) > limit:
        lines = [*lines[: limit - 1], f"and {len(lines) - limit + 1} more kinds of warning"]
    return lines


def _together(findings: Sequence[Finding]) -> str:
    packages = sorted({finding.supplier for finding in findings if finding.supplier})
    first = f"{findings[0].message}{f'; Debian has {chr(44).join(packages)}' if packages else ''}"
    if len(findings) == 1:
        return first
    subjects = ", ".join(finding.subject for finding in findings[1:4])
    return f"{first}; likewise {subjects}{f' and {len(findings) - 4} more' if len(findings) > 4 else ''}"
