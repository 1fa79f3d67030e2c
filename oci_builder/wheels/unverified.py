"""Which wheels of an image were not held to their RECORD: said in a label, which every engine and registry keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

UNVERIFIED = "dev.ocibuild.unverified"

_ONE = re.compile(r"[a-z0-9][a-z0-9.-]{0,200} [^\s,]{1,100}\Z")
_MOST = 10_000
"""Of other people's labels so many are believed."""


def unverified_label(names: Iterable[str]) -> Mapping[str, str]:
    """The label for distributions such as "selenium 4.1.0"; none where there are none."""
    text = ", ".join(sorted(set(names)))
    return {UNVERIFIED: text} if text else {}


def unverified_of(run: Mapping[str, object]) -> frozenset[str]:
    """The distributions that the ``config`` of an image's configuration names so."""
    labels = run.get("Labels")
    text = labels.get(UNVERIFIED) if isinstance(labels, Mapping) else None
    found = text.split(", ")[:_MOST] if isinstance(text, str) else []
    return frozenset(name for name in found if _ONE.match(name))
