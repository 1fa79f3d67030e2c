"""One layer of an image made elsewhere: read once as a stream, checked, and remembered by its diff ID.

Nothing is extracted. What stays is the layer as it came (in gzip, if it came plain or in zstd, which Docker 20.10 does
not load), its plain tar, in which files are found by offset, and an index.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import deflate
import msgspec

from oci_builder.digest import CHUNK, Digest, HashingWriter
from oci_builder.errors import DigestMismatch, InvalidValue, UnsupportedImage
from oci_builder.foreign.parts import LayerBlob
from oci_builder.foreign.tarstream import Damaged, Source, TarMember, TarStream
from oci_builder.foreign.unpacked import HEAD, Hashed, Packing, packing_of, unpacked
from oci_builder.layer import LEVEL, IndexEntry, Layer, LayerKey
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.store import Store
from oci_builder.tree.entry import OPAQUE, WHITEOUT

ORIGIN = "the base image"
"""Whose all files of such a layer are."""

FORMAT = 1
"""Raised when the same layer gives another index than before."""

MAX_ENTRIES = 2_000_000
MAX_PATH = 4096
"""Bytes of a path, as Linux has it."""

_INDEXES, _PACKED = "foreign-layer", "foreign-packed"
_BLOCK = 4 << 20
"""Bytes of a plain layer that become one gzip member: fixed, so that the same layer is packed into the same bytes."""

_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
_EMPTY = hashlib.sha256().hexdigest()


class _Index(msgspec.Struct, frozen=True):
    size: int
    entries: tuple[IndexEntry, ...]


class _Packed(msgspec.Struct, frozen=True):
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What is said of a layer before it is read: the image, the layer's number (from 1), diff ID and history."""

    image: str
    number: int
    diff_id: Digest
    created_by: str

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.image}: layer {self.number}"


def open_layer(blob: LayerBlob, named: Named, store: Store) -> Layer:
    """The layer in ``blob``, which is in the store afterwards, packed and plain.

    Raises DigestMismatch where it is not the one promised, UnsupportedImage where it cannot be read.
    """
    index = _known(named.diff_id, store)
    descriptor = _descriptor(blob, named, store) if index is not None else None
    if index is None or descriptor is None:
        index, descriptor = _read(blob, named, store)
    return _layer(index, descriptor, named)


def remembered(descriptor: Descriptor, named: Named, store: Store) -> Layer | None:
    """A layer that was read before, whether or not its packed bytes are in the store; None where it was not."""
    index = _known(named.diff_id, store)
    return None if index is None else _layer(index, descriptor, named)


def _layer(index: _Index, descriptor: Descriptor, named: Named) -> Layer:
    return Layer(
        descriptor=descriptor,
        diff_id=named.diff_id,
        created_by=named.created_by,
        holds=(),
        unpacked=index.size,
        entries=index.entries,
        foreign=True,
    )


def _known(diff_id: Digest, store: Store) -> _Index | None:
    data = store.record(_INDEXES, f"{FORMAT}-{diff_id.hex}")
    if data is None:
        return None
    try:
        index = msgspec.json.decode(data, type=_Index)
    except msgspec.MsgspecError:
        store.drop_record(_INDEXES, f"{FORMAT}-{diff_id.hex}")
        return None
    return index if store.has(diff_id, index.size) else None


def _descriptor(blob: LayerBlob, named: Named, store: Store) -> Descriptor | None:
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
    return LayerKey.of(kind="packed here", diff_id=str(diff_id), block=_BLOCK).hex


def _packing(blob: LayerBlob) -> Packing:
    return packing_of(blob.open().read(HEAD))


def _read(blob: LayerBlob, named: Named, store: Store) -> tuple[_Index, Descriptor]:
    packing = _packing(blob)
    with _explained(named), store.writer() as packed, store.writer() as plain:
        packer = None if packing is Packing.GZIP else _Packer(packed)
        came = Hashed(blob.open()) if packer else _Copied(blob.open(), packed)
        source = _Copied(unpacked(came, packing, what=named.label), _Both(plain, packer))
        entries = _entries(TarStream(source, what=named.label), named)
        came.drain()
        if packer is not None:
            packer.close()
        given = came.digest() if isinstance(came, Hashed) else packed.digest()
        for promised, actual in ((named.diff_id, plain.digest()), (blob.digest, given)):
            if promised is not None and promised != actual:
                raise DigestMismatch(named.label, expected=str(promised), actual=str(actual), hint=_AGAIN)
    index = _Index(size=plain.size, entries=entries)
    descriptor = Descriptor(media_type=LAYER_GZIP, digest=packed.digest(), size=packed.size)
    if packer is not None:
        _keep_packed(descriptor, named, store)
    store.put_record(_INDEXES, f"{FORMAT}-{named.diff_id.hex}", msgspec.json.encode(index))
    return index, descriptor


