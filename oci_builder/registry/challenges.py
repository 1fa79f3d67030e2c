"""How a registry says who it wants to be convinced by: the header WWW-Authenticate (RFC 9110, 11.6.1).

Not oras's reading of it, which takes time that grows with the square of the header's length, and knows one challenge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LONGEST = 8192
"""Letters of a header that is read; real ones have some hundred."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]++[A-Za-z0-9._~+/-]++=*+(?=[ \t]*+(?:,|\Z)))?+")
_FIELD = re.compile(rf'({_TOKEN})[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^\s",]++))', re.DOTALL)
_BETWEEN = re.compile(r"[ \t,]*+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """How a registry wants to be convinced: by Basic, or by a token of ``realm``."""

    basic: bool
    realm: str = ""
    service: str = ""
    scope: str = ""


def read_challenge(header: str) -> Challenge | None:
    """What to answer to ``header``: a token where it takes one, else Basic; None where it wants something else."""
    basic = None
    for scheme, fields in _challenges(header[: _LONGEST + 1]) if len(header) <= _LONGEST else ():
        if scheme == "bearer":
            known = {name: fields.get(name, "") for name in ("realm", "service", "scope")}
            return Challenge(basic=False, **known)
        if scheme == "basic":
            basic = Challenge(basic=True)
    return basic


def _challenges(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each scheme in lower case, with its fields; what does not read is passed over."""
    at, scheme, fields = 0, "", dict[str, str]()
    while (at := _end(_BETWEEN, header, at)) < len(header):
        if scheme and (field := _FIELD.match(header, at)):
            quoted, plain = field[2], field[3]
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            fields.setdefault(field[1].lower(), value)
            at = field.end()
        elif found := _SCHEME.match(header, at):
            if scheme:
                yield scheme, fields
            scheme, fields, at = found[1].lower(), {}, found.end()
        else:
            at += 1
    if scheme:
        yield scheme, fields


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
