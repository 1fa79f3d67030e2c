"""What the checks said of an image, in the form in which the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from oci_builder.gate.finding import Finding, GateResult

_NOTHING = GateResult(errors=(), warnings=())


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a check says of the image: ``check`` is who says it ("verify", "gate")."""

    check: str
    severity: Literal["error", "warning", "note"]
    text: str


def remarks_of(findings: Sequence[str], gated: GateResult = _NOTHING) -> tuple[Remark, ...]:
    """What ``verify`` found, and what the gate did: errors, warnings, and as notes what the recipe allows."""
    return (
        *(Remark("verify", "error", line) for line in findings),
        *(Remark("gate", "error", _text(finding)) for finding in gated.errors),
        *(Remark("gate", "warning", _text(finding)) for finding in gated.warnings),
        *(Remark("gate", "note", f"{finding.message}; allowed: {reason}") for finding, reason in gated.allowed),
    )


def _text(finding: Finding) -> str:
    return f"{finding.message}: {finding.hint}" if finding.hint else finding.message