_AGAIN = "the image was changed or cut off on its way; get it again"


def _keep_packed(descriptor: Descriptor, named: Named, store: Store) -> None:
    # Only what was packed here: taking another's gzip for it would make bytes depend on what was read before.
    record = _Packed(digest=str(descriptor.digest), size=descriptor.size)
    store.put_record(_PACKED, _packed_key(named.diff_id), msgspec.json.encode(record))


def _entries(stream: TarStream, named: Named) -> tuple[IndexEntry, ...]:
    found: dict[tuple[str, bool], IndexEntry] = {}
    for member in stream.members():
        entry = _entry(member, stream, found, named)
        if entry is not None:
            # The last of two entries of one path counts, as it does when a tar is unpacked.
            found.pop(_place(entry), None)
            found[_place(entry)] = entry
        if len(found) > MAX_ENTRIES:
            raise Damaged(f"{named.label}: more than {MAX_ENTRIES} entries")
    return tuple(found.values())


def _place(entry: IndexEntry) -> tuple[str, bool]:
    # A folder and the mark that empties it are two entries of one path.
    return entry.path, entry.kind == "opaque"


def _entry(
    member: TarMember, stream: TarStream, found: dict[tuple[str, bool], IndexEntry], named: Named
) -> IndexEntry | None:
    """The entry of a member; None for the root folder, whose metadata nobody uses."""
    path = _path(member.name, named)
    folder, name = posixpath.split(path)
    if name == OPAQUE:
        return _made(member, path=folder, kind="opaque", named=named)
    if name.startswith(WHITEOUT):
        return _made(member, path=posixpath.join(folder, name.removeprefix(WHITEOUT)), kind="whiteout", named=named)
    if not path:
        return None
    if member.is_file:
        return _file(member, path, stream, named)
    kind = _KINDS.get(member.type)
    if kind == "hardlink":
        target = found.get((_path(member.target, named), False))
        # What is linked to below this layer is still there, but not in this tar: only its content is out of reach.
        same = {"size": target.size, "sha256": target.sha256, "offset": target.offset} if target else {}
        return msgspec.structs.replace(_made(member, path=path, kind=kind, named=named), **same)
    # A device or a FIFO: whatever lay there below is gone, and no wheel or user has business with it.
    return _made(member, path=path, kind=kind or "whiteout", named=named)


def _file(member: TarMember, path: str, stream: TarStream, named: Named) -> IndexEntry:
    if any(key.startswith("GNU.sparse") for key in member.pax):
        raise Damaged(f"{named.label}: {path} is a sparse file, which engines refuse")
    seen = hashlib.sha256()
    for data in stream.content():
        seen.update(data)
    made = _made(member, path=path, kind="file", named=named)
    digest = seen.hexdigest() if member.size else _EMPTY
    return msgspec.structs.replace(made, size=member.size, sha256=digest, offset=member.offset)


def _made(member: TarMember, *, path: str, kind: str, named: Named) -> IndexEntry:
    return IndexEntry(
        path=path,
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime=max(int(member.mtime), 0),
        size=0,
        target=member.target,
        sha256="",
        origin=ORIGIN,
        offset=0,
    )


def _path(name: str, named: Named) -> str:
    # "/usr", "./usr/" and "usr" are one path to every engine; ".." is none.
    if "\0" in name or len(name) > MAX_PATH or ".." in name.split("/"):
        raise Damaged(f"{named.label}: {name[:80]!r} is no path of a layer")
    path = posixpath.normpath(name.lstrip("/"))
    return "" if path == "." else path


@contextlib.contextmanager
def _explained(named: Named) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise UnsupportedImage(named.image, str(error).removeprefix(f"{named.image}: "), hint=_AGAIN) from error


class _Packer:
    """Packs what is written, a gzip member for each block of fixed size: the same bytes however it is fed."""

    def __init__(self, sink: HashingWriter) -> None:
        self._sink, self._pending = sink, bytearray()

    def write(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= _BLOCK:
            self._pack(_BLOCK)

    def close(self) -> None:
        if self._pending:
            self._pack(len(self._pending))

    def _pack(self, size: int) -> None:
        self._sink.write(deflate.gzip_compress(self._pending[:size], LEVEL))
        del self._pending[:size]


@dataclass(frozen=True, slots=True)
class _Both:
    """Writes to the plain tar, and to what packs it where it came plain."""

    plain: HashingWriter
    packer: _Packer | None

    def write(self, data: bytes) -> None:
        self.plain.write(data)
        if self.packer is not None:
            self.packer.write(data)


class _Copied:
    """Passes reads on, and writes what came to ``sink``."""

    def __init__(self, source: Source, sink: HashingWriter | _Both | None) -> None:
        self._source, self._sink = source, sink

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        if self._sink is not None and data:
            self._sink.write(data)
        return data

    def drain(self) -> None:
        while self.read(CHUNK):
            pass
