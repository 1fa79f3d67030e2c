"""A finished layer, its index, and the one pass that makes both.

A layer is a multi-member gzip file: tar headers in small members, every file's content in members of its own. So a
wheel's deflate streams are copied, not compressed again, and any file can be read alone from its member's offset.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import deflate
import msgspec

from oci_builder.digest import CHUNK, Digest, HashingWriter
from oci_builder.errors import DigestMismatch, InvalidValue
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import encode
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.store import Store
from oci_builder.tree.content import LARGE, Sources
from oci_builder.tree.entry import DeflateSlice, Entry, EntryPath, Kind, Member, promised_sha256
from oci_builder.tree.tarwrite import END, header, padding
from oci_builder.tree.tree import Tree

FORMAT = 1
"""Raised when the same inputs give other layer bytes than before."""

LEVEL = 6
RECORDS = "layer"
_MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""A gzip header (RFC 1952) that says nothing of the machine: no name, no time, unknown system."""


@dataclass(frozen=True, slots=True)
class LayerKey:
    """The hash of all that decides a layer's bytes. Same key, same bytes: what caches go by."""

    hex: str

    @classmethod
    def of(cls, **inputs: object) -> LayerKey:
        """The key of named inputs, each of them JSON; format and compressor come with it."""
        compressor = {"name": "libdeflate", "version": version("deflate"), "level": LEVEL}
        return cls(Digest.of(encode({"format": FORMAT, "compressor": compressor, **inputs})).hex)


