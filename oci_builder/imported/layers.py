"""One layer of an image made elsewhere: read once as a stream, checked, and remembered by its diff ID.

Nothing is extracted. What stays is the layer as it came (in gzip, if it came plain or in zstd, which Docker 20.10 does
not load), its plain tar, in which files are found by offset, and an index.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import deflate
import msgspec

from oci_builder.digest import CHUNK, Digest, HashingWriter
from oci_builder.errors import DigestMismatch, InvalidValue, UnsupportedImage
from oci_builder.imported.applying import Applied
from oci_builder.imported.names import AUFS, layer_path, refusal, shown
from oci_builder.imported.parts import LayerBlob
from oci_builder.imported.unpacked import HEAD, Hashed, Packing, packing_of, unpacked
from oci_builder.layer import LEVEL, Entries, IndexEntry, Layer, LayerKey
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import LAYER_GZIP
from oci_builder.store import Store
from oci_builder.tree.entry import OPAQUE, WHITEOUT
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Unfit
from oci_builder.tree.tarstream import TarMember, TarStream

ORIGIN = "the base image"
"""Whose all files of such a layer are."""

FORMAT = 3
"""Raised when the same layer gives another index than before, or is refused where it was not."""

_LATEST = 8**11 - 1
"""The latest time that fits a header's octal field, in the year 2242."""

_INDEXES, _PACKED = "imported-layer", "imported-packed"
_BLOCK = 4 << 20
"""Bytes of a plain layer that become one gzip member: fixed, so that the same layer is packed into the same bytes."""

_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
_EMPTY = hashlib.sha256().hexdigest()


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
    return LayerKey.of(kind="packed here", diff_id=str(diff_id), block=_BLOCK).hex


def _packing(blob: LayerBlob) -> Packing:
    return packing_of(blob.open().read(HEAD))


def _read(blob: LayerBlob, named: LayerDescription, store: Store, budget: Budget) -> tuple[_Known, Descriptor]:
    packing = _packing(blob)
    with _explained(named), store.writer() as packed, store.writer() as plain, _Filled(store) as filled:
        packer = None if packing is Packing.GZIP else _Packer(packed)
        came = Hashed(blob.open()) if packer else _Copied(blob.open(), packed)
        plain_source = unpacked(came, packing, what=named.label)
        counted = budget.unpacking(plain_source, key=named.diff_id, packed=blob.size, what=named.label)
        source = _Copied(counted, _Both(plain, packer))
        entries = _Reading(TarStream(source, what=named.label, budget=budget), named, filled).read()
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


class _Filled:
    """The files of a layer that have holes there, one after another without: a blob of the store, if there are any."""

    def __init__(self, store: Store) -> None:
        self._store, self._stack = store, contextlib.ExitStack()
        self._sink: HashingWriter | None = None
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, data: bytes) -> None:
        if self._sink is None:
            self._sink = self._stack.enter_context(self._store.writer())
        self._sink.write(data)
        self.size += len(data)

    def digest(self) -> Digest | None:
        return self._sink.digest() if self._sink is not None else None

    def kept(self) -> tuple[str, int] | None:
        digest = self.digest()
        return (digest.hex, self.size) if digest is not None else None


