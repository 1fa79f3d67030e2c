"""One layer of an image made elsewhere: read once as a stream, checked, and remembered by its diff ID.

Nothing is extracted. What stays is the layer as it came (in gzip, if it came plain or in zstd, which Docker 20.10 does
not load), its plain tar, in which files are found by offset, and an index.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from oci_builder.compression import BLOCK, BlockPacker
from oci_builder.digest import CHUNK, Digest, HashingWriter
from oci_builder.errors import DigestMismatch, InvalidValue, UnsupportedImage
from oci_builder.imported.parts import LayerBlob
from oci_builder.imported.unpacked import HEAD, Hashed, Packing, packing_of, unpacked
from oci_builder.imported.walking import ORIGIN as ORIGIN
from oci_builder.imported.walking import Filling, LayerWalk
from oci_builder.layer import LEVEL, Entries, Layer, LayerKey
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.store import Store
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Unfit
from oci_builder.tree.tarstream import TarStream

FORMAT = 3
"""Raised when the same layer gives another index than before, or is refused where it was not."""

_INDEXES, _PACKED = "imported-layer", "imported-packed"


class _Index(msgspec.Struct, frozen=True, array_like=True):
    size: int
    entries: bytes
    filled: tuple[str, int] | None = None


class _Packed(msgspec.Struct, frozen=True):
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDescription:
    """What is said of a layer before it is read: the image, the layer's number (from 1), diff ID and history."""

    image: str
    number: int
    diff_id: Digest
    created_by: str

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.image}: layer {self.number}"


@dataclass(frozen=True, slots=True)
class _Known:
    size: int
    entries: Entries
    filled: Digest | None = None


def open_layer(blob: LayerBlob, named: LayerDescription, store: Store, budget: Budget | None = None) -> Layer:
    """The layer in ``blob``, which is in the store afterwards, packed and plain; ``budget`` is that of its image.

    Raises DigestMismatch where it is not the one promised, UnsupportedImage where it cannot be read.
    """
    index = _known(named.diff_id, store)
    descriptor = _descriptor(blob, named, store) if index is not None else None
    if index is None or descriptor is None:
        index, descriptor = _read(blob, named, store, budget or Budget())
    return _layer(index, descriptor, named)


def remembered(descriptor: Descriptor, named: LayerDescription, store: Store) -> Layer | None:
    """A layer that was read before, whether or not its packed bytes are in the store; None where it was not."""
    index = _known(named.diff_id, store)
    return None if index is None else _layer(index, descriptor, named)


def _layer(index: _Known, descriptor: Descriptor, named: LayerDescription) -> Layer:
    return Layer(
        descriptor=descriptor,
        diff_id=named.diff_id,
        created_by=named.created_by,
        holds=(),
        unpacked=index.size,
        entries=index.entries,
        imported=True,
        filled=index.filled,
    )


def _known(diff_id: Digest, store: Store) -> _Known | None:
    data = store.record(_INDEXES, f"{FORMAT}-{diff_id.hex}")
    if data is None:
        return None
    try:
        index = msgspec.msgpack.decode(data, type=_Index)
        filled, size = (Digest.parse(f"sha256:{index.filled[0]}"), index.filled[1]) if index.filled else (None, 0)
        known = _Known(index.size, Entries.load(index.entries), filled)
    except (ValueError, InvalidValue):
        store.drop_record(_INDEXES, f"{FORMAT}-{diff_id.hex}")
        return None
    if filled is not None and not store.has(filled, size):
        return None
    return known if store.has(diff_id, known.size) else None


def _descriptor(blob: LayerBlob, named: LayerDescription, store: Store) -> Descriptor | None:
    """What names the packed layer, if the store has it."""
    if blob.digest is not None and _packing(blob) is Packing.GZIP:
        found = Descriptor(media_type=LAYER_GZIP, digest=blob.digest, size=blob.size)
        return found if store.has(found.digest, found.size) else None
    data = store.record(_PACKED, _packed_key(named.diff_id))
    try:
        record = msgspec.json.decode(data or b"", type=_Packed)
        found = Descriptor(media_type=LAYER_GZIP, digest=Digest.parse(record.digest), size=record.size)
    except (msgspec.MsgspecError, InvalidValue):
        return None
    return found if store.has(found.digest, found.size) else None


def _packed_key(diff_id: Digest) -> str:
    return LayerKey.of(kind="packed here", diff_id=str(diff_id), block=BLOCK).hex


def _packing(blob: LayerBlob) -> Packing:
    return packing_of(blob.open().read(HEAD))


def _read(blob: LayerBlob, named: LayerDescription, store: Store, budget: Budget) -> tuple[_Known, Descriptor]:
    packing = _packing(blob)
    with _explained(named), store.writer() as packed, store.writer() as plain, Filling(store) as filled:
        packer = None if packing is Packing.GZIP else BlockPacker(packed, LEVEL)
        came = Hashed(blob.open()) if packer else _Copied(blob.open(), packed)
        plain_source = unpacked(came, packing, what=named.label)
        counted = budget.unpacking(plain_source, key=named.diff_id, packed=blob.size, what=named.label)
        source = _Copied(counted, _Both(plain, packer))
        entries = LayerWalk(TarStream(source, what=named.label, budget=budget), named.label, filled).read()
        came.drain()
        if packer is not None:
            packer.close()
        given = came.digest() if isinstance(came, Hashed) else packed.digest()
        for promised, actual in ((named.diff_id, plain.digest()), (blob.digest, given)):
            if promised is not None and promised != actual:
                raise DigestMismatch(named.label, expected=str(promised), actual=str(actual), hint=_AGAIN)
    descriptor = Descriptor(media_type=LAYER_GZIP, digest=packed.digest(), size=packed.size)
    if packer is not None:
        _keep_packed(descriptor, named, store)
    record = msgspec.msgpack.encode(_Index(plain.size, entries.dump(), filled.kept()))
    store.put_record(_INDEXES, f"{FORMAT}-{named.diff_id.hex}", record)
    return _Known(plain.size, entries, filled.digest()), descriptor


_AGAIN = "the image was changed or cut off on its way; get it again"


def _keep_packed(descriptor: Descriptor, named: LayerDescription, store: Store) -> None:
    # Only what was packed here: taking another's gzip for it would make bytes depend on what was read before.
    record = _Packed(digest=str(descriptor.digest), size=descriptor.size)
    store.put_record(_PACKED, _packed_key(named.diff_id), msgspec.json.encode(record))


@contextlib.contextmanager
def _explained(named: LayerDescription) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        hint = "`ocibuild verify FILE` says all that is wrong" if isinstance(error, Unfit) else _AGAIN
        raise UnsupportedImage(named.image, str(error).removeprefix(f"{named.image}: "), hint=hint) from error


@dataclass(frozen=True, slots=True)
class _Both:
    """Writes to the plain tar, and to what packs it where it came plain."""

    plain: HashingWriter
    packer: BlockPacker | None

    def write(self, data: bytes) -> None:
        self.plain.write(data)
        if self.packer is not None:
            self.packer.write(data)


class _Copied:
    """Passes reads on, and writes what came to ``sink``."""

    def __init__(self, source: ByteReader, sink: HashingWriter | _Both | None) -> None:
        self._source, self._sink = source, sink

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        if self._sink is not None and data:
            self._sink.write(data)
        return data

    def drain(self) -> None:
        while self.read(CHUNK):
            pass
