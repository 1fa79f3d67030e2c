"""Environment variables that refer to others, as ``ENV PATH=/opt/bin:${PATH}`` does in a Dockerfile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_builder.errors import InvalidValue

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}$]*))?\}")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines take for PATH where an image has none."""

_DEEPEST = 100
_LONGEST = 128 << 10
"""Letters of one value, as Linux takes it; values that name each other double with every step."""


def expanded(env: Mapping[str, str], below: Mapping[str, str]) -> dict[str, str]:
    """``env`` with every ``${NAME}`` replaced by its value, and over ``below``, what is there already.

    A variable that names itself means what is ``below``; any other, what ``env`` makes of it in the end. ``${NAME:-x}``
    is x where there is no NAME or an empty one, and ``$${`` means ``${``. Raises InvalidValue for a name that nobody
    sets and for variables that name each other in a circle.
    """
    expansion = _Expansion(env, {"PATH": _PATH, **below})
    return {**below, **{name: expansion.value(name) for name in env}}


@dataclass(frozen=True)
class _Expansion:
    env: Mapping[str, str]
    below: Mapping[str, str]
    done: dict[str, str] = field(default_factory=dict)

    def value(self, name: str, asked: tuple[str, ...] = ()) -> str:
        """What ``name`` is in the end; ``asked`` are those that ask for it, one for the other."""
        if name in self.done:
            return self.done[name]
        if name in asked:
            circle = " → ".join((*asked[asked.index(name) :], name))
            raise self._error(name, f"variables name each other in a circle: {circle}")
        if len(asked) > _DEEPEST:
            raise self._error(name, f"variables refer to each other more than {_DEEPEST} deep")
        pieces, length, end, text = list[str](), 0, 0, self.env[name]
        for match in _REFERENCE.finditer(text):
            pieces += [text[end : match.start()], self._found(name, match, asked)]
            end, length = match.end(), length + len(pieces[-1])
            if length > _LONGEST:
                raise self._error(name, f"longer than {_LONGEST} letters once its variables are in place")
        self.done[name] = "".join((*pieces, text[end:]))
        return self.done[name]

    def _found(self, name: str, match: re.Match[str], asked: tuple[str, ...]) -> str:
        other, default = match[1], match[2]
        if other is None:
            return "${"
        theirs = other == name or other not in self.env
        known = self.below.get(other) if theirs else self.value(other, (*asked, name))
        if default is not None:
            return known or default
        if known is None:
            hint = f"set it in [config] env, write ${{{other}:-}} for nothing, or $${{{other}}} for these very letters"
            raise self._error(name, f"nobody sets {other}", hint)
        return known

    def _error(self, name: str, why: str, hint: str | None = None) -> InvalidValue:
        return InvalidValue(f"value for {name}", self.env[name], why, hint=hint)
