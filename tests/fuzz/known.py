"""Crashes that are known and not mended yet: by target and signature, each with what happens."""

from __future__ import annotations

KNOWN: dict[str, dict[str, str]] = {}
