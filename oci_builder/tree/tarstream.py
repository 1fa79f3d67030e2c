"""A tar archive read strictly, front to back, in flat memory.

``tarfile`` takes a damaged header for the end of the archive and stray bytes for padding; here both are damage.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oci_builder.bounded import parse_decimal
from oci_builder.digest import CHUNK
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Unfit
from oci_builder.tree.tarwrite import BLOCK

_CHECKSUM = re.compile(rb"[0-7]{6}\0 \Z")
_PAX_RECORD = re.compile(rb"([0-9]{1,20}) ([^=\n]+)=")
_PAX_TIME = re.compile(r"([+-]?[0-9]{1,19})(\.[0-9]{0,100})?", re.ASCII)
"""What Go's reader, and with it docker, takes for a time."""

_BUFFER = 64 << 10
"""Bytes read at once."""

_MAX_EXTENSIONS = 1 << 20
"""Bytes of all PAX and GNU extensions of one member, as Go's reader has it for each."""

_MAX_RECORDS = 10_000
"""PAX records of one member."""

_MAX_TEXT = 4096
"""Bytes of a name or a link's target, as Linux has it."""

_MAX_ID = (1 << 32) - 2
"""The largest user or group; one more means "leave it as it is" to chown."""

_NAMES = frozenset({"path", "linkpath", "uname", "gname"})
"""PAX records in which engines refuse a NUL."""

_MAX_SIZE = (1 << 63) - 1
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