class _Reading:
    """One walk over a layer: its entries, each checked by what docker takes."""

    def __init__(self, stream: TarStream, named: LayerDescription, filled: _Filled) -> None:
        self._stream, self._label, self._filled = stream, named.label, filled
        self._applied = Applied()
        # What later members changed: entries whose place was taken, and what hard links made of those they repeat.
        self._gone: set[int] = set()
        self._repeats: dict[int, int] = {}
        self._faces: dict[int, TarMember] = {}
        self._entries = Entries()

    def read(self) -> Entries:
        """Every entry. Raises Damaged."""
        listed = 0
        for member in self._stream.members():
            try:
                listed = self._check_globals(listed)
                if why := refusal(member):
                    raise Unfit(why)
                self._add(member)
            except Unfit as error:
                raise Unfit(f"{self._label}: {shown(member.name) or '/'} {error}") from error
        self._check_globals(listed)
        return self._settled() if self._gone or self._faces else self._entries

    def _check_globals(self, listed: int) -> int:
        names = self._stream.global_headers
        for name in names[listed:]:
            try:
                self._applied.add_global_header(name)
            except Unfit as error:
                raise Unfit(f"{self._label}: the global header {shown(name)} {error}") from error
        return len(names)

    def _add(self, member: TarMember) -> None:
        path = layer_path(member.name)
        # Whatever the place is, it is judged before the content is read.
        repeated = self._repeated(member) if member.type == tarfile.LNKTYPE else None
        self._gone.update(self._applied.add(member, len(self._entries)))
        entry = self._entry(member, path, repeated)
        if entry is not None:
            self._entries.add(entry)

    def _entry(self, member: TarMember, path: str, repeated: int | None) -> IndexEntry | None:
        """The entry of a member; None for the root folder, whose metadata nobody uses."""
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            # The root cannot be made opaque: no engine empties it.
            return _made(member, path=folder, kind="opaque") if folder else None
        if path.startswith(AUFS):
            # No container sees it; what is linked to may lie there.
            made = self._file(member, path) if member.is_file else _made(member, path=path, kind="whiteout")
            return msgspec.structs.replace(made, kind="whiteout")
        if name.startswith(WHITEOUT):
            return _made(member, path=layer_path(_joined(folder, name.removeprefix(WHITEOUT))), kind="whiteout")
        if not path:
            return None
        if member.is_file:
            return self._file(member, path)
        if repeated is not None:
            return self._hardlink(member, path, repeated)
        # A device or a FIFO: whatever lay there below is gone, and no wheel or user has business with it.
        return _made(member, path=path, kind=_KINDS.get(member.type) or "whiteout")

    def _file(self, member: TarMember, path: str) -> IndexEntry:
        offset = member.offset if member.pieces is None else -1 - self._filled.size
        seen = hashlib.sha256()
        for data in self._stream.content():
            seen.update(data)
            if member.pieces is not None:
                self._filled.write(data)
        digest = seen.hexdigest() if member.size else _EMPTY
        return _made(member, path=path, kind="file", size=member.size, sha256=digest, offset=offset)

    def _repeated(self, member: TarMember) -> int | None:
        """The number of the entry that a hard link repeats; None for one that is no entry."""
        if layer_path(member.name).rpartition("/")[2].startswith(WHITEOUT):
            return None
        return self._applied.number_at(member.target)

    def _hardlink(self, member: TarMember, path: str, repeated: int) -> IndexEntry:
        target = self._entries[repeated]
        first = self._repeats.get(repeated, repeated)
        self._repeats[len(self._entries)] = first
        if not target.sha256:
            # A second name of a link, or of a device.
            return msgspec.structs.replace(target, path=path)
        if self._face(member) != (target.mode, target.uid, target.gid, target.mtime) or first in self._faces:
            self._faces[first] = member
        same = {"size": target.size, "sha256": target.sha256, "offset": target.offset}
        return msgspec.structs.replace(_made(member, path=path, kind="hardlink"), **same)

    def _face(self, member: TarMember) -> tuple[int, int, int, int]:
        made = _made(member, path="", kind="hardlink")
        return made.mode, made.uid, made.gid, made.mtime

    def _settled(self) -> Entries:
        """The entries as they are in the end: all names of a file have the face that the last one gave it."""
        found = Entries()
        for number, entry in enumerate(self._entries):
            if number in self._gone:
                continue
            face = self._faces.get(self._repeats.get(number, number))
            if face is not None:
                mode, uid, gid, mtime = self._face(face)
                entry = msgspec.structs.replace(entry, mode=mode, uid=uid, gid=gid, mtime=mtime)
            found.add(entry)
        return found


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _made(member: TarMember, *, path: str, kind: str, size: int = 0, sha256: str = "", offset: int = 0) -> IndexEntry:
    return IndexEntry(
        path=path,
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        # docker takes what is out of its range for 1970, too.
        mtime=member.mtime if 0 <= member.mtime <= _LATEST else 0,
        size=size,
        # A header may name a target whatever it is of.
        target=member.target if kind in ("symlink", "hardlink") else "",
        sha256=sha256,
        origin=ORIGIN,
        offset=offset,
    )


@contextlib.contextmanager
def _explained(named: LayerDescription) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        hint = "`ocibuild verify` says all that is wrong" if isinstance(error, Unfit) else _AGAIN
        raise UnsupportedImage(named.image, str(error).removeprefix(f"{named.image}: "), hint=hint) from error


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
