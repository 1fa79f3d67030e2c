"""Whether a layer that came from elsewhere is the one its record says, to the last byte and the last entry."""

from __future__ import annotations

import hashlib
import mmap

from oci_builder.compression import PIECE, Gunzip, NotGzip
from oci_builder.digest import CHUNK
from oci_builder.errors import DigestMismatch
from oci_builder.files import explained, open_regular
from oci_builder.layer import IndexEntry, Layer
from oci_builder.store import Store
from oci_builder.tree.entry import Kind, entry_path
from oci_builder.tree.tarwrite import END, header, padding


def prove(layer: Layer, store: Store) -> None:
    """The blob in ``store`` unpacks to the diff ID of ``layer``; in it is what the entries say, where they say it.

    So what is believed of a layer without reading it is what an engine will find in it. One pass. Raises
    DigestMismatch, UnsafePath, FileProblem.
    """
    what = f"layer {layer.descriptor.digest}"
    path = store.path(layer.descriptor.digest)
    if not layer.descriptor.size:
        raise DigestMismatch(what, expected="gzip", actual="nothing")
    with (
        explained(path),
        open_regular(path) as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as blob,
    ):
        plain = _Plain(blob, what, limit=layer.unpacked)
        for item in layer.entries:
            entry_path(item.path, origin=what)
            _compare(item, layer, store, plain)
        plain.expect(END)
        plain.end()
    if plain.seen.hexdigest() != layer.diff_id.hex:
        raise DigestMismatch(what, expected=f"diff ID {layer.diff_id}", actual=f"sha256:{plain.seen.hexdigest()}")


def _compare(item: IndexEntry, layer: Layer, store: Store, plain: _Plain) -> None:
    try:
        entry = layer.entry(item, store)
        head = header(entry)
    except (LookupError, ValueError) as error:
        raise plain.wrong(f"{item.path} to be of a kind there is") from error
    plain.expect(head)
    if entry.kind is not Kind.FILE:
        return
    if entry.size and plain.member != item.offset:
        raise plain.wrong(f"{item.path} at byte {item.offset}")
    content, left = hashlib.sha256(), entry.size
    while left:
        data = plain.take(min(left, CHUNK))
        content.update(data)
        left -= len(data)
    if content.hexdigest() != item.sha256:
        raise plain.wrong(f"{item.path} with the digest {item.sha256}")
    plain.expect(padding(entry.size))


class _Plain:
    """What a blob of gzip members unpacks to, taken piece by piece and hashed."""

    def __init__(self, blob: mmap.mmap, what: str, *, limit: int) -> None:
        self._blob, self._what, self._left = blob, what, limit
        self._offset, self._rest = 0, b""
        self._gunzip = Gunzip()
        self.seen = hashlib.sha256()

    @property
    def member(self) -> int | None:
        """Where in the blob (bytes) the member that is read next begins; None in the middle of one."""
        return self._offset if not self._rest and self._gunzip.between else None

    def take(self, size: int) -> bytes:
        """``size`` bytes. Raises DigestMismatch where there are fewer."""
        pieces, missing = [], size
        while missing:
            if not self._rest and not self._more():
                raise self.wrong("more")
            piece, self._rest = self._rest[:missing], self._rest[missing:]
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self.seen.update(data)
        return data

    def expect(self, data: bytes) -> None:
        """These bytes are next. Raises DigestMismatch."""
        if self.take(len(data)) != data:
            raise self.wrong("the headers of its entries")

    def end(self) -> None:
        """Nothing is left. Raises DigestMismatch."""
        if self._rest or self._more() or not self._gunzip.between:
            raise self.wrong("no more")

    def wrong(self, expected: str) -> DigestMismatch:
        """The error of something else than ``expected``."""
        return DigestMismatch(self._what, expected=expected, actual="something else")

    def _more(self) -> bool:
        """Inflate until there is something; False at the end."""
        while not self._rest and self._offset < len(self._blob):
            try:
                self._rest, used = self._gunzip.feed(self._blob[self._offset : self._offset + PIECE])
            except NotGzip as error:
                raise self.wrong("gzip") from error
            self._offset += used
            self._left -= len(self._rest)
            if self._left < 0:
                raise self.wrong("fewer bytes")
        return bool(self._rest)