class IndexEntry(msgspec.Struct, frozen=True, array_like=True):
    """One path of a finished layer, and where in the blob its content's first gzip member begins (bytes)."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: str
    sha256: str
    origin: str
    offset: int


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    size: int
    diff_id: str
    created_by: str
    comment: str
    holds: tuple[str, ...]
    unpacked: int
    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer whose bytes exist: there is no other kind. ``holds`` names what is in it; ``unpacked`` is in bytes."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str
    holds: tuple[str, ...]
    unpacked: int
    entries: tuple[IndexEntry, ...]
    comment: str = ""

    def tree(self, store: Store) -> Tree:
        """What the layer puts into a root filesystem, with contents read from its blob."""
        blob = store.path(self.descriptor.digest)
        return Tree(_entry(item, blob) for item in self.entries)


def write_layer(
    tree: Tree, store: Store, *, created_by: str, holds: tuple[str, ...], comment: str = "", level: int = LEVEL
) -> Layer:
    """Write ``tree`` into ``store`` as a gzip layer, reading every content once.

    Raises DigestMismatch where a content is not what was promised, FileProblem where the store cannot be written.
    """
    with store.writer() as sink, Sources() as sources:
        pass_ = _Pass(sink, sources, level)
        index = tuple(pass_.add(entry) for entry in tree)
        pass_.close()
    return Layer(
        descriptor=Descriptor(media_type=LAYER_GZIP, digest=sink.digest(), size=sink.size),
        diff_id=Digest(pass_.plain.hexdigest()),
        created_by=created_by,
        comment=comment,
        holds=holds,
        unpacked=pass_.size,
        entries=index,
    )


def keep(layer: Layer, key: LayerKey, store: Store) -> None:
    """Remember under ``key`` that ``layer`` is in the store."""
    record = _Record(
        digest=str(layer.descriptor.digest),
        size=layer.descriptor.size,
        diff_id=str(layer.diff_id),
        created_by=layer.created_by,
        comment=layer.comment,
        holds=layer.holds,
        unpacked=layer.unpacked,
        entries=layer.entries,
    )
    store.put_record(RECORDS, key.hex, msgspec.json.encode(record))


def find(key: LayerKey, store: Store) -> Layer | None:
    """The layer remembered under ``key``, if its blob is still there; a record that does not read is forgotten."""
    data = store.record(RECORDS, key.hex)
    if data is None:
        return None
    try:
        record = msgspec.json.decode(data, type=_Record)
        layer = _layer(record)
    except (msgspec.MsgspecError, ValueError, InvalidValue):
        store.drop_record(RECORDS, key.hex)
        return None
    return layer if store.has(layer.descriptor.digest, layer.descriptor.size) else None


def _layer(record: _Record) -> Layer:
    return Layer(
        descriptor=Descriptor(media_type=LAYER_GZIP, digest=Digest.parse(record.digest), size=record.size),
        diff_id=Digest.parse(record.diff_id),
        created_by=record.created_by,
        comment=record.comment,
        holds=record.holds,
        unpacked=record.unpacked,
        entries=record.entries,
    )


def _entry(item: IndexEntry, blob: Path) -> Entry:
    return Entry(
        path=EntryPath(item.path),
        kind=Kind(item.kind),
        mode=item.mode,
        uid=item.uid,
        gid=item.gid,
        mtime=item.mtime,
        size=item.size,
        target=item.target,
        sha256=item.sha256,
        origin=item.origin,
        content=Member(blob, item.offset, item.size) if item.kind == Kind.FILE.value else None,
    )


class _Pass:
    """One walk over a tree: packed bytes to the sink, the diff ID and every file's digest on the way."""

    def __init__(self, sink: HashingWriter, sources: Sources, level: int) -> None:
        self._sink, self._sources, self._level = sink, sources, level
        self._pending = b""
        self.plain = hashlib.sha256()
        self.size = 0

    def add(self, entry: Entry) -> IndexEntry:
        """Write one entry and say what was written."""
        self._pending += header(entry)
        offset = 0
        digest = ""
        if entry.kind is Kind.FILE:
            if entry.size:
                self._flush()
            offset = self._sink.size
            digest = self._content(entry)
            self._pending += padding(entry.size)
        return _indexed(entry, offset=offset, sha256=digest)

    def close(self) -> None:
        """End the archive."""
        self._pending += END
        self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._count(self._pending)
            self._pack(self._pending)
            self._pending = b""

    def _count(self, data: bytes | memoryview) -> None:
        self.plain.update(data)
        self.size += len(data)

    def _pack(self, data: bytes | bytearray) -> None:
        self._sink.write(deflate.gzip_compress(data, self._level))

    def _content(self, entry: Entry) -> str:
        """Write a file's content and return its digest: the promised one, proved by reading, or the one found."""
        content, what = entry.content, f"{entry.origin}: {entry.path}"
        promised = promised_sha256(content)
        seen, count = hashlib.sha256(), 0
        buffered = bytearray()
        spliced = isinstance(content, DeflateSlice)
        for chunk in self._sources.chunks(content, what=what) if content is not None and entry.size else ():
            if not promised:
                seen.update(chunk)
            self._count(chunk)
            count += len(chunk)
            if not spliced:
                buffered += chunk
                self._drain(buffered, LARGE)
        if count != entry.size:
            raise DigestMismatch(what, expected=f"{entry.size} bytes", actual=f"{count}")
        self._drain(buffered, 0)
        if isinstance(content, DeflateSlice) and entry.size:
            self._splice(content)
        return promised or seen.hexdigest()

    def _drain(self, buffered: bytearray, limit: int) -> None:
        if len(buffered) > limit:
            self._pack(buffered)
            buffered.clear()

    def _splice(self, content: DeflateSlice) -> None:
        stream = self._sources.slice(content.file, content.offset, content.length)
        self._sink.write(_MEMBER)
        for start in range(0, len(stream), CHUNK):
            self._sink.write(stream[start : start + CHUNK])
        self._sink.write(struct.pack("<II", content.crc, content.size & 0xFFFFFFFF))


def _indexed(entry: Entry, *, offset: int, sha256: str) -> IndexEntry:
    return IndexEntry(
        path=entry.path,
        kind=entry.kind.value,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=entry.mtime,
        size=entry.size,
        target=entry.target,
        sha256=sha256,
        origin=entry.origin,
        offset=offset,
    )
