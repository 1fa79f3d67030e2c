"""Finished layers remembered under their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.layer.entries import MANY, IndexEntry, held
from oci_builder.layer.value import KINDS, Layer, LayerKey
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import name_of, text_of
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.store import Store

RECORDS = "layer"
"""The kind of their records in a store."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    size: int
    diff_id: str
    created_by: str
    comment: str
    holds: tuple[str, ...]
    unpacked: int


class _Record(_Head, frozen=True, kw_only=True):
    entries: tuple[IndexEntry, ...]


class _Large(_Head, frozen=True, kw_only=True):
    entries: tuple[msgspec.Raw, ...]


_PIECE = 1000
"""Entries that are written at once."""

_LARGE = 100 * MANY
"""Bytes of a record whose entries are read one after the other; each has as many, and most have more."""

_encode = msgspec.json.encode
_decode_entry = msgspec.json.Decoder(IndexEntry).decode


def keep(layer: Layer, key: LayerKey, store: Store) -> None:
    """Remember under ``key`` that ``layer`` is in the store."""
    head = _Head(
        digest=str(layer.descriptor.digest),
        size=layer.descriptor.size,
        diff_id=str(layer.diff_id),
        created_by=layer.created_by,
        comment=layer.comment,
        holds=layer.holds,
        unpacked=layer.unpacked,
    )
    pieces = _pieces(_encode(head), layer.entries)
    store.put_record(RECORDS, key.hex, b"".join(pieces) if len(layer.entries) <= MANY else pieces)


def _pieces(head: bytes, entries: Sequence[IndexEntry]) -> Iterator[bytes]:
    """The record as JSON, piece by piece: the whole of a large one is as much again as its entries."""
    yield head.removesuffix(b"}") + b',"entries":['
    for start in range(0, len(entries), _PIECE):
        written = _encode([_written(entry) for entry in entries[start : start + _PIECE]])
        yield (b"," if start else b"") + written[1:-1]
    yield b"]}"


def find(key: LayerKey, store: Store) -> Layer | None:
    """The layer remembered under ``key``, if its blob is still there; a record that does not hold is forgotten."""
    for _ in range(2):
        data = store.record(RECORDS, key.hex)
        if data is None:
            return None
        layer = parse_record(data)
        if layer is not None and store.has(layer.descriptor.digest, layer.descriptor.size):
            return layer
        # Another machine may have both still.
        store.drop_record(RECORDS, key.hex)
    return None


def parse_record(data: bytes) -> Layer | None:
    """The layer of a record as ``keep`` writes it; None for other bytes."""
    try:
        if len(data) <= _LARGE:
            record = msgspec.json.decode(data, type=_Record)
            return _layer(record, tuple(map(_read, record.entries)))
        large = msgspec.json.decode(data, type=_Large)
        found = (_read(_decode_entry(entry)) for entry in large.entries)
        return _layer(large, held(found, count=len(large.entries)))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, InvalidValue):
        # Of another version, or from a cache that others fill: an unknown kind, fields that are thousands deep.
        return None


def _layer(record: _Head, entries: Sequence[IndexEntry]) -> Layer:
    return Layer(
        descriptor=Descriptor(media_type=LAYER_GZIP, digest=Digest.parse(record.digest), size=record.size),
        diff_id=Digest.parse(record.diff_id),
        created_by=record.created_by,
        comment=record.comment,
        holds=record.holds,
        unpacked=record.unpacked,
        entries=entries,
    )


def _written(entry: IndexEntry) -> IndexEntry:
    """An entry as JSON can hold it: names may be any bytes."""
    if entry.path.isascii() and entry.target.isascii():
        return entry
    return replace(entry, path=text_of(entry.path), target=text_of(entry.target))


def _read(entry: IndexEntry) -> IndexEntry:
    if entry.kind not in KINDS:
        raise ValueError(f"an entry of the kind {entry.kind!r}")
    if "\0" not in entry.path and "\0" not in entry.target:
        return entry
    return replace(entry, path=name_of(entry.path), target=name_of(entry.target))