@dataclass(frozen=True, slots=True)
class TarMember:
    """One header, its PAX records applied. ``offset`` is where its content begins (bytes in the archive)."""

    name: str
    type: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: str
    offset: int
    pax: Mapping[str, str]

    @property
    def is_sparse(self) -> bool:
        """Whether its content is told in pieces, as GNU tar does."""
        return self.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in self.pax)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file (type 0, or NUL in old archives)."""
        return self.type in (tarfile.REGTYPE, tarfile.AREGTYPE)


class TarStream:
    """The members of a tar, one after another; ``content`` belongs to the latest.

    ``unclosed`` says at the end that the closing blocks are missing, which engines take (``umoci insert`` writes none):
    whoever knows no digest of the archive has to take it for one that was cut off.
    """

    def __init__(self, source: ByteReader, *, what: str, budget: Budget) -> None:
        self._source, self._what, self._budget = source, what, budget
        self._buffer, self._at = b"", 0
        self._left = self._pad = self._extensions = self._records = 0
        self.offset = 0
        self.has_global_header = False
        self.unclosed = ""

    def members(self) -> Iterator[TarMember]:
        """Every member; content that nobody took is passed over. Raises Damaged, also for bytes after the end."""
        # As Go's reader has it, and with it docker: the last PAX header counts, and GNU's names count more.
        pax: dict[str, str] = {}
        long: dict[str, str] = {}
        while (block := self._block()) is not None:
            info = self._parse(block)
            if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                pax = self._pax(info)
            elif info.type == tarfile.XGLTYPE:
                self.has_global_header = True
                self._pax(info)
                pax, long = {}, {}
            elif info.type in _GNU_LONG:
                long[_GNU_LONG[info.type]] = _text(self._extension(info).split(b"\0", 1)[0])
            else:
                self._budget.count_header(self._what, records=self._records)
                self._extensions = self._records = 0
                yield self._member(info, pax | long if long else pax)
                pax, long = {}, {}
                self._pass_over()

    def content(self) -> Iterator[bytes]:
        """The bytes of the member last yielded. Raises Damaged."""
        while self._left:
            data = self._take(min(self._left, CHUNK))
            self._left -= len(data)
            yield data

    def _member(self, info: tarfile.TarInfo, pax: dict[str, str]) -> TarMember:
        # An empty record takes back what another said.
        name, target = pax.get("path") or info.name, pax.get("linkpath") or info.linkname
        self._count(name, target)
        size, uid, gid, mtime = info.size, info.uid, info.gid, int(info.mtime)
        if pax:
            size = self._number(pax.get("size"), size, most=_MAX_SIZE)
            uid, gid = (self._number(pax.get(key), was, most=_MAX_ID) for key, was in (("uid", uid), ("gid", gid)))
            times = [self._time(pax.get(key), mtime) for key in ("mtime", "atime", "ctime")]
            mtime = times[0]
        if not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID and abs(mtime) <= _MAX_SIZE):
            raise Damaged(f"{self._what}: an owner or a time in the header before byte {self.offset} is out of range")
        self._left = 0 if info.type in _WITHOUT_CONTENT else size
        self._pad = -self._left % BLOCK
        return TarMember(name, info.type, info.mode, uid, gid, mtime, size, target, self.offset, pax)

    def _count(self, *names: str) -> None:
        length = 0
        for name in names:
            size = len(name) if name.isascii() else len(_bytes(name))
            if size > _MAX_TEXT:
                raise Unfit(f"{self._what}: a name of {size} bytes before byte {self.offset} is no path of a layer")
            length += size
        self._budget.count_entry(self._what, names=length)

    def _block(self) -> bytes | None:
        at = self.offset
        block = self._read(BLOCK)
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
        while data := self._read(BLOCK):
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
        if min(info.size, info.mode) < 0 or max(info.size, info.mode) > _MAX_SIZE:
            raise Damaged(f"{self._what}: the header at byte {at} has a size or a mode that is none")
        return info

    def _pax(self, info: tarfile.TarInfo) -> dict[str, str]:
        """The records of an extended header; each has to hold, or engines refuse the layer."""
        data, records, at = self._extension(info), {}, 0
        while at < len(data):
            match = _PAX_RECORD.match(data, at)
            end = at + int(match[1]) if match else 0
            if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
                raise Damaged(f"{self._what}: a PAX record before byte {self.offset} does not hold")
            self._records += 1
            if self._records > _MAX_RECORDS:
                raise Unfit(f"{self._what}: more than {_MAX_RECORDS} PAX records before byte {self.offset}")
            name, value = _text(match[2]), data[match.end() : end - 1]
            if name in _NAMES and b"\0" in value:
                raise Damaged(f"{self._what}: the PAX record {name} before byte {self.offset} holds a NUL")
            records[name] = _text(value)
            at = end
        return records

    def _extension(self, info: tarfile.TarInfo) -> bytes:
        self._extensions += info.size
        if self._extensions > _MAX_EXTENSIONS:
            raise Unfit(f"{self._what}: header extensions of {self._extensions} bytes at byte {self.offset}")
        self._budget.count_header(self._what)
        self._left, self._pad = info.size, -info.size % BLOCK
        data = b"".join(self.content())
        self._pass_over()
        return data

    def _number(self, text: str | None, otherwise: int, *, most: int) -> int:
        try:
            return parse_decimal(text, most=most) if text else otherwise
        except ValueError as error:
            where = f"before byte {self.offset}"
            raise Damaged(f"{self._what}: the PAX number {text!r:.40} {where} does not hold") from error

    def _time(self, text: str | None, otherwise: int) -> int:
        """Whole seconds, rounded down."""
        if not text:
            return otherwise
        match = _PAX_TIME.fullmatch(text)
        if match is None or abs(int(match[1])) > _MAX_SIZE:
            raise Damaged(f"{self._what}: the PAX time {text!r:.40} before byte {self.offset} does not hold")
        return int(match[1]) - (match[1].startswith("-") and bool(match[2]))

    def _pass_over(self) -> None:
        for _ in self.content():
            pass
        padding = self._read(self._pad)
        self.offset += len(padding)
        if len(padding) not in (0, self._pad):
            raise Damaged(f"{self._what}: cut off at byte {self.offset}")
        self._pad = 0
        if padding.count(0) < len(padding):
            raise Damaged(f"{self._what}: stray bytes before byte {self.offset}, where zeros belong")

    def _read(self, size: int) -> bytes:
        """``size`` bytes, or fewer at the end; a layer has five small pieces a file, and each would pass all below."""
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        missing = size - len(data)
        if missing >= _BUFFER:
            return data + self._source.read(missing)
        if missing:
            self._buffer = self._source.read(_BUFFER)
            self._at = min(missing, len(self._buffer))
            data += self._buffer[:missing]
        return data

    def _take(self, size: int) -> bytes:
        data = self._read(size)
        self.offset += len(data)
        if len(data) != size:
            raise Damaged(f"{self._what}: cut off at byte {self.offset}")
        return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
