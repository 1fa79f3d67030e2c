"""Labels that name several packages of an image: what was not held to a rule is said where every engine keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_ONE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,200} [^\s,]{1,100}\Z")
_MOST = 10_000
"""Of other people's labels so many are believed."""


def naming_label(label: str, names: Iterable[str]) -> Mapping[str, str]:
    """The label for packages such as "selenium 4.1.0"; none where there are none."""
    text = ", ".join(sorted(set(names)))
    return {label: text} if text else {}


def named_by(label: str, run: Mapping[str, object]) -> frozenset[str]:
    """The packages that the ``config`` of an image's configuration names in ``label``."""
    labels = run.get("Labels")
    text = labels.get(label) if isinstance(labels, Mapping) else None
    found = text.split(", ")[:_MOST] if isinstance(text, str) else []
    return frozenset(name for name in found if _ONE.match(name))
