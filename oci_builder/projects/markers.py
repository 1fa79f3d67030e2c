"""Markers of locks: true or not for a target, where any number of extras may be chosen at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from oci_builder.errors import RecipeError
from oci_builder.projects.packages import TOOLS

LONGEST = 20_000
"""Characters of a marker; those of forks with many branches have some hundred."""

_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'
# As packaging writes a parsed marker.
_EXTRA = re.compile(r"""\bextra (==|!=) "([^"]*)"|"([^"]*)" (==|!=) extra\b""")


class MarkerReader:
    """Tells which markers of a lock hold for an environment (PEP 508) and the ``extras`` that are chosen."""

    def __init__(self, path: Path, environment: Mapping[str, str], extras: Collection[str] = ()) -> None:
        self._path = path
        self._environment = dict(environment)
        self._extras = {canonicalize_name(extra) for extra in extras}
        self._known: dict[str, bool] = {}

    def holds(self, marker: str | None) -> bool:
        """Whether ``marker`` does; an empty one always does. Raises RecipeError for what is no marker."""
        if not marker:
            return True
        if marker not in self._known:
            self._known[marker] = self._evaluated(marker)
        return self._known[marker]

    def _evaluated(self, marker: str) -> bool:
        if len(marker) > LONGEST:
            raise RecipeError(str(self._path), "", f"a marker of more than {LONGEST} characters")
        try:
            # packaging knows one extra at a time: what is said of extras is settled first, as words.
            settled = _EXTRA.sub(self._settled, str(Marker(marker)))
            return Marker(settled).evaluate(self._environment)
        except (ValueError, RecursionError) as error:
            shown = marker if len(marker) <= 200 else f"{marker[:200]}…"
            why = f"{shown!r} is not a marker that can be evaluated"
            raise RecipeError(str(self._path), "", why, hint=f"make it anew: {TOOLS[self._path.name]}") from error

    def _settled(self, found: re.Match[str]) -> str:
        name, operator = (found[2], found[1]) if found[1] else (found[3], found[4])
        chosen = canonicalize_name(name) in self._extras
        return _ALWAYS if chosen == (operator == "==") else _NEVER
