"""The one pass that makes a layer and its index."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence

import deflate

from oci_builder.digest import CHUNK, Digest, HashingWriter
from oci_builder.errors import DigestMismatch
from oci_builder.layer.entries import IndexEntry, held
from oci_builder.layer.value import LEVEL, Layer
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.store import Store
from oci_builder.tree.content import LARGE, MappedFiles, is_held
from oci_builder.tree.entry import (
    Content,
    DeflateSlice,
    Entry,
    Kind,
    Packed,
    Spliced,
    promised_sha256,
)
from oci_builder.tree.tarwrite import END, header, padding
from oci_builder.tree.tree import Tree

_EMPTY = hashlib.sha256().hexdigest()

Watch = Callable[[Entry, bytes | bytearray | memoryview], None]
"""Is shown every file whose content is held whole, up to LARGE, as it passes, so that it need not be read again."""


def _unwatched(entry: Entry, data: bytes | bytearray | memoryview) -> None:
    """Nobody wants to know."""


def write_layer(
    tree: Tree | Sequence[Entry],
    store: Store,
    *,
    created_by: str,
    holds: tuple[str, ...],
    sources: MappedFiles | None = None,
    watch: Watch = _unwatched,
) -> Layer:
    """Write ``tree`` into ``store`` as a gzip layer, reading every content once; ``sources`` may be open already.

    Raises DigestMismatch where a content is not what was promised, FileProblem where the store cannot be written.
    """
    with store.writer() as sink, contextlib.nullcontext(sources) if sources else MappedFiles() as reader:
        pass_ = _Pass(sink, reader, watch)
        index = held((pass_.add(entry) for entry in tree), count=len(tree))
        pass_.close()
    return Layer(
        descriptor=Descriptor(media_type=LAYER_GZIP, digest=sink.digest(), size=sink.size),
        diff_id=Digest(pass_.plain.hexdigest()),
        created_by=created_by,
        holds=holds,
        unpacked=pass_.size,
        entries=index,
    )


def pack(data: bytes) -> bytes:
    """``data`` as the gzip member that a layer of the usual level holds for it."""
    return bytes(deflate.gzip_compress(data, LEVEL))


class _Pass:
    """One walk over a tree: packed bytes to the sink, the diff ID and every file's digest on the way."""

    def __init__(self, sink: HashingWriter, sources: MappedFiles, watch: Watch) -> None:
        self._sink, self._sources, self._watch = sink, sources, watch
        self._headers = bytearray()
        # Tens of thousands of files make hundreds of thousands of small pieces; below, each would cost a call.
        self._packed = bytearray()
        self.plain = hashlib.sha256()
        self.size = 0

    def add(self, entry: Entry) -> IndexEntry:
        """Write one entry and say what was written."""
        self._headers += header(entry)
        offset = 0
        digest = ""
        if entry.kind is Kind.FILE:
            if entry.size:
                self._end_headers()
            offset = self._sink.size + len(self._packed)
            digest = self._content(entry)
            self._headers += padding(entry.size)
        return _indexed(entry, offset=offset, sha256=digest)

    def close(self) -> None:
        """End the archive."""
        self._headers += END
        self._end_headers()
        self._drain(0)

    def _end_headers(self) -> None:
        if self._headers:
            self._count(self._headers)
            self._pack(self._headers)
            self._headers.clear()

    def _count(self, data: bytes | bytearray | memoryview) -> None:
        self.plain.update(data)
        self.size += len(data)

    def _pack(self, data: bytes | bytearray | memoryview) -> None:
        # A member of its own: members in a row are one file (RFC 1952, 2.2), so what was compressed elsewhere can stand
        # between ours as it is, and a file can be read from where its member begins.
        self._put(deflate.gzip_compress(data, LEVEL))

    def _put(self, piece: bytes | bytearray | memoryview) -> None:
        if len(piece) < CHUNK:
            self._packed += piece
            self._drain(CHUNK)
            return
        self._drain(0)
        view = memoryview(piece)
        for start in range(0, len(view), CHUNK):
            self._sink.write(view[start : start + CHUNK])

    def _drain(self, limit: int) -> None:
        if len(self._packed) > limit:
            self._sink.write(self._packed)
            self._packed.clear()

    def _content(self, entry: Entry) -> str:
        """Write a file's content and return its digest: the promised one, proved by reading, or the one found."""
        content, what = entry.content, f"{entry.origin}: {entry.path}"
        if content is None:
            self._check_size(entry, 0)
            return _EMPTY
        if not entry.size:
            # It is not in the layer; that it is what was promised is still to be seen.
            self._check_size(entry, len(self._sources.whole(content, what=what)))
            return promised_sha256(content) or _EMPTY
        if isinstance(content, DeflateSlice):
            return self._spliced(entry, content, what)
        if isinstance(content, Packed):
            self._count(self._sources.whole(content, what=what))
            self._put(content.member)
            return content.sha256
        if isinstance(content, Spliced):
            chunks = self._sources.copied(content, what=what, passed=self._put)
            return self._streamed(entry, content, chunks, keep=lambda chunk: None)
        if entry.size <= LARGE:
            data = self._sources.whole(content, what=what)
            self._see(entry, data)
            self._pack(data)
            return promised_sha256(content) or hashlib.sha256(data).hexdigest()
        return self._compressed(entry, content, what)

    def _spliced(self, entry: Entry, content: DeflateSlice, what: str) -> str:
        """Copy the deflate stream in the very gzip member that was inflated and checked."""
        if is_held(content):
            member, data = self._sources.spliced(content, what=what)
            self._see(entry, data)
            self._put(member)
            return promised_sha256(content) or hashlib.sha256(data).hexdigest()
        # Its bytes are in the layer before their checksums are known to hold: what raises then takes the blob along.
        chunks = self._sources.inflated(content, what=what, passed=self._put)
        return self._streamed(entry, content, chunks, keep=lambda chunk: None)

    def _see(self, entry: Entry, data: bytes | bytearray | memoryview) -> None:
        self._check_size(entry, len(data))
        self._count(data)
        self._watch(entry, data)

    def _compressed(self, entry: Entry, content: Content, what: str) -> str:
        """Compress content too large to be held, in members of LARGE bytes."""
        buffered = bytearray()

        def keep(chunk: bytes | bytearray | memoryview) -> None:
            buffered.extend(chunk)
            if len(buffered) > LARGE:
                self._pack(buffered)
                buffered.clear()

        digest = self._streamed(entry, content, self._sources.chunks(content, what=what), keep=keep)
        if buffered:
            self._pack(buffered)
        return digest

    def _streamed(
        self,
        entry: Entry,
        content: Content,
        chunks: Iterable[bytes | bytearray | memoryview],
        *,
        keep: Callable[[bytes | bytearray | memoryview], None],
    ) -> str:
        promised = promised_sha256(content)
        seen, count = hashlib.sha256(), 0
        for chunk in chunks:
            if not promised:
                seen.update(chunk)
            self._count(chunk)
            keep(chunk)
            count += len(chunk)
        self._check_size(entry, count)
        return promised or seen.hexdigest()

    def _check_size(self, entry: Entry, count: int) -> None:
        if count != entry.size:
            what = f"{entry.origin}: {entry.path}"
            raise DigestMismatch(what, expected=f"{entry.size} bytes", actual=f"{count}")


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
