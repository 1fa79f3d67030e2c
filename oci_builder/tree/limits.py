"""How much an archive made elsewhere may hold. The limits bind sums: a thousand small things are a large one."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable


class Damaged(Exception):
    """Bytes that cannot be read further; the message says where and why. Translated by the room that reads them."""


class Unfit(Damaged):
    """Bytes that are whole, and what nobody is to unpack: past a limit, or against a rule of engines."""


class ByteReader(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""


@runtime_checkable
class Seekable(ByteReader, Protocol):
    """What bytes are read from, or passed over without reading them."""

    def pass_over(self, count: int, /) -> int:
        """Go on ``count`` bytes further, or to the end; gives the bytes that were passed over."""


class Measured(Protocol):
    """What counts the bytes it passes on."""

    @property
    def size(self) -> int:
        """How many bytes came so far."""


MAX_UNPACKED = 100 << 30
"""Bytes that the layers of one image unpack to together."""

MAX_RATIO = 1000
"""Bytes that one packed byte may stand for; deflate reaches 1,032, and files come to 20 at most."""

UNSUSPECTED = 1 << 30
"""Bytes that may stand for next to nothing: a file of zeros is no attack."""

MAX_ENTRIES = 320_000
"""Members of all layers together; all of them are in memory at once, in some 200 MB."""

MAX_NAMES = 64 << 20
"""Bytes of all paths and link targets together."""

_HEADERS = 3
_RECORDS = 10
"""Headers and PAX records there may be for each member, on average: star and bsdtar write eight records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one image may come to: bytes its layers unpack to, and each packed byte, its members, their names.

    Below ``unsuspected`` bytes nobody asks what they were packed into.
    """

    unpacked: int = MAX_UNPACKED
    ratio: int = MAX_RATIO
    entries: int = MAX_ENTRIES
    names: int = MAX_NAMES
    unsuspected: int = UNSUSPECTED


DEFAULT = Limits()
_NAME = MAX_NAMES // MAX_ENTRIES
"""Bytes of a path and its link target, on average."""

_RAISED: ContextVar[Limits] = ContextVar("raised limits", default=DEFAULT)

_RAISE = "where that is right, {0} in image.toml allows a base more, and --{0} an image that is looked at"
_MORE_ENTRIES, _MORE_BYTES = _RAISE.format("max-entries"), _RAISE.format("max-unpacked")

MADE_HERE = 1 << 62
"""As much as there is: what was made here, within its recipe's limits, is not refused when it is read again."""


@contextlib.contextmanager
def allowing(entries: int = 0, *, unpacked: int = 0) -> Iterator[None]:
    """Allow images more ``entries`` while the block lasts, with names to match, and more ``unpacked`` bytes, of however
    few packed ones; never less than the usual limits.

    Who reads an image is many calls away from whoever knows that this one is large, and honest.
    """
    usual = _RAISED.get()
    raised = replace(
        usual,
        entries=max(usual.entries, entries),
        names=max(usual.names, entries * _NAME),
        unpacked=max(usual.unpacked, unpacked),
        unsuspected=max(usual.unsuspected, unpacked),
    )
    token = _RAISED.set(raised)
    try:
        yield
    finally:
        _RAISED.reset(token)


class Spent(NamedTuple):
    """What reading took off a budget: bytes unpacked, members, bytes of their names, headers, PAX records."""

    plain: int = 0
    entries: int = 0
    names: int = 0
    headers: int = 0
    records: int = 0


class Budget:
    """What is left of the limits while an image is read, those ``allowing`` has raised where none are given; its layers
    share one. Every method raises Unfit."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = _RAISED.get() if limits is None else limits
        self._blobs: dict[Hashable, int] = {}
        self._packed = self._all_plain = 0
        self.next_image()

    def next_image(self) -> None:
        """Another image of the same file begins: what it holds is counted anew, what stands for it together."""
        self._plain = self._entries = self._names = self._headers = self._records = 0

    @property
    def spent(self) -> Spent:
        """What the image at hand took so far."""
        return Spent(self._plain, self._entries, self._names, self._headers, self._records)

    def spend(self, spent: Spent, what: str) -> None:
        """Count what was read before as if it were read now. Raises Unfit past any limit."""
        self.count_plain(spent.plain, what)
        self._entries += spent.entries
        self._names += spent.names
        self._headers += spent.headers
        self._records += spent.records
        self._expect_entries(what)
        self._expect_headers(what)

    def unpacking(self, source: ByteReader, *, key: Hashable, packed: int | Measured, what: str) -> ByteReader:
        """``source`` gives what the blob ``key`` unpacks to, of so many ``packed`` bytes; reading it counts.

        Where the size is only somebody's word, ``packed`` is what is read of the blob. One that an image names twice
        is there once, and stands for twice as much.
        """
        if isinstance(packed, int):
            self.count_packed(key, packed)
        return _Counted(source, self, what, key, None if isinstance(packed, int) else packed)

    def count_packed(self, key: Hashable, size: int) -> None:
        """The blob ``key`` has so many bytes, as far as anybody knows."""
        self._packed += size - self._blobs.get(key, 0)
        self._blobs[key] = size

    def count_plain(self, size: int, what: str) -> None:
        """So many bytes more were unpacked. Raises Unfit for more than the limit."""
        self._plain += size
        self._all_plain += size
        if self._plain > self._limits.unpacked:
            raise Unfit(f"{what}: it unpacks to more than {self._limits.unpacked} bytes; {_MORE_BYTES}")
        if self._all_plain > max(self._limits.ratio * self._packed, self._limits.unsuspected):
            why = f"it unpacks to more than {self._limits.ratio} times its {self._packed} bytes"
            raise Unfit(f"{what}: {why}; {_MORE_BYTES}")

    def count_header(self, what: str, *, records: int = 0) -> None:
        """One more header was read, with so many PAX records behind it. Raises Unfit past the limit."""
        self._headers += 1
        self._records += records
        self._expect_headers(what)

    def _expect_headers(self, what: str) -> None:
        if self._headers > _HEADERS * self._limits.entries or self._records > _RECORDS * self._limits.entries:
            why = f"too many headers for an image of {self._limits.entries} entries"
            raise Unfit(f"{what}: {why}; {_MORE_ENTRIES}")

    def count_entry(self, what: str, *, names: int) -> None:
        """One more member was read, with so many bytes of path and link target. Raises Unfit past the limit."""
        self._entries += 1
        self._names += names
        self._expect_entries(what)

    def _expect_entries(self, what: str) -> None:
        if self._entries > self._limits.entries:
            raise Unfit(f"{what}: more than {self._limits.entries} entries; {_MORE_ENTRIES}")
        if self._names > self._limits.names:
            raise Unfit(f"{what}: more than {self._limits.names} bytes of paths; {_MORE_ENTRIES}")


class _Counted:
    """Passes reads on, and tells the budget what came; and of ``packed``, if it is given, how much of it was read."""

    def __init__(self, source: ByteReader, budget: Budget, what: str, key: Hashable, packed: Measured | None) -> None:
        self._source, self._budget, self._what = source, budget, what
        self._packed, self._key = packed, key

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end. Raises Unfit."""
        data = self._source.read(size)
        if self._packed is not None:
            self._budget.count_packed(self._key, self._packed.size)
        self._budget.count_plain(len(data), self._what)
        return data
