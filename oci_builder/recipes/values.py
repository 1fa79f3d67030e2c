"""The words of a recipe: what each may look like, and what it becomes.

A description is a noun phrase: it stands in the JSON Schema, and after "expected" in an error. A pattern ends in
``$(?!\\n)``: to Python's ``$`` a line's end is before its newline as well, and JSON Schema knows no ``\\Z``.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from oci_builder.bounded import SIZE, parse_size
from oci_builder.errors import BadKey
from oci_builder.recipes import meant

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$(?!\n)",
        description='lower-case letters and digits, with ".", "_" or "-" between',
        extra={"meant": meant.name},
    ),
]
Version = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]*$(?!\n)",
        description='letters, digits and "._+-", such as "1.4.2"',
        extra={"meant": meant.version},
    ),
]
Text = Annotated[str, Meta(min_length=1, description="text that is not empty")]
Line = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", description="text of one line, without control characters")
]
Absolute = Annotated[
    str,
    Meta(
        pattern=r"^/[^\x00-\x1f\x7f]*$(?!\n)",
        description="an absolute path of the image",
        extra={"meant": meant.absolute},
    ),
]
Inside = Annotated[
    str,
    Meta(pattern=r"^[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)", description="a path relative to the recipe's folder"),
]
Account = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$(?!\n)",
        description='a user name: lower-case letters, digits, "_" and "-"',
        extra={"meant": meant.account},
    ),
]
GroupName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_][a-z0-9_-]{0,31}(:[0-9]{1,10})?$(?!\n)",
        description='a group such as "video", or "gpu:990" with its number',
        extra={"meant": meant.account},
    ),
]
Id = Annotated[int, Meta(ge=0, le=4294967294, description="a number from 0 to 4294967294")]
EnvName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$(?!\n)",
        description='letters, digits and "_.-", beginning with a letter or "_"',
    ),
]
LabelName = Annotated[str, Meta(pattern=r"^[^=\s\x00-\x1f\x7f]+$(?!\n)", description='a name without blanks and "="')]
Port = (
    Annotated[int, Meta(ge=1, le=65535, description="a port from 1 to 65535")]
    | Annotated[
        str,
        Meta(
            pattern=r"^[0-9]{1,5}(/(tcp|udp|sctp))?$(?!\n)",
            description='text such as "80/tcp"',
            extra={"meant": meant.port},
        ),
    ]
)
Signal = Annotated[
    str,
    Meta(
        pattern=r"^(SIG[A-Z0-9+-]+|[0-9]{1,2})$(?!\n)",
        description='a signal such as "SIGTERM" or "15"',
        extra={"meant": meant.signal},
    ),
]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^(?=.)([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$(?!\n)",
        description='a duration such as "30s" or "1m30s"',
        extra={"meant": meant.duration},
    ),
]
Mode = Annotated[
    str,
    Meta(
        pattern=r"^0?[0-7]{3,4}$(?!\n)",
        description='an octal mode in quotes, such as "0644"',
        extra={"meant": meant.mode},
    ),
]
SuiteName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$(?!\n)",
        description='an archive and a suite in it, such as "ubuntu/jammy-updates"',
    ),
]
DebianPackage = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9+.-]+$(?!\n)",
        description='the name of a Debian package, such as "libgl1"',
        extra={"meant": meant.debian_package},
    ),
]
LocaleName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z]+(_[A-Za-z]+)?(\.[A-Za-z0-9:_-]+)?(@[A-Za-z0-9]+)?$(?!\n)",
        description='the name of a locale, such as "de_DE.UTF-8"',
        extra={"meant": meant.locale},
    ),
]
PathGlob = Annotated[
    str,
    Meta(
        pattern=r"^/?[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)",
        description='a glob of paths of the image, such as "/usr/share/doc/git/*"; * crosses folders',
    ),
]
Size = Annotated[
    str,
    Meta(
        pattern=rf"^({SIZE}|0)$(?!\n)",
        description='a size such as "500MB" or "1.5GiB"',
        extra={"meant": meant.size},
    ),
]
Owner = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,10}:[0-9]{1,10}|user)$(?!\n)",
        description='"user", or numbers such as "1000:1000"',
        extra={"meant": meant.owner},
    ),
]

Sha256 = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{64}$(?!\n)",
        description="64 hexadecimal digits, as sha256sum prints",
        extra={"meant": meant.sha256},
    ),
]
Address = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\x00-\x20\x7f]+$(?!\n)",
        description='an address such as "https://example.org/a.bin"',
        extra={"meant": meant.address},
    ),
]
Target = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,4095}$(?!\n)", description="a path of the image, absolute or relative")
]

_LONGEST_DURATION = (1 << 63) - 1
"""Nanoseconds: what docker counts them with."""

_UNITS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}


class Table(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True, omit_defaults=True):
    """A table of a recipe: keys in kebab-case, unknown ones refused."""


def countable(key: str, duration: str | None) -> None:
    """Refuse a duration that no engine can count. Raises BadKey, about ``key``."""
    if nanoseconds(duration) > _LONGEST_DURATION:
        raise BadKey(key, "longer than 292 years, which engines cannot count")


def nanoseconds(duration: str | None) -> int:
    """``1m30s`` in nanoseconds, which the image configuration counts in; None is 0, the engine's default."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|[hms])", duration or ""))


def number_of_bytes(size: str | None) -> int:
    """``500MB`` in bytes; None is 0."""
    return parse_size(size or "0")


def normal_port(key: str, port: int | str) -> str:
    """``80`` and ``"80"`` as ``80/tcp``, the only form that all engines read. Raises BadKey, about ``key``."""
    number, _, protocol = str(port).partition("/")
    if not 1 <= int(number) <= 65535:
        raise BadKey(key, f"expected a port from 1 to 65535, got {number}")
    return f"{int(number)}/{protocol or 'tcp'}"


def without_nul(key: str, text: str) -> None:
    """Refuse what no process can be given, and no document can hold. Raises BadKey, about ``key``."""
    if "\0" in text:
        raise BadKey(key, "a NUL cannot be passed to a process")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadKey(key, "bytes that are no UTF-8 cannot stand in an image's configuration") from error
