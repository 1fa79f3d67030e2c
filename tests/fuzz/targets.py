"""Every target by name."""

from __future__ import annotations

from tests.fuzz import archives, debian, texts
from tests.fuzz.harness import Target

TARGETS: dict[str, Target] = {target.name: target for target in (*archives.TARGETS, *texts.TARGETS, *debian.TARGETS)}
