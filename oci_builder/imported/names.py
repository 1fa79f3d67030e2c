"""Paths of a layer, as engines read them: what is one, and how messages show it."""

from __future__ import annotations

import posixpath
import re
import tarfile

from oci_builder.tree.entry import WHITEOUT
from oci_builder.tree.limits import Unfit
from oci_builder.tree.tarstream import TarMember

MAX_PATH = 4096
MAX_NAME = 255
"""Bytes of a path and of each of its parts, as Linux has them."""

MAX_DEPTH = 256
"""Folders above each other; whatever walks up from a path takes so many steps."""

AUFS = WHITEOUT + WHITEOUT
"""How names at the root begin that were meant for aufs, which engines pass over; what is linked to may lie there."""

_PLAIN = min(MAX_NAME, MAX_DEPTH)
"""Characters of a path that keeps every limit whatever it is."""

_ODD = re.compile(r"\A\Z|\A[./]|/[./]|\0")
_REFUSED = {
    tarfile.CONTTYPE: "is a contiguous file, which engines refuse",
    tarfile.GNUTYPE_SPARSE: "is a sparse file in GNU's old way, which engines refuse",
}
_KNOWN = frozenset(
    {
        tarfile.REGTYPE,
        tarfile.AREGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
    }
)


def layer_path(name: str) -> str:
    """The path that a member's name means, relative and normalised; empty for the root. Raises Unfit, with a clause.

    "/usr", "./usr/" and "usr" are one path to every engine, and ".." never leads above the root.
    """
    # Most paths are plain; only the odd one is taken apart.
    if len(name) <= _PLAIN and name.isascii() and not _ODD.search(name):
        return name[:-1] if name.endswith("/") else name
    if "\0" in name:
        raise Unfit("is not a path")
    if byte_length(name) > MAX_PATH:
        raise Unfit(f"is longer than {MAX_PATH} bytes")
    path = posixpath.normpath("/" + name.lstrip("/"))[1:]
    parts = path.split("/")
    if len(name) > MAX_NAME // 4 and any(byte_length(part) > MAX_NAME for part in parts):
        raise Unfit(f"has a part of more than {MAX_NAME} bytes")
    if len(parts) > MAX_DEPTH:
        raise Unfit(f"lies below more than {MAX_DEPTH} folders")
    return path


def listed_path(name: str) -> str:
    """The name as docker compares it with others: normalised, but "/usr" is not "usr", nor "../usr"."""
    if len(name) <= _PLAIN and name.isascii() and not _ODD.search(name):
        return name[:-1] if name.endswith("/") else name
    path = posixpath.normpath(name or ".")
    return path[1:] if path.startswith("//") else path


def refusal(member: TarMember) -> str:
    """Why no engine takes a member, as a clause; empty for those that they take."""
    if member.type in _KNOWN:
        return ""
    return _REFUSED.get(member.type) or f"has the unknown tar type {member.type.decode('latin-1')!r}"


def byte_length(text: str) -> int:
    """Bytes of a name in an archive, which need not be UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def shown(name: str, longest: int = 100) -> str:
    """A name as messages have it, no longer than anybody reads."""
    text = readable(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def readable(text: str) -> str:
    r"""``text`` as valid Unicode: what is no UTF-8 in a name is shown as ``\xe4``, half a surrogate as ``\ud800``."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
