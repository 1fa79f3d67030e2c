"""Files with holes, as GNU tar tells of them in PAX records: what pieces they have, and where (tar's manual, D)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from oci_builder.digest import CHUNK
from oci_builder.tree.limits import Damaged, Unfit

MAX_PIECES = 10_000
"""Pieces of one file."""

Pieces = Sequence[tuple[int, int]]
"""Where in the file each piece begins, and how long it is (bytes)."""

OFFSET, LENGTH, MAP = "GNU.sparse.offset", "GNU.sparse.numbytes", "GNU.sparse.map"
_VERSIONS = {("0", "0"): False, ("0", "1"): False, ("1", "0"): True}
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_MAX = (1 << 63) - 1


def integer(text: str) -> int:
    """A whole number as Go's reader takes it from a record. Raises ValueError."""
    if not _INTEGER.fullmatch(text) or not -_MAX - 1 <= int(text) <= _MAX:
        raise ValueError(f"no number: {text!r:.40}")
    return int(text)


def map_is_content(pax: Mapping[str, str]) -> bool | None:
    """Whether the map comes before the content (version 1.0) or in records; None for a file without holes."""
    major, minor = pax.get("GNU.sparse.major", ""), pax.get("GNU.sparse.minor", "")
    if major or minor:
        return _VERSIONS.get((major, minor))
    return False if pax.get(MAP) else None


def size_of(pax: Mapping[str, str], otherwise: int) -> int:
    """Bytes of the file with its holes. Raises ValueError."""
    text = pax.get("GNU.sparse.size") or pax.get("GNU.sparse.realsize")
    return integer(text) if text else otherwise


def pieces_in_records(pax: Mapping[str, str]) -> Pieces:
    """The pieces that records tell. Raises ValueError, Unfit."""
    count = integer(pax.get("GNU.sparse.numblocks", ""))
    if count > MAX_PIECES:
        raise Unfit(f"a file of more than {MAX_PIECES} pieces")
    numbers = [integer(text) for text in pax[MAP].split(",")] if pax.get(MAP) else []
    if count < 0 or len(numbers) != 2 * count:
        raise ValueError("the map of a file with holes has another number of pieces than it says")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def pieces_in_content(lines: Iterator[str]) -> Pieces:
    """The pieces told by the lines at the beginning of the content. Raises ValueError, Unfit."""
    count = integer(next(lines))
    if count > MAX_PIECES:
        raise Unfit(f"a file of more than {MAX_PIECES} pieces")
    return [(integer(next(lines)), integer(next(lines))) for _ in range(count)]


def check(pieces: Pieces, size: int, stored: int) -> None:
    """The pieces lie one after another in a file of ``size`` bytes, and are all that is ``stored``.

    Raises ValueError.
    """
    end = 0
    for at, length in pieces:
        if min(at, length) < 0 or at < end or at + length > size:
            raise ValueError("the pieces of a file with holes overlap, or lie past its end")
        end = at + length
    if size < 0 or sum(length for _, length in pieces) != stored:
        raise ValueError("the pieces of a file with holes are not what is stored")


def filled(pieces: Pieces, size: int, stored: Iterator[bytes]) -> Iterator[bytes]:
    """The content with its holes. ``stored`` gives the bytes of all pieces. Raises Damaged, and what that raises."""
    pending, at = b"", 0
    for start, length in [*pieces, (size, 0)]:
        yield from _hole(start - at)
        at = start + length
        while length:
            pending = pending or next(stored, b"")
            if not pending:
                raise Damaged("a file with holes is cut off")
            piece, pending = pending[:length], pending[length:]
            length -= len(piece)
            yield piece


def _hole(size: int) -> Iterator[bytes]:
    while size > 0:
        yield bytes(min(size, CHUNK))
        size -= CHUNK
