"""A tar archive read front to back, in flat memory, as engines read it.

``tarfile`` takes a damaged header for the end of the archive; here it is damage, as it is for engines. What they pass
over is passed over, and said.
"""

from __future__ import annotations

import contextlib
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oci_builder.digest import CHUNK
from oci_builder.tree import pax, sparse
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Seekable, Unfit
from oci_builder.tree.tarheader import Header, parse_header
from oci_builder.tree.tarwrite import BLOCK

_CHECKSUM = re.compile(rb"[0-7]{6}\0 ")
_BUFFER = 64 << 10
"""Bytes read at once."""

_MAX_EXTENSIONS = 1 << 20
"""Bytes of all PAX and GNU extensions of one member, as Go's reader has it for each."""

_MAX_RECORDS = 10_000
"""PAX records of one member."""

_MAX_TEXT = 4096
"""Bytes of a name or a link's target, as Linux has it."""

_IDS = (1 << 32) - 1
"""Bits of a user or group that the kernel looks at; all of them mean "leave it as it is" to chown."""

_MOST_ODDITIES = 20
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
    """One header, its PAX records applied. ``offset`` is where its content begins (bytes in the archive).

    A file with holes has ``pieces``, which lie there one after another; ``size`` is the file's.
    """

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
    pieces: sparse.Pieces | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file (type 0, or NUL in old archives)."""
        return self.type in (tarfile.REGTYPE, tarfile.AREGTYPE)


class TarStream:
    """The members of a tar, one after another; ``content`` belongs to the latest.

    ``unclosed`` says at the end that the closing blocks are missing, which engines take (``umoci insert`` writes none):
    whoever knows no digest of the archive has to take it for one that was cut off. ``oddities`` are what engines pass
    over, and what is seldom meant.
    """

    def __init__(self, source: ByteReader, *, what: str, budget: Budget) -> None:
        self._source, self._what, self._budget = source, what, budget
        self._seeks = source if isinstance(source, Seekable) else None
        self._buffer, self._at = b"", 0
        self._left = self._pad = self._extensions = self._records = 0
        self._member_read: TarMember | None = None
        self._near: tuple[str, str | bytes] = ("at", "")
        self.offset = 0
        self.global_headers: list[str] = []
        self.unclosed = ""
        self.oddities: list[str] = []

    def members(self) -> Iterator[TarMember]:
        """Every member; content that nobody took is passed over. Raises Damaged."""
        # As Go's reader has it, and with it docker: the last PAX header counts, and GNU's names count more.
        records: dict[str, str] = {}
        long: dict[str, str] = {}
        while (block := self._block()) is not None:
            header = self._parse(block)
            self._near = "at", header.name
            if header.type == tarfile.XHDTYPE:
                records = self._pax(header)
            elif header.type == tarfile.XGLTYPE:
                with self._explained():
                    _merged(header, self._pax(header))
                self.global_headers.append(_text(header.name))
                records, long = {}, {}
            elif header.type in _GNU_LONG:
                long[_GNU_LONG[header.type]] = _text(self._extension(header).split(b"\0", 1)[0])
            else:
                self._budget.count_header(self._what, records=self._records)
                self._extensions = self._records = 0
                self._member_read = self._apply(header, records, long)
                yield self._member_read
                records, long = {}, {}
                self._pass_over()

    def content(self) -> Iterator[bytes]:
        """The bytes of the member last yielded, holes among them. Raises Damaged."""
        member = self._member_read
        if member is None or member.pieces is None:
            return self._stored()
        return sparse.filled(member.pieces, member.size, self._stored())

    def _stored(self) -> Iterator[bytes]:
        while self._left:
            data = self._take(min(self._left, CHUNK))
            self._left -= len(data)
            yield data

    def _apply(self, header: Header, records: dict[str, str], long: dict[str, str]) -> TarMember:
        # An empty record takes back what another said.
        name = long.get("path") or records.get("path") or _text(header.name)
        target = long.get("linkpath") or records.get("linkpath") or _text(header.link)
        self._near = "at", name
        size, uid, gid, mtime = header.size, header.uid, header.gid, header.mtime
        if records:
            with self._explained():
                size, uid, gid, mtime = _merged(header, records)
        kind = header.type
        if kind == tarfile.AREGTYPE and name.endswith("/"):
            kind = tarfile.DIRTYPE
        if kind not in _WITHOUT_CONTENT:
            if size < 0:
                raise self._fault(f"a size below zero before byte {self.offset}")
            self._left, self._pad = size, -size % BLOCK
        else:
            self._left = self._pad = 0
        pieces = None
        if records and sparse.map_is_content(records) is not None:
            size, pieces = self._pieces(kind, records, size)
            name = records.get("GNU.sparse.name") or name
        self._count(name, target)
        return TarMember(name, kind, header.mode, _id(uid), _id(gid), mtime, size, target, self.offset, records, pieces)

    def _pieces(self, kind: bytes, records: dict[str, str], size: int) -> tuple[int, sparse.Pieces]:
        """The size of a file with holes, and what is stored of it; its map is behind us."""
        with self._explained():
            if kind in _WITHOUT_CONTENT:
                raise ValueError("a file with holes has no content")
            size = sparse.size_of(records, size)
            if sparse.map_is_content(records):
                pieces = sparse.pieces_in_content(self._lines())
            else:
                pieces = sparse.pieces_in_records(records)
            sparse.check(pieces, size, self._left)
        self._budget.count_plain(size - self._left, self._what)
        return size, pieces

    def _lines(self) -> Iterator[str]:
        """The lines at the beginning of the content, a block at a time. Raises ValueError where it ends."""
        begun = b""
        while True:
            if self._left < BLOCK or len(begun) > BLOCK:
                raise ValueError("the map of a file with holes is cut off")
            data = self._take(BLOCK)
            self._left -= BLOCK
            *lines, begun = (begun + data).split(b"\n")
            yield from map(_text, lines)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise self._fault(f"{error}, before byte {self.offset}", Unfit) from error

    def _fault(self, why: str, kind: type[Damaged] = Damaged) -> Damaged:
        """What is wrong, with the member it is wrong at or, where none can be read, the one before."""
        word, name = self._near
        text = name if isinstance(name, str) else _text(name)
        return kind(f"{self._what}: {why}" + (f", {word} {text!r:.200}" if name else ""))

    def _count(self, *names: str) -> None:
        length = 0
        for name in names:
            size = len(name) if name.isascii() else len(_bytes(name))
            if size > _MAX_TEXT:
                raise self._fault(f"a name of {size} bytes before byte {self.offset} is no path of a layer", Unfit)
            length += size
        self._budget.count_entry(self._what, names=length)

    def _block(self) -> bytes | None:
        self._near = "after", self._near[1]
        at = self.offset
        block = self._read(BLOCK)
        self.offset += len(block)
        if not block:
            self.unclosed = f"{self._what}: the tar ends at byte {at} without its two closing blocks"
            return None
        if len(block) < BLOCK:
            raise self._fault(f"cut off at byte {self.offset}")
        if block.count(0) < BLOCK:
            return block
        second = self._read(BLOCK)
        self.offset += len(second)
        if not second:
            self.oddities.append(f"{self._what}: the tar ends with one closing block at byte {at}, where two belong")
        elif len(second) < BLOCK:
            raise self._fault(f"cut off at byte {self.offset}")
        elif second.count(0) < BLOCK:
            raise self._fault(f"only one closing block at byte {at}")
        self._drain()
        return None

    def _drain(self) -> None:
        """Pass over what lies behind the end, which no engine looks at."""
        odd = False
        while data := self._read(BLOCK):
            if data.count(0) < len(data) and not odd and not self._is_contents(data):
                self.oddities.append(f"{self._what}: bytes after the end of the tar, after byte {self.offset}")
                odd = True
            self.offset += len(data)
            self._pass_over()

    def _is_contents(self, block: bytes) -> bool:
        """Whether it begins an eStargz's table of contents, which BuildKit writes behind a tar it leaves as it is."""
        if len(block) < BLOCK or not block.startswith(_CONTENTS):
            return False
        self._left = max(self._parse(block).size, 0)
        self._pad = -self._left % BLOCK
        return True

    def _parse(self, block: bytes) -> Header:
        where = f"the header at byte {self.offset - BLOCK}"
        try:
            header = parse_header(block)
        except ValueError as error:
            raise self._fault(f"{where} {error}") from error
        # Other spellings mean the same number, so nobody else would notice a changed one.
        if not _CHECKSUM.match(block, 148) and len(self.oddities) < _MOST_ODDITIES:
            self.oddities.append(f"{self._what}: {where} spells its checksum otherwise than tar does")
        return header

    def _pax(self, header: Header) -> dict[str, str]:
        """The records of an extended header; each has to hold, or engines refuse the layer."""
        found: dict[str, str] = {}
        told: list[str] = []
        with self._explained():
            for name, value in pax.records(self._extension(header)):
                self._records += 1
                if self._records > _MAX_RECORDS:
                    raise self._fault(f"more than {_MAX_RECORDS} PAX records before byte {self.offset}", Unfit)
                if name in (sparse.OFFSET, sparse.LENGTH):
                    told.append(value)
                else:
                    found[name] = value
        if told:
            found[sparse.MAP] = ",".join(told)
        return found

    def _extension(self, header: Header) -> bytes:
        if header.size < 0:
            raise self._fault(f"a size below zero before byte {self.offset}")
        self._extensions += header.size
        if self._extensions > _MAX_EXTENSIONS:
            raise self._fault(f"header extensions of {self._extensions} bytes at byte {self.offset}", Unfit)
        self._budget.count_header(self._what)
        self._left, self._pad = header.size, -header.size % BLOCK
        data = b"".join(self._stored())
        self._pass_over()
        return data

    def _pass_over(self) -> None:
        if self._seeks is not None and self._left > _BUFFER:
            self._leap(self._seeks)
        for _ in self._stored():
            pass
        padding = self._read(self._pad)
        self.offset += len(padding)
        self._pad = 0
        if padding.count(0) < len(padding) and len(self.oddities) < _MOST_ODDITIES:
            self.oddities.append(f"{self._what}: stray bytes before byte {self.offset}, where zeros belong")

    def _leap(self, source: Seekable) -> None:
        """Go to where a content ends, as far as there is one: what is left of it then is missing."""
        at_hand = min(len(self._buffer) - self._at, self._left)
        self._at += at_hand
        passed = at_hand + source.pass_over(self._left - at_hand)
        self._left -= passed
        self.offset += passed

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
            raise self._fault(f"cut off at byte {self.offset}")
        return data


def _merged(header: Header, records: Mapping[str, str]) -> tuple[int, int, int, int]:
    """Size, user, group and time, as records change them. Raises ValueError."""
    pax.check_attributes(records)
    for key in ("atime", "ctime"):
        pax.time(records, key, 0)
    return (
        pax.number(records, "size", header.size),
        pax.number(records, "uid", header.uid),
        pax.number(records, "gid", header.gid),
        pax.time(records, "mtime", header.mtime),
    )


def _id(number: int) -> int:
    """A user or group as chown takes it for a file that is root's."""
    kept = number & _IDS
    return 0 if kept == _IDS else kept


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
