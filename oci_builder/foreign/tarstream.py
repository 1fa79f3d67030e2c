"""A tar archive read strictly, front to back, in flat memory.

``tarfile`` takes a damaged header for the end of the archive and stray bytes for padding; here both are damage.
"""

from __future__ import annotations

import math
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from oci_builder.digest import CHUNK
from oci_builder.tree.tarwrite import BLOCK

_CHECKSUM = re.compile(rb"[0-7]{6}\0 \Z")
_PAX_RECORD = re.compile(rb"([0-9]{1,20}) ([^=\n]+)=")
_MAX_EXTENSION = 1 << 20
"""Bytes of one PAX or GNU extension: names and attributes, nothing longer."""

_CONTENTS = b"stargz.index.json\0"

# Whatever size the header of a link repeats.
_WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
)
_GNU_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}


class Damaged(Exception):
    """Bytes that cannot be read further; the message says where and why. Never leaves ``foreign`` and ``check``."""


class Source(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """One header, its PAX records applied. ``offset`` is where its content begins (bytes in the archive)."""

    name: str
    type: bytes
    mode: int
    uid: int
    gid: int
    mtime: float
    size: int
    target: str
    offset: int
    pax: Mapping[str, str]

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file (type 0, or NUL in old archives)."""
        return self.type in (tarfile.REGTYPE, tarfile.AREGTYPE)


class TarStream:
    """The members of a tar, one after another; ``content`` belongs to the latest.

    ``unclosed`` says at the end that the closing blocks are missing, which engines take (``umoci insert`` writes none):
    whoever knows no digest of the archive has to take it for one that was cut off.
    """

    def __init__(self, source: Source, *, what: str) -> None:
        self._source, self._what = source, what
        self._left = self._pad = 0
        self.offset = 0
        self.has_global_header = False
        self.unclosed = ""

    def members(self) -> Iterator[TarMember]:
        """Every member; content that nobody took is passed over. Raises Damaged, also for bytes after the end."""
        extended: dict[str, str] = {}
        while (block := self._block()) is not None:
            info = self._parse(block)
            if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                extended |= self._pax(info)
            elif info.type == tarfile.XGLTYPE:
                self.has_global_header = True
                self._pax(info)
            elif info.type in _GNU_LONG:
                extended[_GNU_LONG[info.type]] = _text(self._extension(info).rstrip(b"\0"))
            else:
                yield self._member(info, extended)
                extended = {}
                self._pass_over()

    def content(self) -> Iterator[bytes]:
        """The bytes of the member last yielded. Raises Damaged."""
        while self._left:
            data = self._take(min(self._left, CHUNK))
            self._left -= len(data)
            yield data

    def _member(self, info: tarfile.TarInfo, pax: dict[str, str]) -> TarMember:
        size = self._number(pax.get("size"), info.size)
        self._left = 0 if info.type in _WITHOUT_CONTENT else size
        self._pad = -self._left % BLOCK
        return TarMember(
            name=pax.get("path", info.name),
            type=info.type,
            mode=info.mode,
            uid=self._number(pax.get("uid"), info.uid),
            gid=self._number(pax.get("gid"), info.gid),
            mtime=self._time(pax.get("mtime"), info.mtime),
            size=size,
            target=pax.get("linkpath", info.linkname),
            offset=self.offset,
            pax=pax,
        )

    def _block(self) -> bytes | None:
        at = self.offset
        block = self._source.read(BLOCK)
        self.offset += len(block)
        if not block:
            self.unclosed = f"{self._what}: the tar ends at byte {at} without its two closing blocks"
            return None
        if len(block) < BLOCK:
            raise Damaged(f"{self._what}: cut off at byte {self.offset}")
        if block.count(0) < BLOCK:
            return block
        if self._take(BLOCK).count(0) < BLOCK:
            raise Damaged(f"{self._what}: only one closing block at byte {at}")
        self._drain()
        return None

    def _drain(self) -> None:
        while data := self._source.read(BLOCK):
            if data.count(0) < len(data) and not self._is_contents(data):
                raise Damaged(f"{self._what}: bytes after the end of the tar, after byte {self.offset}")
            self.offset += len(data)
            self._pass_over()
        if self.offset % BLOCK:
            raise Damaged(f"{self._what}: {self.offset} bytes, not a whole number of blocks")

    def _is_contents(self, block: bytes) -> bool:
        """Whether it begins an eStargz's table of contents, which BuildKit writes behind a tar it leaves as it is."""
        if len(block) < BLOCK or not block.startswith(_CONTENTS):
            return False
        self._left = self._parse(block).size
        self._pad = -self._left % BLOCK
        return True

    def _parse(self, block: bytes) -> tarfile.TarInfo:
        at = self.offset - BLOCK
        # Leading blanks mean the same number, so the checksum alone would not notice them change.
        if not _CHECKSUM.match(block[148:156]):
            raise Damaged(f"{self._what}: the header at byte {at} has no proper checksum")
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise Damaged(f"{self._what}: the header at byte {at} does not hold: {error}") from error
        if info.size < 0:
            raise Damaged(f"{self._what}: the header at byte {at} has a negative size")
        return info

    def _pax(self, info: tarfile.TarInfo) -> dict[str, str]:
        data, records, at = self._extension(info), {}, 0
        while at < len(data):
            match = _PAX_RECORD.match(data, at)
            end = at + int(match[1]) if match else 0
            if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
                raise Damaged(f"{self._what}: a PAX record before byte {self.offset} does not hold")
            records[_text(match[2])] = _text(data[match.end() : end - 1])
            at = end
        return records

    def _extension(self, info: tarfile.TarInfo) -> bytes:
        if info.size > _MAX_EXTENSION:
            raise Damaged(f"{self._what}: a header extension of {info.size} bytes at byte {self.offset}")
        self._left, self._pad = info.size, -info.size % BLOCK
        data = b"".join(self.content())
        self._pass_over()
        return data

    def _number(self, text: str | None, otherwise: int) -> int:
        if text is None:
            return otherwise
        if not text.isascii() or not text.isdigit() or len(text) > 19:
            raise Damaged(f"{self._what}: the PAX number {text!r} before byte {self.offset} does not hold")
        return int(text)

    def _time(self, text: str | None, otherwise: float) -> float:
        try:
            found = otherwise if text is None else float(text)
        except ValueError as error:
            raise Damaged(f"{self._what}: the PAX time {text!r} before byte {self.offset} does not hold") from error
        if not math.isfinite(found):
            raise Damaged(f"{self._what}: the PAX time {text!r} before byte {self.offset} does not hold")
        return found

    def _pass_over(self) -> None:
        for _ in self.content():
            pass
        padding = self._source.read(self._pad)
        self.offset += len(padding)
        if len(padding) not in (0, self._pad):
            raise Damaged(f"{self._what}: cut off at byte {self.offset}")
        self._pad = 0
        if padding.count(0) < len(padding):
            raise Damaged(f"{self._what}: stray bytes before byte {self.offset}, where zeros belong")

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        self.offset += len(data)
        if len(data) != size:
            raise Damaged(f"{self._what}: cut off at byte {self.offset}")
        return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
